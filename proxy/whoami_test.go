package proxy_test

import (
	"bufio"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A capture is one exchange with Ory Kratos v26.2.0.
type capture struct {
	request string
	response
}

// readCapture reads an exchange that was recorded.
func readCapture(t *testing.T, name string) capture {
	t.Helper()
	all, err := os.ReadFile(filepath.Join("testdata", "kratos", name+".http"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(all), ">>> REQUEST\n")
	sent, answer, found := strings.Cut(rest, "<<< RESPONSE\n")
	if !found {
		t.Fatalf("%s: not a capture", name)
	}
	head, _, _ := strings.Cut(sent, "\r\n\r\n")
	method, _, _ := strings.Cut(head, " ")
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	c := capture{request: head + "\r\n\r\n", response: response{Response: res}}
	c.body, c.err = readAll(res)
	return c
}

// The face answers what Kratos answered, to the same request: status, head and body.
func TestWhoamiAnswersAsKratosDoes(t *testing.T) {
	g := newGateway(t, nil)
	f := func(name string, tell func(c capture, s *upstream.Session)) {
		t.Helper()
		c := readCapture(t, name)
		s := &upstream.Session{ID: "session", IdentityID: c.Header.Get("X-Kratos-Authenticated-Identity-Id"), Body: []byte(c.body)}
		tell(c, s)
		res := g.ask(c.request)
		for _, h := range []http.Header{c.Header, res.Header} {
			if h.Get("Date") == "" {
				t.Errorf("%s: no date", name)
			}
			h.Del("Date")
		}
		if diff := cmp.Diff(c.Header, res.Header); diff != "" || res.StatusCode != c.StatusCode || res.body != c.body {
			t.Errorf("%s: status %d, want %d (-kratos +gatehouse)\n%s\nbody\n%s",
				name, res.StatusCode, c.StatusCode, diff, cmp.Diff(c.body, res.body))
		}
	}
	value := func(c capture, before string) string {
		_, rest, _ := strings.Cut(c.request, before)
		return strings.FieldsFunc(rest, func(r rune) bool { return r == '\r' || r == ';' })[0]
	}
	f("whoami-200-cookie", func(c capture, s *upstream.Session) {
		g.sessions.know("cookie "+value(c, "ory_kratos_session="), hit(s), nil)
	})
	f("whoami-200-x-session-token", func(c capture, s *upstream.Session) {
		g.sessions.know("session_token "+value(c, "X-Session-Token: "), hit(s), nil)
	})
	f("whoami-200-bearer", func(c capture, s *upstream.Session) {
		g.sessions.know("bearer "+value(c, "Bearer "), hit(s), nil)
	})
	f("whoami-401-no-credentials", func(capture, *upstream.Session) {})
	f("whoami-401-request-id", func(capture, *upstream.Session) {})
	f("whoami-403-aal2-required", func(c capture, _ *upstream.Session) {
		g.sessions.know("session_token "+value(c, "X-Session-Token: "), upstream.Answer{}, &upstream.Refusal{
			Status: 403, ContentType: c.Header.Get("Content-Type"), ErrorID: c.Header.Get("Ory-Error-Id"), Body: []byte(c.body),
		})
	})
}

const (
	noSession = `{"error":{"code":401,"status":"Unauthorized","reason":"No valid session credentials found in the request.",` +
		`"message":"The request could not be authorized"}}` + "\n"
	noAnswer = `{"error":{"code":503,"status":"Service Unavailable","reason":"The session service gave no usable answer.",` +
		`"message":"The service is currently unable to say whose session this is"}}` + "\n"
	kratosNoStore = "private, no-cache, no-store, must-revalidate"
)

func TestWhoami(t *testing.T) {
	g := newGateway(t, answering(t, ok("must not be seen")))
	g.sessions.know("session_token down", upstream.Answer{}, errOutage)
	renewed := hit(session("carol"))
	renewed.Renewed = upstreamtest.SetCookie("ory_kratos_session=new; Path=/")
	g.sessions.know("cookie carol", renewed, nil)
	f := func(want observation, status int, body string, res response) {
		t.Helper()
		want.Face = proxy.WhoamiFace
		if res.StatusCode != status || res.body != body || g.observer.last() != want {
			t.Errorf("status %d, want %d; body %q; observed %v, want %v", res.StatusCode, status, res.body, g.observer.last(), want)
		}
		if status != 405 && (res.Header.Get("Cache-Control") != kratosNoStore || res.Header.Get("Vary") != "Cookie") {
			t.Errorf("head %v", res.Header)
		}
		if (res.Header.Get("Retry-After") != "") != (status == 503) {
			t.Errorf("status %d: Retry-After %q", status, res.Header.Get("Retry-After"))
		}
	}
	of := func(v policy.Verdict, r policy.Reason) observation { return observation{Verdict: v, Reason: r} }
	body := string(session("alice").Body)
	f(of(policy.Allowed, policy.SessionValid), 200, body, g.get("/sessions/whoami", alice))
	f(of(policy.Allowed, policy.SessionValid), 200, body, g.get("/sessions/%77hoami", alice))
	f(of(policy.Allowed, policy.SessionValid), 200, body, g.get("/sessions/whoami?", alice))
	f(of(policy.Allowed, policy.SessionValid), 200, "", g.ask(request("HEAD", "/sessions/whoami", "", alice)))
	f(of(policy.Allowed, policy.SessionValid), 200, body, g.ask("GET /sessions/whoami HTTP/1.0\r\n"+alice+"\r\n\r\n"))
	f(of(policy.Unauthenticated, policy.NoCredential), 401, noSession, g.get("/sessions/whoami"))
	f(of(policy.Unauthenticated, policy.MalformedCredential), 401, noSession, g.get("/sessions/whoami", "X-Session-Token: a b"))
	f(of(policy.Unauthenticated, policy.NoSession), 401, noSession, g.get("/sessions/whoami", "X-Session-Token: unknown"))
	f(of(policy.Unavailable, policy.StoreUnavailable), 503, noAnswer, g.get("/sessions/whoami", "X-Session-Token: down"))
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "FOO"} {
		res := g.ask(request(method, "/sessions/whoami", "", alice))
		f(of(policy.Malformed, policy.UnsupportedMethod), 405, res.body, res)
		if allow := res.Header.Get("Allow"); allow != "GET, HEAD" {
			t.Errorf("%s: Allow: %s", method, allow)
		}
	}
	if res := g.ask("GET /sessions/whoami HTTP/1.2\r\nHost: app.example.com\r\n" + alice + "\r\n\r\n"); res.StatusCode != 505 {
		t.Errorf("status %d", res.StatusCode)
	}

	res := g.get("/sessions/whoami", "Cookie: ory_kratos_session=carol")
	if res.Header.Get("Set-Cookie") != renewed.Renewed[0].Value || res.Header.Get("X-Kratos-Authenticated-Identity-Id") != "identity-carol" {
		t.Errorf("head %v", res.Header)
	}
	if res := g.get("/sessions/whoami", alice); res.Header.Get("Set-Cookie") != "" {
		t.Errorf("another client got the cookie: %v", res.Header)
	}
	// The id of a request is repeated only where it needs no escaping.
	for id, want := range map[string]bool{
		"rid-1": true, strings.Repeat("x", 256): true, strings.Repeat("x", 257): false,
		`a"b`: false, `a\b`: false, "<a>": false, "a&b": false, "\xc3\xa9": false, "a\tb": false,
	} {
		res := g.get("/sessions/whoami", "X-Request-Id: "+id)
		if strings.Contains(res.body, id) != want || !strings.HasSuffix(res.body, "}}\n") {
			t.Errorf("%q: body %q", id, res.body)
		}
	}
}

func TestWhoamiAsksForTheAgeThatIsWanted(t *testing.T) {
	g := newGateway(t, nil)
	f := func(want time.Duration, lines ...string) {
		t.Helper()
		g.get("/sessions/whoami", append(lines, alice)...)
		asked := g.sessions.questions()
		if got := asked[len(asked)-1]; got != (question{"session_token " + aliceToken, want}) {
			t.Errorf("%q: %v, want %v", lines, got, want)
		}
	}
	f(upstream.Unlimited)
	f(0, "Cache-Control: max-age=0")
	f(30*time.Second, "cache-control: MAX-AGE=30")
	f(30*time.Second, `Cache-Control: private , max-age="30",x`)
	f(10*time.Second, "Cache-Control: max-age=30, max-age=10", "Cache-Control: max-age=20")
	f(upstream.Unlimited, "Cache-Control: no-cache")
	f(upstream.Unlimited, "Cache-Control: max-age")
	f(upstream.Unlimited, "Cache-Control: max-age=")
	f(upstream.Unlimited, "Cache-Control: max-age=-1")
	f(upstream.Unlimited, "Cache-Control: max-age=1s")
	f(upstream.Unlimited, "Cache-Control: x-max-age=1, s-maxage=1")
	f(upstream.Unlimited, "Cache-Control: max-age=99999999999999999999")
	f(2147483647*time.Second, "Cache-Control: max-age=2147483647")
}

// What a query asks for is for this caller only, so that the service is asked and nothing is remembered.
func TestWhoamiWithAQueryIsPassedThrough(t *testing.T) {
	g := newGateway(t, nil)
	f := func(reply upstream.Reply, err error, want string, status int, body string, lines ...string) {
		t.Helper()
		g.passthrough.reply, g.passthrough.err, g.passthrough.asked = reply, err, nil
		res := g.get("/sessions/whoami?tokenize_as=jwt&x=%2f", lines...)
		if res.StatusCode != status || res.body != body || res.Header.Get("Cache-Control") != kratosNoStore ||
			res.Header.Get("Vary") != "Cookie" {
			t.Errorf("status %d body %q head %v", res.StatusCode, res.body, res.Header)
		}
		for _, field := range reply.Header {
			if err == nil && res.Header.Get(field.Name) != field.Value {
				t.Errorf("head %v", res.Header)
			}
		}
		if asked := strings.Join(g.passthrough.asked, " and "); asked != want {
			t.Errorf("asked %q, want %q", asked, want)
		}
		if len(g.sessions.questions()) > 0 {
			t.Errorf("asked the cache too: %v", g.sessions.questions())
		}
	}
	typed := []upstream.Field{
		{Name: "Content-Type", Value: "application/json; charset=utf-8"},
		{Name: "X-Kratos-Authenticated-Identity-Id", Value: "i"},
	}
	const asAlice = "session_token " + aliceToken + " ?tokenize_as=jwt&x=%2f"
	f(upstream.Reply{Status: 200, Header: typed, Body: []byte(`{"tokenized":"x"}`)}, nil, asAlice, 200, `{"tokenized":"x"}`, alice)
	f(upstream.Reply{Status: 400, Header: typed, Body: []byte(`{}`)}, nil, asAlice, 400, `{}`, alice)
	f(upstream.Reply{Status: 401, Header: typed, Body: []byte(`{}`)}, nil, asAlice, 401, `{}`, alice)
	f(upstream.Reply{Status: 200}, nil, "", 401, noSession)
	f(upstream.Reply{}, errOutage, asAlice, 503, noAnswer, alice)
	f(upstream.Reply{Status: 200}, nil, "", 401, noSession, "X-Session-Token: a b")
}
