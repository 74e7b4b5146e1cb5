package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
)

// The whole life of a session, over the network and over Dial.
func TestLife(t *testing.T) {
	f := func(name string, connect func(w *world) (public, admin *http.Client, publicURL, adminURL string)) {
		t.Run(name, func(t *testing.T) {
			w := open(t, embedded.Config{})
			public, admin, publicURL, adminURL := connect(w)
			want := func(a answer, status int, part string) answer {
				t.Helper()
				if a.status != status || !strings.Contains(a.body, part) {
					t.Fatalf("got %d %s; want %d and %s", a.status, a.body, status, part)
				}
				return a
			}
			made := want(call(t, admin, "POST", adminURL+"/admin/sessions",
				`{"identity":{"traits":{"email":"ada@example.test"}},"expires_in":"1h","devices":[{"ip_address":"192.0.2.1"}]}`),
				http.StatusCreated, `"session_token":"ory_st_`)
			var c embedded.Created
			if err := json.Unmarshal([]byte(made.body), &c); err != nil {
				t.Fatal(err)
			}
			var session struct {
				ID       string
				Identity struct{ ID string }
			}
			if err := json.Unmarshal(c.Session, &session); err != nil {
				t.Fatal(err)
			}

			whoami := publicURL + "/sessions/whoami"
			byToken := want(call(t, public, "GET", whoami, "", tokenHeader(c)), 200, "ada@example.test")
			byCookie := want(call(t, public, "GET", whoami, "", cookieHeader(c)), 200, "192.0.2.1")
			if string(c.Session)+"\n" != byToken.body || byToken.body != byCookie.body {
				t.Errorf("created %s, whoami by token %s, by cookie %s", c.Session, byToken.body, byCookie.body)
			}
			want(call(t, admin, "PATCH", adminURL+"/admin/sessions/"+session.ID+"/extend", ""), 200, session.ID)
			if a := want(call(t, public, "GET", whoami, "", cookieHeader(c)), 200, ""); len(a.header["Set-Cookie"]) != 1 {
				t.Errorf("Set-Cookie after an extension: %q", a.header["Set-Cookie"])
			}
			want(call(t, admin, "GET", adminURL+"/sessions?expand=identity", ""), 200, "ada@example.test")
			want(call(t, public, "GET", publicURL+"/sessions", "", tokenHeader(c)), 200, "[]")
			want(call(t, public, "DELETE", publicURL+"/self-service/logout/api", `{"session_token":"`+c.SessionToken+`"}`), 204, "")
			want(call(t, public, "GET", whoami, "", tokenHeader(c)), 401, "No valid session")
			want(call(t, public, "GET", whoami, "", cookieHeader(c)), 401, "No valid session")
			want(call(t, admin, "GET", adminURL+"/admin/sessions/"+session.ID, ""), 200, `"active":false`)
			want(call(t, admin, "DELETE", adminURL+"/admin/identities/"+session.Identity.ID, ""), 204, "")
			want(call(t, admin, "GET", adminURL+"/admin/sessions/"+session.ID, ""), 404, "")
		})
	}
	f("network", func(w *world) (*http.Client, *http.Client, string, string) {
		public, admin := httptest.NewServer(w.s.Public()), httptest.NewServer(w.s.Admin())
		w.t.Cleanup(public.Close)
		w.t.Cleanup(admin.Close)
		return public.Client(), admin.Client(), public.URL, admin.URL
	})
	f("memory", func(w *world) (*http.Client, *http.Client, string, string) { return w.pub, w.admin, "", "" })
}

func TestOpenRefuses(t *testing.T) {
	f := func(cfg embedded.Config, want string) {
		t.Helper()
		s, err := embedded.Open(cfg)
		if err == nil {
			_ = s.Close()
			t.Errorf("%+v was taken; want %s", cfg, want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %s", err, want)
		}
	}
	f(embedded.Config{Cookie: "a b"}, "cookie name")
	f(embedded.Config{Lifespan: -1}, "lifespan -1ns: want more than nothing")
	f(embedded.Config{Lifespan: 11 * 365 * 24 * time.Hour}, "at most ten years")
	f(embedded.Config{BaseURL: "127.0.0.1:4433"}, "base URL")
	f(embedded.Config{BaseURL: "ftp://service.test"}, "base URL")
	f(embedded.Config{BaseURL: "http://service.test/?a=b"}, "base URL")
}

// The settings are seen in the answers.
func TestConfig(t *testing.T) {
	w := open(t, embedded.Config{Cookie: "sid", Lifespan: time.Hour, BaseURL: "https://id.example.test/kratos/"})
	n := user("a@example.test")
	n.RequireAAL2 = true
	c := w.create(n)
	if c.SessionCookie.Name != "sid" {
		t.Errorf("cookie %q", c.SessionCookie.Name)
	}
	if want := `"schema_url":"https://id.example.test/kratos/schemas/ZGVmYXVsdA"`; !strings.Contains(string(c.Session), want) {
		t.Errorf("no %s in %s", want, c.Session)
	}
	refused := w.public("GET", "/sessions/whoami", "", cookieHeader(c))
	if want := `"redirect_browser_to":"https://id.example.test/kratos/self-service/login`; !strings.Contains(refused.body, want) {
		t.Errorf("no %s in %s", want, refused.body)
	}
	var life struct {
		IssuedAt  time.Time `json:"issued_at"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := json.Unmarshal(c.Session, &life); err != nil || life.ExpiresAt.Sub(life.IssuedAt) != time.Hour {
		t.Errorf("a life from %v to %v (%v)", life.IssuedAt, life.ExpiresAt, err)
	}
}

// A cookie that cannot be read does not stand in the way of another credential.
func TestUnreadableCookieIsIgnored(t *testing.T) {
	w := open(t, embedded.Config{})
	c := w.create(user("a@example.test"))
	for _, credential := range []string{tokenHeader(c), "Authorization: Bearer " + c.SessionToken} {
		a := w.public("GET", "/sessions/whoami", "", credential, "Cookie: ory_kratos_session=garbage")
		if a.status != 200 || a.header.Get("Set-Cookie") != "" {
			t.Errorf("got %d, Set-Cookie %q", a.status, a.header.Get("Set-Cookie"))
		}
	}
}

// A cookie of another service, of another cookie name, or of the same file under another name, opens nothing.
func TestCookieIsBound(t *testing.T) {
	path := t.TempDir() + "/sessions.db"
	w := open(t, embedded.Config{Path: path})
	c := w.create(user("a@example.test"))
	other := open(t, embedded.Config{})
	other.create(user("a@example.test"))
	if got := other.whoami(cookieHeader(c)); got != 401 {
		t.Errorf("another service: %d", got)
	}
	if err := w.s.Close(); err != nil {
		t.Fatal(err)
	}
	renamed := open(t, embedded.Config{Path: path, Cookie: "sid"})
	if got := renamed.whoami("Cookie: sid=" + c.SessionCookie.Value); got != 401 {
		t.Errorf("another name: %d", got)
	}
	if got := renamed.whoami(tokenHeader(c)); got != 200 {
		t.Errorf("the token: %d", got)
	}
}

// Long life is bounded by nothing but the session: a cookie that was issued for longer than one lifespan can be read until then.
func TestCookieLivesAsLongAsItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, embedded.Config{Lifespan: time.Hour})
		n := user("a@example.test")
		n.ExpiresIn = 3 * time.Hour
		c := w.create(n)
		time.Sleep(3*time.Hour - time.Nanosecond)
		if got := w.whoami(cookieHeader(c)); got != 200 {
			t.Errorf("shortly before the end: %d", got)
		}
		time.Sleep(time.Nanosecond)
		if got := w.whoami(cookieHeader(c)); got != 401 {
			t.Errorf("at the end: %d", got)
		}
	})
}

func TestExtendNeverShortens(t *testing.T) {
	w := open(t, embedded.Config{Lifespan: time.Hour})
	n := user("a@example.test")
	n.ExpiresIn = 48 * time.Hour
	c := w.create(n)
	a := w.must("PATCH", "/admin/sessions/"+c.SessionID+"/extend", "")
	var was, is struct {
		ExpiresAt time.Time `json:"expires_at"`
	}
	if json.Unmarshal(c.Session, &was) != nil || json.Unmarshal([]byte(a.body), &is) != nil || !is.ExpiresAt.Equal(was.ExpiresAt) {
		t.Errorf("expiry was %v and is %v", was.ExpiresAt, is.ExpiresAt)
	}
}

// The list of all sessions can be walked from page to page, whatever ends meanwhile, and nothing is seen twice.
func TestListAllPages(t *testing.T) {
	w := open(t, embedded.Config{})
	want := map[string]bool{}
	for range 7 {
		want[w.create(user("a@example.test")).SessionID] = true
	}
	path := "/admin/sessions?page_size=2"
	for pages := 1; ; pages++ {
		a := w.must("GET", path, "")
		var list []struct{ ID string }
		if err := json.Unmarshal([]byte(a.body), &list); err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if !want[s.ID] {
				t.Errorf("%s is on two pages", s.ID)
			}
			delete(want, s.ID)
		}
		w.must("DELETE", "/admin/sessions/"+list[0].ID, "")
		_, next, ok := strings.Cut(a.header.Get("Link"), `rel="first",<`)
		if !ok {
			if pages != 4 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		path, _, _ = strings.Cut(next, ">")
	}
	if len(want) != 0 {
		t.Errorf("on no page: %v", want)
	}
}

// A closed service says that it is out of order, and never that there is no session.
func TestClosed(t *testing.T) {
	w := open(t, embedded.Config{})
	c := w.create(user("a@example.test"))
	if err := errors.Join(w.s.Close(), w.s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, h := range []http.Handler{w.s.Public(), w.s.Admin()} {
		for _, path := range []string{"/sessions/whoami", "/sessions", "/health/ready", "/health/alive", "/nowhere"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("X-Session-Token", c.SessionToken)
			got := httptest.NewRecorder()
			h.ServeHTTP(got, r)
			if got.Code != http.StatusServiceUnavailable {
				t.Errorf("%s: %d", path, got.Code)
			}
		}
	}
	if _, err := w.s.Create(user("b@example.test")); err == nil {
		t.Error("Create works")
	}
	if _, err := w.s.Dial(t.Context(), "tcp", "service.test:80"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial: %v", err)
	}
}

// Close ends connections that are idle, silent or in the middle of a request, and waits for what goes on behind them.
func TestCloseEndsConnections(t *testing.T) {
	w := open(t, embedded.Config{})
	if got := w.whoami("X: y"); got != 401 { // leaves an idle connection behind
		t.Fatalf("whoami: %d", got)
	}
	silent, err := w.s.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	busy, err := w.s.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	half := "DELETE /self-service/logout/api HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
	if _, err := io.WriteString(busy, half); err != nil {
		t.Fatal(err)
	}
	atWork := func() bool {
		stacks := make([]byte, 1<<20)
		return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte(".logoutByToken("))
	}
	for !atWork() {
		runtime.Gosched()
	}
	if err := w.s.Close(); err != nil {
		t.Fatal(err)
	}
	if atWork() {
		t.Error("a handler is still at work")
	}
	for _, conn := range []net.Conn{silent, busy} {
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("a connection is still open: %v", err)
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	w := open(t, embedded.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.s.Dial(ctx, "", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Many clients at once: the race detector looks on, and in the end memory and file agree.
func TestConcurrentUse(t *testing.T) {
	path := t.TempDir() + "/sessions.db"
	var mu sync.Mutex
	ended := map[string]int{}
	w := open(t, embedded.Config{Path: path, Revoked: func(sessionID, _ string) {
		mu.Lock()
		defer mu.Unlock()
		ended[sessionID]++
	}})
	shared := w.create(user("shared@example.test"))
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			for range 10 {
				c := w.create(embedded.NewSession{IdentityID: shared.IdentityID})
				if got := w.whoami(cookieHeader(c)); got != 200 {
					t.Errorf("whoami: %d", got)
				}
				w.public("GET", "/sessions", "", tokenHeader(c))
				w.must("GET", "/admin/sessions?expand=identity&expand=devices", "")
				w.must("PATCH", "/admin/sessions/"+c.SessionID+"/extend", "")
				if n%2 == 0 {
					w.must("DELETE", "/admin/sessions/"+c.SessionID, "")
				} else {
					w.public("DELETE", "/self-service/logout/api", `{"session_token":"`+c.SessionToken+`"}`)
				}
				if got := w.whoami(tokenHeader(c)); got != 401 {
					t.Errorf("whoami after the end: %d", got)
				}
				w.must("PATCH", "/admin/identities/"+shared.IdentityID, `[{"op":"add","path":"/traits/n","value":1}]`)
			}
		})
	}
	clients.Wait()
	if len(ended) != 80 {
		t.Errorf("told of %d ends; want 80", len(ended))
	}
	for id, n := range ended {
		if n != 1 {
			t.Errorf("told %d times of the end of %s", n, id)
		}
	}
	before := w.must("GET", "/admin/sessions?expand=identity&expand=devices", "").body
	if err := w.s.Close(); err != nil {
		t.Fatal(err)
	}
	if after := open(t, embedded.Config{Path: path}).must("GET", "/admin/sessions?expand=identity&expand=devices", "").body; after != before {
		t.Error("the file does not hold what memory held")
	}
}

// TestAdminHost holds that a page whose name was made to point here cannot sign in as anybody.
func TestAdminHost(t *testing.T) {
	s, err := embedded.Open(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	server := httptest.NewServer(s.Admin())
	defer server.Close()
	f := func(host string, want int) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, server.URL+"/admin/sessions", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("host %q: status %d, want %d", host, resp.StatusCode, want)
		}
	}
	f("127.0.0.1:4434", 200)
	f("localhost:4434", 200)
	f("[::1]:4434", 200)
	f("evil.example.com", 403)
	f("localhost.evil.example.com:4434", 403)
	f("127.0.0.1.evil.example.com", 403)
}
