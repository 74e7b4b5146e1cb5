package proxy_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// headOf returns the head that the application gets for a request.
func headOf(t *testing.T, g *gateway, app *scriptedApp, request string) string {
	t.Helper()
	before := len(app.heads())
	if res := g.ask(request); res.StatusCode != 200 {
		t.Fatalf("status %d for %q", res.StatusCode, request)
	}
	heads := app.heads()
	if len(heads) != before+1 {
		t.Fatalf("%d requests reached the application for %q", len(heads)-before, request)
	}
	return heads[len(heads)-1]
}

// oneConn makes a gateway use one connection to the application, so that what it received is in order.
func oneConn(s *setup) { s.App.MaxConns = 1 }

const (
	ofPublic = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: app.example.com\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\n" +
		"Forwarded: for=127.0.0.1;host=\"app.example.com\";proto=http\r\n"
	ofAlice = ofPublic + "X-User-Id: identity-alice\r\nX-User-Email: alice@example.com\r\n"
)

// The head of the request to the application has what the client sent, in order and byte for byte, without what belongs to its
// connection, without what only the gate may say, and with the identity.
func TestHeadForTheApplication(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn)
	f := func(request, want string) {
		t.Helper()
		if diff := cmp.Diff(want+"\r\n", headOf(t, g, app, request)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", request, diff)
		}
	}
	plain := func(path string, lines ...string) string { return request("GET", path, "", lines...) }
	get := func(path, lines string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: app.example.com\r\n" + lines
	}

	f(plain("/public/x"), get("/public/x", ofPublic))
	f(plain("/public/x", alice), get("/public/x", ofPublic)) // nobody is asked on a public route
	f(plain("/x", alice), get("/x", ofAlice))
	f(plain("/optional/x", alice), get("/optional/x", ofAlice))
	f(plain("/optional/x"), get("/optional/x", ofPublic))
	f(plain("/a%20b/%41;c=d?e=%2f&f=g//h/../i", alice), get("/a%20b/%41;c=d?e=%2f&f=g//h/../i", ofAlice))
	f(plain("/x?a=b?c", "Accept: */*", "accept: text/html", "X-Custom:  v  ", "x-empty:", "USER-AGENT: u", "Referer: r",
		"Content-Type: t", "Accept-Encoding: br", alice),
		get("/x?a=b?c", "Accept: */*\r\nAccept: text/html\r\nX-Custom: v\r\nX-Empty: \r\nUser-Agent: u\r\nReferer: r\r\n"+
			"Content-Type: t\r\nAccept-Encoding: br\r\n"+ofAlice))
	f(plain("/x", "X-Latin: caf\xe9", "X-Tab: a\tb", alice), get("/x", "X-Latin: caf\xe9\r\nX-Tab: a\tb\r\n"+ofAlice))
	f("GET /x HTTP/1.0\r\nHost: App.Example.COM.:80\r\n"+alice+"\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: App.Example.COM.:80\r\n"+strings.Replace(ofAlice, "app.example.com", "App.Example.COM.:80", -1))
	for _, method := range []string{"HEAD", "DELETE", "OPTIONS"} {
		f(request(method, "/x", "", alice), method+" /x HTTP/1.1\r\nHost: app.example.com\r\n"+ofAlice)
	}
	for _, method := range []string{"POST", "PUT", "PATCH"} {
		f(request(method, "/x", "", alice), method+" /x HTTP/1.1\r\nHost: app.example.com\r\n"+ofAlice+"Content-Length: 0\r\n")
	}

	// hop-by-hop
	f(plain("/x", "Connection: keep-alive, X-Hop , x-HOP2,,", "X-Hop: 1", "x-hop2: 1", "X-Hop3: 1", "Keep-Alive: 5",
		"Proxy-Connection: keep-alive", "TE: trailers",
		"Upgrade: h2c", "HTTP2-Settings: x", "Proxy-Authorization: Basic x", "Trailer: X-Sum", alice), get("/x", "X-Hop3: 1\r\n"+ofAlice))
	f(plain("/x", "Connection: X-Hop", "Connection: close", "X-Hop: 1", alice), get("/x", ofAlice))
	f(plain("/x", "Connection: close", "Connection: X-Hop", "X-Hop: 1", alice), get("/x", ofAlice))
	f(plain("/x", "Connection: Cookie, Accept", "Cookie: a=1", "Accept: */*", alice), get("/x", ofAlice))

	// the credential stays here, and everything else of those lines does not
	cookie := "ory_kratos_session=" + aliceCookie
	f(plain("/x", "Cookie: "+cookie), get("/x", ofAlice))
	f(plain("/x", "Cookie: a=\"x y\"; "+cookie+"; b=\xff;c={\"d\":1}"), get("/x", "Cookie: a=\"x y\"; b=\xff;c={\"d\":1}\r\n"+ofAlice))
	f(plain("/x", "Cookie: a=1", "Cookie: "+cookie, "Cookie: b=2"), get("/x", "Cookie: a=1\r\nCookie: b=2\r\n"+ofAlice))
	f(plain("/public/x", "Cookie: a=1; ory_kratos_session=x; ory_kratos_session=y"), get("/public/x", "Cookie: a=1\r\n"+ofPublic))
	f(plain("/x", "Authorization: Bearer "+aliceToken), get("/x", ofAlice))
	f(plain("/x", "Authorization: bearer  of-the-app", alice), get("/x", ofAlice))
	f(plain("/x", "Authorization: Basic YTpi", alice), get("/x", "Authorization: Basic YTpi\r\n"+ofAlice))
	f(plain("/public/x", "X_Session_Token: t", "X-Session-Token: t"), get("/public/x", ofPublic))
}

// Of a kind of credential that is not looked at, the application gets what the client sent.
func TestCredentialsOfTheApplicationPass(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, func(s *setup) { s.Credentials = proxy.Credentials{TokenHeader: "X-Session-Token"} })
	lines := []string{"Cookie: ory_kratos_session=x", "Authorization: Bearer of-the-app"}
	got := headOf(t, g, app, request("GET", "/x", "", append(lines, alice)...))
	if want := "GET /x HTTP/1.1\r\nHost: app.example.com\r\n" + strings.Join(lines, "\r\n") + "\r\n" + ofAlice + "\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// No spelling of an identity or forwarding header reaches the application, on any route (CVE-2025-64484, CVE-2026-39858,
// CVE-2026-88011, CVE-2026-30851, CVE-2023-27487 and, for the last ones, CVE-2025-29927).
func TestHeadersThatOnlyTheGateMayWrite(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn)
	var lines []string
	for _, name := range []string{
		"X-User-Id", "x-user-id", "X-USER-ID", "X_User_Id", "x.user.id", "X-User_Id", "X|User|Id", "X~User!Id", "X-User-Id",
		"X-User-Phone", "X_USER_PHONE",
		"X-Forwarded-For", "X_Forwarded_For", "X-Forwarded-Proto", "X.Forwarded.Proto", "X-Forwarded-Host", "X-Forwarded-Port",
		"X-Forwarded-Uri", "X-Forwarded-Prefix",
		"X-Forwarded-Method", "X-Forwarded-Server", "X-Forwarded-Anything", "Forwarded", "X-Real-Ip", "X_Real_Ip", "True-Client-Ip",
		"X-Client-Ip", "X-Cluster-Client-Ip",
		"X-Original-Url", "X_Original_Url", "X-Original-Uri", "X-Original-Method", "X-Original-Host", "X-Rewrite-Url",
		"X-Http-Method-Override", "X-Method-Override",
		"X-Http-Method", "X-Middleware-Subrequest", "X-Envoy-Original-Path", "X-Envoy-Anything", "X-Gatehouse-Reason",
		"X-Gatehouse-Cache", "X_Gatehouse_Cache",
		"X-Kratos-Authenticated-Identity-Id", "X_Kratos_Authenticated_Identity_Id", "Transfer_Encoding", "Content_Length",
		"Content.Length", "X_Session_Token",
		"Proxy", "Client-Ip", "X-Originating-Ip", "Front-End-Https", "X-Scheme", "X-Url-Scheme", "X-Original-Path", "X-Rewrite-Uri", "X-Override-Url",
		"X-Waws-Unencoded-Url", "X-Host", "X-Http-Host-Override",
		"Proxy_Connection", "X-Forwarded-" + strings.Repeat("x", 200),
	} {
		lines = append(lines, name+": root")
	}
	const get, host = " HTTP/1.1\r\nHost: app.example.com\r\n", "\r\n"
	for path, want := range map[string]string{"/public/x": ofPublic, "/optional/x": ofPublic} {
		if got := headOf(t, g, app, request("GET", path, "", lines...)); got != "GET "+path+get+want+host {
			t.Errorf("%s: %q", path, got)
		}
	}
	for _, path := range []string{"/x", "/optional/x"} {
		if got := headOf(t, g, app, request("GET", path, "", append(lines, alice)...)); got != "GET "+path+get+ofAlice+host {
			t.Errorf("%s: %q", path, got)
		}
	}
	// Nor can a client make what the gate writes disappear (CVE-2025-48865, GHSA-w9mr-28mw-j8hg).
	for _, line := range []string{
		"Connection: close, X-User-Id, X-Forwarded-For, Host", "Connection: X-User-Id",
		"Trailer: X-User-Id", "Connection: Trailer",
	} {
		if got := headOf(t, g, app, request("GET", "/x", "", line, alice)); got != "GET /x"+get+ofAlice+host {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// What a peer says of the client is passed on if the peer is trusted and it can be read; nothing else of it is.
func TestForwardingHeaders(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn, trusting)
	f := func(want string, lines ...string) {
		t.Helper()
		got := headOf(t, g, app, request("GET", "/public/x", "", lines...))
		if got != "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\n"+want+"\r\n" {
			t.Errorf("%q: %q", lines, got)
		}
	}
	said := func(chain, host, proto, port, first string, more ...string) string {
		if port != "" {
			port = "X-Forwarded-Port: " + port + "\r\n"
		}
		return fmt.Sprintf("X-Forwarded-For: %s\r\nX-Forwarded-Host: %s\r\nX-Forwarded-Proto: %s\r\n%sForwarded: for=%s;host=%q;proto=%s%s\r\n",
			chain, host, proto, port, first, host, proto, strings.Join(more, ""))
	}
	const appHost, last = "app.example.com", ", for=127.0.0.1"
	f(ofPublic)
	f(said("192.0.2.1, 127.0.0.1", "www.example.com:8443", "https", "8443", "192.0.2.1", last), "X-Forwarded-For: 192.0.2.1",
		"X-Forwarded-Host: www.example.com:8443", "X-Forwarded-Proto: https")
	f(said("192.0.2.1, 2001:db8::1,192.0.2.2, 127.0.0.1", appHost, "http", "80", "192.0.2.1", `, for="[2001:db8::1]", for=192.0.2.2`, last),
		"X-Forwarded-For: 192.0.2.1, 2001:db8::1,192.0.2.2")
	// HAProxy and others add a line of their own after the client's.
	f(said("203.0.113.9, 192.0.2.1, 127.0.0.1", appHost, "http", "80", "203.0.113.9", ", for=192.0.2.1", last),
		"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 192.0.2.1")
	// The port is what a trusted peer says, or that of the host, or the scheme's.
	f(said("127.0.0.1", appHost, "https", "443", "127.0.0.1"), "X-Forwarded-Proto: https", "X-Forwarded-Port: 443")
	f(said("127.0.0.1", appHost, "http", "65535", "127.0.0.1"), "X-Forwarded-Port: 65535")
	f(said("127.0.0.1", appHost, "https", "443", "127.0.0.1"), "X-Forwarded-Proto: https")
	f(said("127.0.0.1", "a", "http", "80", "127.0.0.1"), "X-Forwarded-Host: a")
	f(said("127.0.0.1", "[::1]", "http", "80", "127.0.0.1"), "X-Forwarded-Host: [::1]")
	f(said("127.0.0.1", "[::1]:90", "http", "90", "127.0.0.1"), "X-Forwarded-Host: [::1]:90")
	f(said("127.0.0.1", "a:", "http", "80", "127.0.0.1"), "X-Forwarded-Host: a:")
	f(said("127.0.0.1", "a:90", "http", "443", "127.0.0.1"), "X-Forwarded-Host: a:90", "X-Forwarded-Port: 443")
	for _, odd := range []string{"", "0", "65536", "-1", "+1", "443, 80", "https", "4 4", "0x50", "1_0"} {
		f(ofPublic, "X-Forwarded-Port: "+odd)
		f(said("127.0.0.1", appHost, "https", "443", "127.0.0.1"), "X-Forwarded-Proto: https", "X-Forwarded-Port: "+odd)
	}
	f(ofPublic, "X-Forwarded-Port: 1", "X-Forwarded-Port: 1")
	for _, odd := range []string{
		"", "a", "unknown", "192.0.2.1, a", "192.0.2.1,", "192.0.2.1:80", "192.0.2.256",
		"192.0.2.1 192.0.2.2", "192.0.2.1;x", `fe80::1%";proto=https`, "fe80::1%eth0",
	} {
		f(ofPublic, "X-Forwarded-For: "+odd)
		f(ofPublic, "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: "+odd)
	}
	// What a client says cannot take away what proxies have written behind it.
	for _, spoilt := range [][]string{
		{"evil, 203.0.113.9"},
		{",203.0.113.9"},
		{"192.0.2.1, evil , 203.0.113.9 "},
		{"unknown", "203.0.113.9"},
		{"192.0.2.1, evil", " 203.0.113.9"},
		{"", "203.0.113.9"},
	} {
		var lines []string
		for _, line := range spoilt {
			lines = append(lines, "X-Forwarded-For: "+line)
		}
		f(said("203.0.113.9, 127.0.0.1", appHost, "http", "80", "203.0.113.9", last), lines...)
	}
	for _, odd := range []string{"", "a b", "a, b", "eve:pw@a", "a/b", "a..b"} {
		f(ofPublic, "X-Forwarded-Host: "+odd)
	}
	f(ofPublic, "X-Forwarded-Host: a", "X-Forwarded-Host: b")
	for _, odd := range []string{"", "HTTPS", "ftp", "https, http", "https:"} {
		f(ofPublic, "X-Forwarded-Proto: "+odd)
	}
	f(ofPublic, "X-Forwarded-Proto: https", "X-Forwarded-Proto: http")
	f(ofPublic, "X-Forwarded-Prefix: /a", "Forwarded: for=1.2.3.4", "X-Real-Ip: 1.2.3.4",
		"X_Forwarded_Proto: https")

	// A unix socket has no address to add.
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	for _, trusted := range []bool{true, false} {
		want := "X-Forwarded-Host: app.example.com\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\nForwarded: host=\"app.example.com\";proto=http\r\n"
		if trusted {
			want = said("192.0.2.1", appHost, "https", "443", "192.0.2.1")
		}
		if !trusted {
			if ln, err = net.Listen("unix", filepath.Join(t.TempDir(), "s")); err != nil {
				t.Fatal(err)
			}
		}
		g := newGateway(t, app, oneConn, func(s *setup) {
			s.Listener = ln
			s.Trusted = &proxy.Trusted{Unix: trusted}
		})
		got := headOf(t, g, app, request("GET", "/public/x", "", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"))
		if got != "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\n"+want+"\r\n" {
			t.Errorf("unix socket, trusted %v: %q", trusted, got)
		}
	}
}

func TestHeadsThatCannotBePassedOn(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app)
	f := func(status int, lines ...string) {
		t.Helper()
		if res := g.get("/public/x", lines...); res.StatusCode != status {
			t.Errorf("status %d, want %d for %.60q", res.StatusCode, status, lines)
		}
	}
	many := make([]string, 127) // and Host
	for i := range many {
		many[i] = "A: b"
	}
	f(200, many...)
	f(431, append(many, "A: b")...)
	f(200, "Cookie: a="+strings.Repeat("x", 60<<10))
	f(431, "Cookie: a="+strings.Repeat("x", 64<<10))
	f(400, "X User-Id: v")
	f(400, "X-User-Id : v")
	f(400, "X-User(Id): v")
	f(400, "X-A: b", " c")
	if n := len(app.heads()); n != 2 {
		t.Errorf("%d requests reached the application, want 2", n)
	}
}

// The headers of the policy by which a request was judged are the ones that are stripped, although it has been replaced since.
func TestReloadWhileARequestIsJudged(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn)
	next, err := policy.Compile(leadingTo(g.pool, someRules), []policy.Header{{Name: "X-Other", Path: "identity.id"}})
	if err != nil {
		t.Fatal(err)
	}
	a := session("alice")
	g.sessions.decide("session_token "+aliceToken, func(time.Duration) (upstream.Answer, error) {
		g.SetPolicy(next)
		return hit(a), nil
	})
	spoofed := []string{"X-User-Id: root", "X-User-Phone: 1", alice}
	const line = "GET /x HTTP/1.1\r\nHost: app.example.com\r\n"
	if got := headOf(t, g, app, request("GET", "/x", "", spoofed...)); got != line+ofAlice+"\r\n" {
		t.Errorf("judged by the old policy: %q", got)
	}
	got := headOf(t, g, app, request("GET", "/x", "", "X-User-Id: app's", "X-Other: root", alice))
	if got != line+"X-User-Id: app's\r\n"+ofPublic+"X-Other: identity-alice\r\n\r\n" {
		t.Errorf("judged by the new policy: %q", got)
	}
}
