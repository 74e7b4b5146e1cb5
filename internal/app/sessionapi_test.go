package app_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A recording is a call to a real Kratos v26.2.0 and its answer, byte for byte.
type recording struct{ name, request, response string }

func readRecording(t *testing.T, file string) recording {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found1 := strings.Cut(string(data), ">>> REQUEST\n")
	request, response, found2 := strings.Cut(rest, "\n<<< RESPONSE\n")
	if !found1 || !found2 {
		t.Fatalf("%s is not a recording", file)
	}
	return recording{strings.TrimSuffix(filepath.Base(file), ".http"), request, response}
}

// playing serves a recording for every call but questions to whoami, which are answered with one session of everybody's, and passes on the
// calls that come.
func playing(t *testing.T, playing *recording, session string) (url string, calls <-chan *http.Request) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan *http.Request, 16)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					body, _ := io.ReadAll(req.Body)
					req.Body = io.NopCloser(bytes.NewReader(body))
					if strings.HasPrefix(req.URL.Path, "/sessions/whoami") {
						_, _ = io.WriteString(c, session)
						continue
					}
					came <- req
					_, _ = io.WriteString(c, playing.response)
					return // whatever follows in the file
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		serving.Wait()
	})
	return "http://" + ln.Addr().String(), came
}

// TestSessionAPIRecordings makes the calls that were made to a real Kratos: it gets them as they were sent, and the client its answers.
func TestSessionAPIRecordings(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../upstream/embedded/testdata/sessions-*", "../../upstream/embedded/testdata/logout-*", "testdata/kratos/*"} {
		found, err := filepath.Glob(pattern + ".http")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 35 {
		t.Fatalf("only %d recordings were found", len(files))
	}
	var now recording
	session := readRecording(t, "../../upstream/kratos/testdata/whoami-200-x-session-token.http").response
	kratos, calls := playing(t, &now, strings.TrimRight(session, "\n")+"\n")
	w := start(t, "upstream: { kratos: { url: '"+kratos+"', session_api: true, self_service: true }, timeout: 10s }", "trusted_proxies: []")
	revoked := 0
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			now = readRecording(t, file)
			c, err := net.Dial("tcp", w.app.Address(app.Requests).String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, now.request); err != nil {
				t.Fatal(err)
			}
			sent := readRequest(t, now.request)
			got := readResponse(t, bufio.NewReader(c), sent.Method)
			want := readResponse(t, bufio.NewReader(strings.NewReader(now.response)), sent.Method)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-Kratos +Gatehouse):\n%s", diff)
			}
			call := <-calls
			for name := range call.Header {
				if strings.HasPrefix(name, "X-Forwarded-") || name == "Forwarded" {
					call.Header.Del(name)
				}
			}
			if diff := cmp.Diff(written(sent), written(call)); diff != "" {
				t.Errorf("call (-client +Gatehouse):\n%s", diff)
			}
			// Every one that may have ended something is counted, since the session is everybody's; but one who signs in by the API presents
			// nothing, and gets no cookie.
			ends := now.name != "login-api-submit-200" && !strings.Contains(now.name, "-init") && sent.Method != "GET" || strings.HasPrefix(now.name, "logout-submit")
			if ends && want.status < 400 || ends && want.status >= 500 {
				revoked++
			}
			line := fmt.Sprintf("gatehouse_session_revocations_total{source=\"session_api\"} %d\n", revoked)
			if !strings.Contains(w.get(w.admin+"/metrics").body, line) {
				t.Errorf("metrics lack %s", line)
			}
		})
	}
	if revoked < 10 {
		t.Errorf("only %d recordings revoke anything", revoked)
	}
}

func readRequest(t *testing.T, raw string) *http.Request {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// written returns a request as a text, with its headers in order.
func written(r *http.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\nHost: %s\n", r.Method, r.RequestURI, r.Host)
	_ = r.Header.Write(&b)
	_, _ = io.Copy(&b, r.Body)
	return b.String()
}

// played is an answer without its framing.
type played struct {
	status     int
	text, body string
	header     http.Header
}

func (p played) Equal(q played) bool { return cmp.Equal(p.all(), q.all()) }
func (p played) all() []any          { return []any{p.status, p.text, p.body, p.header} }

func readResponse(t *testing.T, r *bufio.Reader, method string) played {
	t.Helper()
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Header.Del("Connection")
	return played{resp.StatusCode, resp.Status, string(body), resp.Header}
}

// A sessionService is upstreamtest's with a session API. Where it is called, a session ends.
func sessionService(w **world) http.Handler {
	mux := http.NewServeMux()
	end := func(rw http.ResponseWriter, name string, status int) {
		(*w).service.SignOut(strings.Replace(name, "token", "session", 1))
		rw.WriteHeader(status)
	}
	presented := func(r *http.Request) string { return r.Header.Get("X-Session-Token") }
	mux.HandleFunc("DELETE /sessions/{id}", func(rw http.ResponseWriter, r *http.Request) { end(rw, r.PathValue("id"), 204) })
	mux.HandleFunc("DELETE /sessions", func(rw http.ResponseWriter, r *http.Request) {
		end(rw, strings.Replace(presented(r), "sibling", "session", 1), 200)
	})
	mux.HandleFunc("GET /self-service/logout", func(rw http.ResponseWriter, r *http.Request) { end(rw, presented(r), 303) })
	mux.HandleFunc("POST /self-service/settings", func(rw http.ResponseWriter, r *http.Request) { end(rw, presented(r), 200) })
	mux.HandleFunc("DELETE /self-service/logout/api", func(rw http.ResponseWriter, r *http.Request) {
		var body struct {
			SessionToken string `json:"session_token"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		end(rw, body.SessionToken, 204)
	})
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) { (*w).service.ServeHTTP(rw, r) })
	return mux
}

// TestSessionAPIOfOthers holds that each kind of service has its own calls, which it gets as they came, and which bite at once.
func TestSessionAPIOfOthers(t *testing.T) {
	calls := map[string][]string{ // and the body that ends the session
		"wacht":       {"POST /session/sign-out?sign_in_id=1", ""},
		"crossid":     {"DELETE /api/v1/auth/sessions/revoke", `{"sessionToken":"good"}`},
		"better_auth": {"POST /api/auth/revoke-other-sessions", "{}"},
	}
	for _, k := range services(t) {
		call := calls[k.name]
		if call == nil {
			continue // it has no session API
		}
		t.Run(k.name, func(t *testing.T) {
			var ended atomic.Bool
			var got atomic.Pointer[string]
			known := k.known
			k.known = func(r *http.Request) bool {
				if name := r.Method + " " + r.RequestURI; name == call[0] {
					body, _ := io.ReadAll(r.Body)
					got.Store(new(name + " at " + r.Host + " with " + string(body)))
					return known(r) && ended.CompareAndSwap(false, true)
				}
				return known(r) && !ended.Load()
			}
			k.upstream = strings.Replace(k.upstream, "url:", "session_api: true, url:", 1)
			stub, section := k.serve(t)
			w := start(t, section, "session_cache: { fresh_for: 1h, negative_for: 0s }")
			if a := w.get(w.url+"/private", k.credential...); a.status != 200 {
				t.Fatalf("status %d before the end", a.status)
			}
			asked := stub.Questions()
			method, path, _ := strings.Cut(call[0], " ")
			w.do(method, w.url+path, call[1], append(k.credential, "Content-Type", "application/json")...)
			if n := stub.Questions() - asked; n != 1 {
				t.Errorf("the service was asked %d times, want once", n)
			}
			host, _, _ := strings.Cut(section[strings.Index(section, "//")+2:], " ")
			if k.name == "better_auth" {
				host = strings.TrimPrefix(w.url, "http://")
			}
			if want := call[0] + " at " + host + " with " + call[1]; got.Load() == nil || *got.Load() != want {
				t.Errorf("the service got %v, want %s", got.Load(), want)
			}
			if a := w.get(w.url+"/private", k.credential...); a.status != 401 {
				t.Errorf("status %d after the end", a.status)
			}
		})
	}
}

// TestSessionAPIOfEmbedded holds that the embedded service has one, too, in every dialect, even where it listens nowhere itself.
func TestSessionAPIOfEmbedded(t *testing.T) {
	f := func(dialect, method, path, body string, status int) {
		t.Run(dialect, func(t *testing.T) {
			w := start(t, "upstream: { embedded: { dialect: "+dialect+", listen: '', admin_listen: 127.0.0.1:0, session_api: true }, timeout: 10s }")
			var created struct {
				Token  string                       `json:"session_token"`
				Cookie struct{ Name, Value string } `json:"session_cookie"`
			}
			a := w.do(http.MethodPost, "http://"+w.app.Address(app.ServiceAdmin).String()+"/admin/sessions",
				`{"identity":{"traits":{"email":"a@example.com"}}}`, "Content-Type", "application/json")
			if err := json.Unmarshal([]byte(a.body), &created); err != nil || created.Token == "" {
				t.Fatalf("sign in: %d %s", a.status, a.body)
			}
			mine := []string{"Cookie", created.Cookie.Name + "=" + created.Cookie.Value, "Content-Type", "application/json"}
			if a := w.get(w.url+"/private", mine...); a.status != 200 {
				t.Errorf("status %d before the end", a.status)
			}
			a = w.do(method, w.url+path, strings.ReplaceAll(body, "TOKEN", created.Token), mine...)
			if after := w.get(w.url+"/private", mine...); a.status != status || after.status != 401 {
				t.Errorf("the end: %d %s, and %d after it", a.status, a.body, after.status)
			}
		})
	}
	f("kratos", http.MethodDelete, "/self-service/logout/api", `{"session_token":"TOKEN"}`, 204)
	f("wacht", http.MethodPost, "/session/sign-out", "", 200)
	f("crossid", http.MethodDelete, "/api/v1/auth/sessions/revoke", `{"sessionToken":"TOKEN"}`, 204)
	f("better_auth", http.MethodPost, "/api/auth/sign-out", "{}", 200)
}

// startSessionAPI starts a gateway that serves the session API.
func startSessionAPI(t *testing.T, lines ...string) *world {
	t.Helper()
	var w *world
	kratos := httptest.NewServer(sessionService(&w))
	t.Cleanup(kratos.Close)
	w = start(t, append(lines, "upstream: { kratos: { url: '"+kratos.URL+"', session_api: true, self_service: true }, timeout: 10s }")...)
	return w
}

// endings are calls by which the session of "token-n" ends, which is that of "identity-n" as "sibling-n" is.
var endings = []func(w *world, n int) answer{
	func(w *world, n int) answer {
		return w.do(http.MethodDelete, w.url+fmt.Sprint("/sessions/session-", n), "", "X-Session-Token", fmt.Sprint("sibling-", n))
	},
	func(w *world, n int) answer {
		return w.do(http.MethodDelete, w.url+"/sessions", "", "X-Session-Token", fmt.Sprint("sibling-", n))
	},
	func(w *world, n int) answer {
		return w.do(http.MethodGet, w.url+"/self-service/logout?token=x", "", "X-Session-Token", fmt.Sprint("token-", n))
	},
	func(w *world, n int) answer {
		return w.do(http.MethodDelete, w.url+"/self-service/logout/api", fmt.Sprintf(`{"session_token":"token-%d"}`, n))
	},
	func(w *world, n int) answer {
		return w.do(http.MethodPost, w.url+"/self-service/settings", "", "X-Session-Token", fmt.Sprint("token-", n))
	},
}

// signInBoth signs a session in and its sibling.
func signInBoth(w *world, n int) (token, session string) {
	token, session = fmt.Sprint("token-", n), fmt.Sprint("session-", n)
	identity := fmt.Sprint("identity-", n)
	w.service.SignIn(upstreamtest.Login{SessionID: session, IdentityID: identity, Token: token, Cookies: []string{fmt.Sprint("cookie-", n)}})
	w.service.SignIn(upstreamtest.Login{SessionID: fmt.Sprint("other-", n), IdentityID: identity, Token: fmt.Sprint("sibling-", n)})
	return token, session
}

// TestSessionAPIEnds holds that each call ends what it ends for every credential of the session, and for nobody else.
func TestSessionAPIEnds(t *testing.T) {
	w := startSessionAPI(t, "session_cache: { fresh_for: 1h }")
	signInBoth(w, 99)
	stranger := []string{"X-Session-Token", "token-99"}
	w.get(w.url+"/private", stranger...)
	for n, end := range endings {
		signInBoth(w, n)
		mine := [][]string{
			{"X-Session-Token", fmt.Sprint("token-", n)},
			{"Authorization", fmt.Sprint("Bearer token-", n)},
			{"Cookie", fmt.Sprint("ory_kratos_session=cookie-", n)},
		}
		for _, credential := range mine {
			if a := w.get(w.url+"/private", credential...); a.status != http.StatusOK {
				t.Errorf("%d: %v: status %d before the end", n, credential, a.status)
			}
		}
		if a := end(w, n); a.status >= 400 {
			t.Errorf("%d: status %d: %s", n, a.status, a.body)
		}
		for _, credential := range mine {
			if a := w.get(w.url+"/private", credential...); a.status != http.StatusUnauthorized {
				t.Errorf("%d: %v: status %d after the end", n, credential, a.status)
			}
		}
		if a := w.get(w.url+"/private", "X-Session-Token", fmt.Sprint("sibling-", n)); a.status != http.StatusOK {
			t.Errorf("%d: the sibling got %d after the end", n, a.status)
		}
	}
	asked := w.service.Questions()
	if a := w.get(w.url+"/private", stranger...); a.status != http.StatusOK || w.service.Questions() != asked {
		t.Errorf("a stranger got %d, after %d questions", a.status, w.service.Questions()-asked)
	}
}
