package proxy_test

import (
	"net"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/hostile"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// A rule for a host holds for every spelling of it (CVE-2026-48794, CVE-2026-42273, CVE-2026-27588, CVE-2019-18802, CVE-2022-23632), and
// what is no host, or more than one, is refused.
func TestHostsHaveOneReading(t *testing.T) {
	hosts := func(s *setup) {
		s.Rules = []policy.Rule{
			{Host: "admin.example.com", Path: "/*", Access: policy.SessionAccess},
			{Host: "*.example.com", Path: "/*", Access: policy.PublicAccess},
		}
	}
	var attacks []attack
	add := func(status int, names ...string) {
		for _, name := range names {
			attacks = append(attacks, attack{name, "GET /x HTTP/1.1\r\nHost: " + name + "\r\n\r\n", status})
		}
	}
	add(401, "ADMIN.example.com", "admin.example.com.", "admin.example.com:80", "Admin.Example.Com.:8080", "admin.example.com ",
		"\tadmin.example.com")
	add(400, "admin.example.com..", "admin.example.com%2e", "eve:pw@www.example.com", "www.example.com@admin.example.com",
		"www.example.com, admin.example.com",
		"www.example.com/x", "www.example.com?x", "www.example.com#x", `www.example.com\x`, "www.example.com:80:80", "www.example.com:x",
		"www.example.com:-1",
		"www .example.com", "www.exämple.com", "", ":80", "[::1", "www.example.com\x00")
	mount(t, "", attacks, hosts)
	g := newGateway(t, answering(t, ok("must not be seen")), hosts)
	for _, name := range []string{"evil.org", "example.com", "xexample.com", "127.0.0.1", "[::1]", "www.example.com.evil.org"} {
		if res := g.ask("GET /x HTTP/1.1\r\nHost: " + name + "\r\n\r\n"); res.StatusCode != 403 && res.StatusCode != 421 {
			t.Errorf("%s: status %d", name, res.StatusCode)
		}
	}
}

// Methods that open a tunnel, show the client what the application is told, or that nobody knows, are refused, and what follows them is
// not read (CVE-2026-71324). Methods are not changed by headers.
func TestMethodsAreAClosedList(t *testing.T) {
	var attacks []attack
	add := func(name, method, target string, lines ...string) {
		attacks = append(attacks, attack{name + " " + method + " " + target, request(method, target, "", lines...), 405})
	}
	add("CVE-2026-71324", "CONNECT", "/public/x")
	add("CVE-2026-71324 with a body", "CONNECT", "/public/x", "Content-Length: 60")
	add("CVE-2026-71324 chunked", "CONNECT", "/public/x", "Transfer-Encoding: chunked")
	add("cross-site tracing", "TRACE", "/public/x", alice)
	for _, method := range []string{"get", "Get", "G!T", "PURGE", "DEBUG", "PUBLIC", "TRACK", "PRI"} {
		add("unknown", method, "/public/x")
	}
	mount(t, "", attacks)

	app := answering(t, ok("must not be seen"))
	g := newGateway(t, app)
	c := g.dial()
	c.send(request("CONNECT", "app.example.com:443", "") + request("GET", "/public/smuggled", ""))
	if rest := c.rest(); !strings.HasPrefix(rest, "HTTP/1.1 405 ") || strings.Count(rest, "HTTP/1.1 ") != 1 || len(app.heads()) > 0 {
		t.Errorf("answered %q, and the application saw %q", rest, app.heads())
	}
}

// Nothing that a client says of itself opens a route: no User-Agent of a health check, no path of one and no OPTIONS
// (CVE-2026-34457).
func TestNobodyIsLetInForWhatTheySay(t *testing.T) {
	mount(t, "", []attack{
		{"CVE-2026-34457", request("GET", "/x", "", "User-Agent: GoogleHC/1.0"), 401},
		{"CVE-2026-34457 probe", request("GET", "/x", "", "User-Agent: kube-probe/1.30"), 401},
		{"CVE-2026-34457 none", request("GET", "/x", ""), 401},
		{"CVE-2026-34457 empty", request("GET", "/x", "", "User-Agent:"), 401},
		{"health", request("GET", "/healthz", ""), 401},
		{"metrics", request("GET", "/metrics", ""), 401},
		{"readiness", request("GET", "/health/ready", ""), 401},
		{"OPTIONS", request("OPTIONS", "/x", "hello"), 401},
		{"OPTIONS with an origin", request("OPTIONS", "/x", "", "Origin: https://evil.example.com"), 401},
		{"OPTIONS of the server", "OPTIONS * HTTP/1.1\r\nHost: app.example.com\r\n\r\n", 400},
	})
}

// Only HTTP/1.0 and HTTP/1.1 are spoken: no other version is passed on, and no preface of HTTP/2 (RFC 9113 section 3.4) begins anything.
func TestOtherVersionsAreRefused(t *testing.T) {
	app := answering(t, ok("must not be seen"))
	g := newGateway(t, app)
	smuggled := request("GET", "/public/smuggled", "")
	for _, sent := range []string{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /public/x HTTP/2.0\r\nHost: app.example.com\r\n\r\n",
		"GET /public/x HTTP/9.9\r\nHost: app.example.com\r\n\r\n",
		"GET /public/x HTTP/1.9\r\nHost: app.example.com\r\n\r\n", "GET /public/x\r\n\r\n",
		"GET /public/x http/1.1\r\nHost: app.example.com\r\n\r\n",
		"GET /public/x HTTP/1.1x\r\nHost: app.example.com\r\n\r\n", "GET /public/x HTTP/1.1 \r\nHost: app.example.com\r\n\r\n",
		"GET /public/x HTTPS/1.1\r\nHost: app.example.com\r\n\r\n", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
	} {
		c := g.dial()
		c.send(sent + smuggled)
		rest := c.rest()
		if statuses := hostile.Statuses([]byte(rest)); len(statuses) != 1 || statuses[0] != 400 && statuses[0] != 505 {
			t.Errorf("%q: answered %q", sent, rest)
		}
	}
	if heads := app.heads(); len(heads) > 0 {
		t.Errorf("the application saw %q", heads)
	}
}

// An empty line before a request is passed over (RFC 9112 section 2.2); anything else there is not.
func TestEmptyLinesBeforeARequest(t *testing.T) {
	app := answering(t, ok("hello"))
	g := newGateway(t, app)
	c := g.dial()
	for _, before := range []string{"", "\r\n", "\r\n\r\n"} {
		c.send(before + request("GET", "/public/x", ""))
		if res := c.next("GET"); res.StatusCode != 200 {
			t.Errorf("%q: status %d", before, res.StatusCode)
		}
	}
	seen := len(app.heads())
	for _, before := range []string{" \r\n", "\r", "\x00", "x\r\n", "0\r\n\r\n", " "} {
		c := g.dial()
		c.send(before + request("GET", "/public/x", ""))
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		if rest := c.rest(); !strings.HasPrefix(rest, "HTTP/1.1 4") || strings.Count(rest, "HTTP/1.1 ") != 1 {
			t.Errorf("%q: answered %q", before, rest)
		}
	}
	if heads := app.heads(); len(heads) != seen {
		t.Errorf("the application saw %q", heads[seen:])
	}
}
