package proxy_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// about returns the lines in which a front proxy describes a request, as Traefik and Caddy do.
func about(method, uri string, more ...string) []string {
	return append([]string{
		"X-Forwarded-Method: " + method, "X-Forwarded-Proto: https", "X-Forwarded-Host: app.example.com",
		"X-Forwarded-Uri: " + uri,
	}, more...)
}

const authPath = "/.gatehouse/auth"

// Allowed is exactly 200, with every identity header, empty if nothing is known (CVE-2026-30851).
func TestForwardAuthAllows(t *testing.T) {
	app := answering(t, ok("must not be seen"))
	g := newGateway(t, app, trusting)
	f := func(identity, email string, res response) {
		t.Helper()
		res.Header.Del("Date")
		want := http.Header{
			"Content-Length": {"0"}, "Cache-Control": {"no-store"}, "X-User-Id": {identity}, "X-User-Email": {email}, "X-User-Phone": {""},
		}
		if res.StatusCode != 200 || res.body != "" || cmp.Diff(want, res.Header) != "" {
			t.Errorf("status %d body %q (-want +got)\n%s", res.StatusCode, res.body, cmp.Diff(want, res.Header))
		}
	}
	const a, mail = "identity-alice", "alice@example.com"
	f(a, mail, g.get(authPath, about("GET", "/x", alice)...))
	f(a, mail, g.get(authPath, about("DELETE", "/x?a=/../b", "Cookie: ory_kratos_session="+aliceCookie)...))
	f(a, mail, g.get(authPath, about("GET", "/x", "Authorization: Bearer "+aliceToken)...))
	f(a, mail, g.get(authPath, about("GET", "/optional/x", alice)...))
	f("", "", g.get(authPath, about("GET", "/optional/x")...))
	f("", "", g.get(authPath, about("POST", "/public/x", alice)...))
	f("", "", g.get(authPath+"?q=1", about("GET", "/public/x")...))
	f("", "", g.get("/.gatehouse/%61uth", about("GET", "/public/x")...))

	// The question itself may come in any way; what it is about is in the headers.
	head := g.ask("HEAD " + authPath + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + strings.Join(about("GET", "/x", alice), "\r\n") + "\r\n\r\n")
	head.Header.Set("Content-Length", "0")
	f(a, mail, head)
	f(a, mail, g.ask(request("POST", authPath, "", about("GET", "/x", alice)...)))
	f(a, mail, g.ask(request("PROPFIND", authPath, "", about("GET", "/x", alice)...)))
	f(a, mail, g.get(authPath, about("GET", "/x", alice, "X-Original-Uri: /deny/x", "X-Original-Method: TRACE", "X-Forwarded-Port: a",
		"Forwarded: host=evil", "X-User-Id: root")...))
	for _, scheme := range []string{"http", "HTTPS", "ws", "wss"} {
		f(a, mail, g.get(authPath, "X-Forwarded-Method: GET", "X-Forwarded-Host: APP.example.com.:443", "X-Forwarded-Uri: /x",
			"X-Forwarded-Proto: "+scheme, alice))
	}
	f(a, mail, g.get(authPath, "X-Forwarded-Method: GET", "X-Forwarded-Host: app.example.com", "X-Forwarded-Uri: /x", alice))

	// nginx speaks HTTP/1.0, at first without Host, and wants the connection to end.
	for _, head := range []string{"", "Host: gatehouse\r\nConnection: close\r\n"} {
		c := g.dial()
		c.send("GET " + authPath + " HTTP/1.0\r\n" + head + strings.Join(about("GET", "/x", alice), "\r\n") + "\r\n\r\n")
		res := c.next("GET")
		if !res.Close {
			t.Error("the connection stays open")
		}
		res.Header.Del("Connection")
		f(a, mail, res)
		c.nothing()
	}
	if heads := app.heads(); len(heads) > 0 {
		t.Errorf("the application saw %q", heads)
	}
	if want := (observation{proxy.ForwardAuthFace, policy.Allowed, policy.SessionValid}); g.observer.last() != want {
		t.Errorf("observed %v", g.observer.last())
	}
}

// A front proxy may send the Content-Length of the request that it asks about and no body, or pass on a WebSocket handshake. It gets its
// answer at once, and whatever follows is not taken for a request.
func TestForwardAuthEndsOddConnections(t *testing.T) {
	g := newGateway(t, nil, trusting)
	for _, line := range []string{
		"Content-Length: 1000", "Transfer-Encoding: chunked", "Content-Length: 5\r\nTransfer-Encoding: chunked",
		"Connection: Upgrade\r\nUpgrade: websocket", "Expect: 100-continue\r\nContent-Length: 5",
	} {
		for _, method := range []string{"GET", "POST"} {
			c := g.dial()
			c.send(request(method, authPath, "", about("GET", "/x", alice, line)...))
			if res := c.next(method); res.StatusCode != 200 || !res.Close || res.Header.Get("X-User-Id") != "identity-alice" {
				t.Errorf("%q: status %d head %v", line, res.StatusCode, res.Header)
			}
			c.nothing()
		}
	}
	c := g.dial()
	for range 3 { // any other connection stays open
		c.send(request("GET", authPath, "", about("GET", "/x", alice)...))
		if res := c.next("GET"); res.StatusCode != 200 || res.Close {
			t.Errorf("status %d close %v", res.StatusCode, res.Close)
		}
	}
}

func TestForwardAuthRefuses(t *testing.T) {
	g := newGateway(t, nil, trusting)
	g.sessions.know("session_token down", upstream.Answer{}, errOutage)
	g.sessions.know("session_token weak", upstream.Answer{}, &upstream.Refusal{
		Status: 403, ContentType: "application/json",
		ErrorID: "session_aal2_required", Body: []byte(`{"a":1}`),
	})
	f := func(status int, reason policy.Reason, lines ...string) {
		t.Helper()
		res := g.get(authPath, lines...)
		if res.StatusCode != status || g.observer.last().Reason != reason || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("status %d, want %d; observed %v, want %s; head %v", res.StatusCode, status, g.observer.last(), reason, res.Header)
		}
		if res.Header.Get("X-User-Id") != "" {
			t.Errorf("a refusal with an identity: %v", res.Header)
		}
	}
	f(401, policy.NoCredential, about("GET", "/x")...)
	f(401, policy.NoSession, about("GET", "/x", "X-Session-Token: unknown")...)
	f(401, policy.MalformedCredential, about("GET", "/x", "X-Session-Token: a b")...)
	f(403, policy.RouteDenies, about("GET", "/deny/x", alice)...)
	f(403, policy.InsufficientAAL, about("GET", "/strong/x", alice)...)
	f(403, policy.RefusedByService, about("GET", "/x", "X-Session-Token: weak")...)
	f(503, policy.StoreUnavailable, about("GET", "/x", "X-Session-Token: down")...)
	f(503, policy.StoreUnavailable, about("GET", "/optional/x", "X-Session-Token: down")...)

	// Each of the headers must be there once, with one reading.
	bad := func(lines ...string) {
		t.Helper()
		f(400, policy.MalformedForward, append(lines, alice)...)
	}
	without := func(name string, more ...string) {
		t.Helper()
		var lines []string
		for _, line := range about("GET", "/x") {
			if !strings.HasPrefix(line, name+":") {
				lines = append(lines, line)
			}
		}
		bad(append(lines, more...)...)
	}
	bad()
	for name, values := range map[string][]string{
		"X-Forwarded-Method": {"", "GET, GET", "GET,GET", "GET /"},
		"X-Forwarded-Host":   {"", "a b", "a, b", "a,b", "eve:pw@app.example.com", "a/b", "app.example.com:x", "."},
		"X-Forwarded-Uri": {
			"", "x", "*", "//x", "/a/../b", "/a/..%2fb", "/a;/..;/b", "/a b", "/a, /b",
			"http://app.example.com/x", "/%zz", "/a#b", "/a\\b", "/\xff", "?x", "/a%00",
		},
		"X-Forwarded-Proto": {"", "ftp", "https, http", "https,http", "javascript"},
	} {
		if name != "X-Forwarded-Proto" { // without which it goes
			without(name)
			without(name, strings.ReplaceAll(name, "-", "_")+": GET")
		}
		for _, value := range values {
			without(name, name+": "+value)
		}
		for _, line := range about("GET", "/x") {
			if strings.HasPrefix(line, name+":") {
				bad(about("GET", "/x", line)...) // twice, even if equal
				bad(about("GET", "/x", strings.ToLower(name)+":")...)
			}
		}
	}
	f(400, policy.MalformedTarget, about("GET", "/a%2fb", alice)...)
	for _, method := range []string{"get", "TRACE", "CONNECT", "FOO"} {
		f(405, policy.UnsupportedMethod, about(method, "/x", alice)...)
	}
	for _, method := range []string{"TRACE", "CONNECT"} { // nor is the question itself asked in this way
		res := g.ask(request(method, authPath, "", about("GET", "/public/x")...))
		if res.StatusCode != 405 || g.observer.last().Reason != policy.UnsupportedMethod {
			t.Errorf("%s: status %d, observed %v", method, res.StatusCode, g.observer.last())
		}
	}
	if log := g.log.String(); !strings.Contains(log, "the header must be there once") || strings.Contains(log, aliceToken) {
		t.Errorf("log %q", log)
	}
}

// Only trusted peers are told anything, and nobody is asked for the others.
func TestForwardAuthIsForTrustedPeers(t *testing.T) {
	f := func(network string, trusted *proxy.Trusted, status int) {
		t.Helper()
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "s")
		}
		ln, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		g := newGateway(t, nil, func(s *setup) { s.Trusted, s.Listener = trusted, ln })
		res := g.get(authPath, about("GET", "/public/x", alice)...)
		if res.StatusCode != status || (res.Header["X-User-Id"] != nil) != (status == 200) {
			t.Errorf("%s, %+v: status %d head %v", network, trusted, res.StatusCode, res.Header)
		}
		told := g.observer.last().Reason == policy.UntrustedPeer && strings.Contains(g.log.String(), "not in trusted_proxies")
		if status == 403 && (!told || len(g.sessions.questions()) > 0) {
			t.Errorf("observed %v, log %q, asked %v", g.observer.last(), g.log, g.sessions.questions())
		}
	}
	of := func(prefixes ...string) *proxy.Trusted {
		t := new(proxy.Trusted)
		for _, p := range prefixes {
			t.Prefixes = append(t.Prefixes, netip.MustParsePrefix(p))
		}
		return t
	}
	f("tcp", nil, 403)
	f("tcp", of(), 403)
	f("tcp", of("10.0.0.0/8", "127.0.0.2/32", "::1/128"), 403)
	f("tcp", &proxy.Trusted{Unix: true}, 403)
	f("tcp", of("10.0.0.0/8", "127.0.0.1/32"), 200)
	f("unix", nil, 403)
	f("unix", of("0.0.0.0/0", "::/0"), 403)
	f("unix", &proxy.Trusted{Unix: true}, 200)
}

// A listener on both families sees IPv4 peers as IPv6 addresses; they are who they are.
func TestMappedAddressesAreIPv4(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, nil, trusting, func(s *setup) { s.Listener = mapped{ln} })
	if res := g.get(authPath, about("GET", "/public/x")...); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
}

// mapped is a listener whose peers have addresses such as ::ffff:127.0.0.1.
type mapped struct{ net.Listener }

func (l mapped) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return mappedConn{c}, nil
}

type mappedConn struct{ net.Conn }

func (c mappedConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), 9))
}

func TestFacesCanBeTurnedOff(t *testing.T) {
	app := answering(t, ok("app"))
	g := newGateway(t, app, trusting, func(s *setup) { s.ForwardAuthPath, s.WhoamiPath = "", "" })
	for _, path := range []string{authPath, "/sessions/whoami"} {
		if res := g.get(path, alice); res.StatusCode != 200 || res.body != "app" {
			t.Errorf("%s: status %d body %q", path, res.StatusCode, res.body)
		}
	}
	g = newGateway(t, nil)
	res := g.get("/x", alice)
	if res.StatusCode != 404 || g.observer.last().Reason != policy.NoApplication || len(g.observer.app) != 0 {
		t.Errorf("status %d, observed %v", res.StatusCode, g.observer.last())
	}
	// What is below the path of whoami is not ours.
	g = newGateway(t, app)
	for _, path := range []string{authPath + "x", "/.gatehouse", "/sessions/whoami/", "/sessions"} {
		if res := g.get(path, alice); res.body != "app" {
			t.Errorf("%s: %s", path, fmt.Sprint(res.StatusCode, res.body))
		}
	}
}
