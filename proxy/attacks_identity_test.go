package proxy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// All that is known to smuggle an identity past a gateway, in one request: the application gets exactly the identity that the gate wrote,
// with a body and without.
func TestAllIdentityAttacksAtOnce(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn)
	lines := []string{
		"X-User-Id: root", "x-user-id: root2", "X_User_Id: root", "X.User.Id: root", "-X-User-Id: root",
		"X-User-Phone: 1", // aliases and duplicates
		"Connection: close, X-User-Id, X-User-Email, Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x", // GHSA-w9mr-28mw-j8hg
		"Trailer: X-User-Id, X-User-Email", "TE: trailers", // what is named in Trailer is left out by fasthttp's own writer
		"Transfer_Encoding: chunked", "Content_Length: 3", "Proxy-Authorization: Basic eDp5", alice,
	}
	got := headOf(t, g, app, request("GET", "/x", "", lines...))
	if want := "GET /x HTTP/1.1\r\nHost: app.example.com\r\n-X-User-Id: root\r\n" + ofAlice + "\r\n"; got != want {
		t.Errorf("the application got %q, want %q", got, want)
	}
	g.ask(request("POST", "/x", "", append(lines, "Transfer-Encoding: chunked")...) +
		"5\r\nhello\r\n0\r\nX-User-Id: root\r\nX-User-Email: root\r\n\r\n")
	_, last, _ := strings.Cut(strings.Join(app.received(), ""), "POST /x")
	if !strings.HasSuffix(last, "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n") ||
		strings.Count(last, "root") != 1 || strings.Count(last, "\r\nX-User-Id: identity-alice\r\n") != 1 { // the root of -X-User-Id
		t.Errorf("the application got %q", last)
	}
}

// Identity headers are removed whatever their spelling in the configuration (CVE-2026-33433).
func TestConfiguredSpellingDoesNotMatter(t *testing.T) {
	app := answering(t, ok(""))
	for _, name := range []string{"x-user-id", "X-USER-ID", "X-User-ID"} {
		g := newGateway(t, app, oneConn, func(s *setup) { s.Headers = []policy.Header{{Name: name, Path: "identity.id"}} })
		head := headOf(t, g, app, request("GET", "/x", "", "X-User-Id: root", "x-user-id: root", "X_USER_ID: root", alice))
		if strings.Contains(head, "root") || !strings.Contains(head, "\r\n"+name+": identity-alice\r\n") {
			t.Errorf("%s: the application got %q", name, head)
		}
	}
}

// What users choose for themselves becomes the value of one header line, and cannot be taken for a list or for another header
// (CVE-2023-27493).
func TestTraitsStayInTheirHeader(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn)
	for trait, want := range map[string]string{
		"a\r\nX-Role: admin": "a%0D%0AX-Role: admin",
		"a\nX-User-Id: root": "a%0AX-User-Id: root",
		"a\x00b":             "a%00b",
		"zoë":                "zo%C3%AB",
		" a ":                "%20a%20",
		`["admin"]`:          `%5B"admin"]`,
		"100%0d%0a":          "100%250d%250a",
		"bob,admin":          "bob,admin", // one string, of which a list would begin with '['
		"a\u2028\x7f":        "a%E2%80%A8%7F",
	} {
		s := session("alice")
		email, _ := json.Marshal(trait)
		s.Body = []byte(`{"identity":{"id":"identity-alice","traits":{"email":` + string(email) + `}}}`)
		g.sessions.know("session_token "+aliceToken, hit(s), nil)
		if head := headOf(t, g, app, request("GET", "/x", "", alice)); !strings.HasSuffix(head, "\r\nX-User-Email: "+want+"\r\n\r\n") {
			t.Errorf("%q became %q", trait, head)
		}
	}
	s := session("alice")
	s.Body = []byte(`{"identity":{"id":["a,b","c\r\nd"],"traits":{"email":null}}}`)
	g.sessions.know("session_token "+aliceToken, hit(s), nil)
	head := headOf(t, g, app, request("GET", "/x", "", alice))
	if !strings.HasSuffix(head, "\r\nX-User-Id: [\"a,b\",\"c\\r\\nd\"]\r\n\r\n") {
		t.Errorf("a list became %q", head)
	}
}

// Whatever is wrong with a credential, there is no 2xx and no identity (CVE-2026-25748).
func TestBrokenCredentialsAreNobody(t *testing.T) {
	app := answering(t, ok("must not be seen"))
	g := newGateway(t, app, trusting)
	g.sessions.know("session_token empty", upstream.Answer{Session: &upstream.Session{}}, nil) // a session that says nothing
	for _, line := range []string{
		"Cookie: ory_kratos_session=garbage", "Cookie: ory_kratos_session=", "Cookie: ory_kratos_session",
		"Cookie: ory_kratos_session=\"", "Cookie: =" + aliceCookie,
		"Cookie: ory_kratos_session=%00", "Cookie: ory_kratos_session=a b",
		"Cookie: ORY_KRATOS_SESSION=" + aliceCookie, "Cookie: a=ory_kratos_session=" + aliceCookie,
		"Cookie: ory_kratos_session=" + strings.Repeat("x", 16<<10), "Cookie: " + strings.Repeat("ory_kratos_session=x; ", 20), "Cookie:",
		"Authorization: Bearer",
		"Authorization: Bearer  " + aliceToken, "Authorization: " + aliceToken, "Authorization: Bearer " + aliceToken + ",x",
		"Authorization: Basic eDp5",
		"X-Session-Token: " + aliceToken + " ,x", "X_Session_Token: " + aliceToken, "X-Session-Token: \x80",
		"X-Session-Cookie: ory_kratos_session=" + aliceCookie, "X-Session-Cookie: " + aliceCookie + ";x", `X-Session-Cookie: "` + aliceCookie + `"`,
		"X_Session_Cookie: " + aliceCookie,
	} {
		if res := g.get("/x", line); res.StatusCode != 401 {
			t.Errorf("%.60q: status %d", line, res.StatusCode)
		}
		if res := g.get(authPath, about("GET", "/x", line)...); res.StatusCode != 401 || res.Header["X-User-Id"] != nil {
			t.Errorf("%.60q: forward-auth answered %d and %v", line, res.StatusCode, res.Header)
		}
		if res := g.get("/sessions/whoami", line); res.StatusCode != 401 {
			t.Errorf("%.60q: whoami answered %d", line, res.StatusCode)
		}
	}
	if heads := app.heads(); len(heads) > 0 {
		t.Errorf("the application saw %q", heads)
	}
}

// The session cookie is found where Kratos finds it, the service is asked about nothing else, and the application gets all other cookies
// as they came. Parsers differ in all of these lines.
func TestWhichCookieCounts(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn)
	f := func(asked, left string, lines ...string) {
		t.Helper()
		before := len(g.sessions.questions())
		var cookies []string
		for _, line := range lines {
			cookies = append(cookies, "Cookie: "+strings.ReplaceAll(line, "SID=", "ory_kratos_session="))
		}
		head := headOf(t, g, app, request("GET", "/optional/x", "", cookies...))
		var got []string
		for _, q := range g.sessions.questions()[before:] {
			got = append(got, q.credential)
		}
		if diff := cmp.Diff(asked, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q: the service was asked (-want +got)\n%s", lines, diff)
		}
		if want := "GET /optional/x HTTP/1.1\r\nHost: app.example.com\r\n" + left + ofPublic + "\r\n"; head != want {
			t.Errorf("%q: the application got %q, want %q", lines, head, want)
		}
	}
	f("cookie 1;2", "", "SID=1; SID=2") // the service decides, which of them it can read
	f("cookie evil;good", "Cookie: a=\"x; y\"\r\n", `a="x; SID=evil; y"; SID=good`)
	f("cookie good", "Cookie: prefs={\"a\":1}\r\n", `prefs={"a":1}; SID=good`)
	f("", "", `SID=1"`)
	f("", "", `SID=a"b`)
	f("", "", "SID=\xc3\xa9")
	f("cookie 1", "Cookie: a\r\n", "a;SID=1")
	f("cookie 1;2", "", "SID=1", "SID=2")
	f("cookie 1", "Cookie: a=1; b=\"2\"; c={\"d\":\"e,f\"}; =g; h\r\n", `a=1; b="2"; c={"d":"e,f"}; =g; SID=1; h`)
}
