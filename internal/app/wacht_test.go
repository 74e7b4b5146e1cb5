package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A development deployment of Wacht with one token, which it renews with every answer.
func developmentWacht(token string) *upstreamtest.Stub {
	return &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
		header := http.Header{"Content-Type": {"application/json"}, "X-Development-Session": {"e30.e30.renewed"}}
		if r.URL.Path != "/session" || r.URL.Query().Get("__dev_session__") != token || r.Header.Get("Cookie") != "" {
			return 200, header, `{"status":200,"data":{"id":"9"}}`
		}
		return 200, header, `{"status":200,"data":{"id":"s1","active_signin":{"user_id":"u1"}}}`
	}}
}

// In development the token of Wacht may be in the address. It is a credential like any other: the application does not get it, nobody logs
// it, and no redirect repeats it.
func TestDevelopmentTokenInTheAddress(t *testing.T) {
	const token = "e30.e30.secret"
	stub := developmentWacht(token)
	w := start(t, "upstream: { wacht: { url: "+stub.Start(t).String()+", development: true }, timeout: 10s }", "log: { access: true }",
		"login: { url: https://login.example.com/, allowed_hosts: [app.example.com] }",
		"routes: [{ match: { path: /keep/* }, access: session, forward_credential: true }, { match: { path: /* }, access: session }]")
	f := func(path, want string, header ...string) {
		t.Helper()
		a := w.get(w.url+path, header...)
		line, _, _ := strings.Cut(a.body, "\r\n")
		if a.status != 200 || line != "GET "+want+" HTTP/1.1" || !strings.Contains(a.body, "X-User-Id: u1\r\n") || strings.Contains(a.body, "X-Development-Session") {
			t.Errorf("%s: status %d, the application got %q", path, a.status, a.body)
		}
	}
	f("/a?x=1&__dev_session__="+token+"&y=2", "/a?x=1&y=2")
	f("/a%20b?__dev_session__="+token, "/a%20b")
	f("/a?%5f_dev_session__="+token, "/a")
	f("/a?x=1", "/a?x=1", "X-Development-Session", token)
	f("/keep/a?__dev_session__="+token, "/keep/a?__dev_session__="+token)

	before := stub.Questions()
	nobody := w.get(w.url+"/.gatehouse/auth", "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.example.com",
		"X-Forwarded-Uri", "/a?x=1&__dev_session__=a.b.stranger", "Accept", "text/html", "Sec-Fetch-Mode", "navigate")
	if to := nobody.header.Get("Location"); nobody.status != 302 || !strings.Contains(to, "x%3D1") || strings.Contains(to, "stranger") {
		t.Errorf("status %d, led to %s", nobody.status, to)
	}
	if a := w.get(w.url + "/a?__dev_session__=" + token + "&__dev_session__=a.b.other"); a.status != 401 {
		t.Errorf("two tokens: status %d", a.status)
	}
	if a := w.get(w.url + "/a"); a.status != 401 || stub.Questions() != before+1 {
		t.Errorf("without a credential: status %d, and %d questions", a.status, stub.Questions()-before-1)
	}
	for _, secret := range []string{token, "stranger", "renewed"} {
		if strings.Contains(w.log.String(), secret) || strings.Contains(w.get(w.admin+"/metrics").body, secret) {
			t.Errorf("%s is logged or counted", secret)
		}
	}
}

// In production no address carries a session: the parameter is the application's.
func TestNoTokenInTheAddressInProduction(t *testing.T) {
	stub := developmentWacht("e30.e30.secret")
	w := start(t, "upstream: { wacht: { url: "+stub.Start(t).String()+" }, timeout: 10s }",
		"routes: [{ match: { path: /* }, access: optional }]")
	a := w.get(w.url+"/a?__dev_session__=e30.e30.secret", "X-Development-Session", "e30.e30.secret")
	if a.status != 200 || strings.Contains(a.body, "X-User-Id") || !strings.HasPrefix(a.body, "GET /a?__dev_session__=e30.e30.secret ") {
		t.Errorf("status %d, the application got %q", a.status, a.body)
	}
	if stub.Questions() != 0 {
		t.Error("it was asked about nobody")
	}
}

// A token that is renewed reaches the client by every face, and is nobody's once it is remembered.
func TestRenewedTokenReachesTheClient(t *testing.T) {
	for _, f := range faces {
		const token = "e30.e30.secret"
		stub := developmentWacht(token)
		w := start(t, "upstream: { wacht: { url: "+stub.Start(t).String()+", development: true }, timeout: 10s }", "whoami: { path: /sessions/whoami }")
		for _, want := range []string{"e30.e30.renewed", ""} {
			a := f.ask(w, "X-Development-Session", token)
			if got := strings.Join(a.header.Values("X-Development-Session"), "|"); a.status != 200 || got != want {
				t.Errorf("%s: status %d, the renewed token is %q, want %q", f.name, a.status, got, want)
			}
		}
	}
}

// Tokens of Wacht are handed out from memory to whoever has the session, and die with it. The service is told for whom it is asked.
func TestSessionTokens(t *testing.T) {
	const cookie = "__session=e30.e30.secret"
	var limited atomic.Bool
	var made atomic.Int64
	stub := &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
		header := http.Header{"Content-Type": {"application/json"}}
		switch known := r.Header.Get("Cookie") == cookie; {
		case r.RequestURI == "/session" && known:
			return 200, header, `{"status":200,"data":{"id":"s1","active_signin":{"user_id":"u1"}}}`
		case limited.Load() && known:
			header.Set("Retry-After", "30")
			return 429, header, `{"message":"Too many token exchange requests"}`
		case r.RequestURI == "/session/token" && known:
			return 200, header, fmt.Sprintf(`{"data":{"token":"default","expires":%d}}`, time.Now().Add(time.Minute).UnixMilli())
		case r.RequestURI == "/session/token?template=app" && known && r.Header.Get("X-Wacht-Forwarded-For") == "192.0.2.7":
			header.Add("Set-Cookie", cookie+"-new")
			return 200, header, fmt.Sprintf(`{"data":{"token":"t%d","expires":%d}}`, made.Add(1), time.Now().Add(time.Minute).UnixMilli())
		default:
			return 200, header, `{"status":200,"data":{"id":"9"}}`
		}
	}}
	w := start(t, "upstream: { wacht: { url: "+stub.Start(t).String()+", token_path: /session/token }, timeout: 10s }", "whoami: { path: /session }")
	f := func(path string, status int, body, setCookie string, header ...string) {
		t.Helper()
		a := w.get(w.url+path, append(header, "X-Forwarded-For", "192.0.2.7")...)
		if a.status != status || !strings.Contains(a.body, body) || a.header.Get("Set-Cookie") != setCookie ||
			path != "/private" && !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s %q: status %d, %v, %s", path, header, a.status, a.header, a.body)
		}
	}
	f("/session/token?template=app", 401, `"status":401`, "")
	f("/session/token?template=app", 401, `"status":401`, "", "Cookie", "__session=e30.e30.other")
	f("/session", 200, `"s1"`, "", "Cookie", cookie) // so that it is remembered
	f("/session/token?template=app", 200, `"t1"`, cookie+"-new", "Cookie", cookie)
	f("/session/token", 200, `"default"`, "", "Cookie", cookie)
	f("/session/token?template=app", 200, `"t1"`, "", "Cookie", cookie)
	f("/session/token?template=a/b", 400, `"status":400`, "", "Cookie", cookie)
	f("/session", 200, `"s1"`, "", "Cookie", cookie)
	if a := w.do("POST", w.url+"/session/token", "", "Cookie", cookie); a.status != 405 {
		t.Errorf("POST: status %d", a.status)
	}
	if r := w.do("POST", w.admin+"/-/revoke", "session_id=s1", "Content-Type", "application/x-www-form-urlencoded"); r.status != 200 {
		t.Fatalf("revoke: status %d: %s", r.status, r.body)
	}
	f("/session/token?template=app", 200, `"t2"`, cookie+"-new", "Cookie", cookie)
	limited.Store(true)
	for range 2 { // and who asks for the session itself notices nothing
		before := stub.Questions()
		f("/session/token?template=other", 429, "Too many", "", "Cookie", cookie)
		f("/private", 200, "X-User-Id: u1", "", "Cookie", cookie)
		if n := stub.Questions() - before; n > 1 {
			t.Errorf("%d questions", n)
		}
	}
}
