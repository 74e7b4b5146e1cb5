package proxy_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

const expects = "Expect: 100-continue"

func TestContinueIsSentOnlyWhereTheBodyIsWanted(t *testing.T) {
	app, uploads := taking(t)
	g := newGateway(t, app, trusting)

	wanted := func(target string, lines ...string) {
		t.Helper()
		before := len(g.sessions.questions())
		c := g.dial()
		c.send(request("POST", target, "", append(lines, "Content-Length: 5")...))
		if res := c.next("POST"); res.StatusCode != 100 {
			t.Fatalf("%s: status %d before the body", target, res.StatusCode)
		}
		c.send("hello")
		if res := c.next("POST"); res.StatusCode != 200 || res.Close {
			t.Errorf("%s: status %d close %v", target, res.StatusCode, res.Close)
		}
		if u := receive(t, uploads); u.body != "hello" || strings.Contains(u.head, "Expect") {
			t.Errorf("%s: upload %+v", target, u)
		}
		if asked := len(g.sessions.questions()) - before; asked > 1 {
			t.Errorf("%s: judged %d times", target, asked)
		}
		c.send(request("GET", "/x", ""))
		if res := c.next("GET"); res.StatusCode != 401 {
			t.Errorf("%s: the next request on the connection got %d", target, res.StatusCode)
		}
	}
	wanted("/public/x", expects)
	wanted("/x", expects, alice)
	wanted("/x", "expect: 100-CONTINUE", alice) // RFC 9110 section 10.1.1

	refused := func(target string, status int, lines ...string) {
		t.Helper()
		c := g.dial()
		c.send(request("POST", target, "", append(lines, "Content-Length: 5")...))
		res := c.next("POST")
		if res.StatusCode != status || !res.Close {
			t.Errorf("%s: status %d close %v", target, res.StatusCode, res.Close)
		}
		c.nothing()
	}
	refused("/x", 401, expects)
	refused("/x", 401, expects, "X-Session-Token: unknown")
	refused("/x", 401, expects, "X-Session-Token: not a token")
	refused("/deny/x", 403, expects, alice)
	refused("/strong/x", 403, expects, alice)
	refused("/a/../b", 400, expects, alice)
	refused("/public/x", 400, expects, "Transfer-Encoding: chunked")
	refused("/.gatehouse/auth", 400, expects, alice)
	refused("/sessions/whoami", 405, expects, alice)

	// Other expectations are not ours to meet, and HTTP/1.0 has none.
	res := g.ask(request("POST", "/public/x", "hello", "Expect: 200-ok"))
	if u := receive(t, uploads); res.StatusCode != 200 || strings.Contains(u.head, "Expect") {
		t.Errorf("status %d upload %+v", res.StatusCode, u)
	}
	res = g.ask("POST /public/x HTTP/1.0\r\nHost: app.example.com\r\n" + expects + "\r\nContent-Length: 5\r\n\r\nhello")
	if u := receive(t, uploads); res.StatusCode != 200 || u.body != "hello" {
		t.Errorf("status %d upload %+v", res.StatusCode, u)
	}

	o := g.observer
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.began != o.ended || o.began != len(o.decided) {
		t.Errorf("%d requests began, %d were decided and %d ended", o.began, len(o.decided), o.ended)
	}
}

// What was found out about a request that expects 100 Continue is never used for another one.
func TestExpectationDoesNotCarryOver(t *testing.T) {
	app := answering(t, ok("app"))
	g := newGateway(t, app, trusting, func(s *setup) {
		s.Rules = []policy.Rule{
			{Path: "/sessions/*", Access: policy.PublicAccess},
			{Path: "/.gatehouse/*", Access: policy.PublicAccess},
			{Path: "/public/*", Access: policy.PublicAccess},
			{Path: "/*", Access: policy.SessionAccess},
		}
	})
	for _, path := range []string{"/sessions/whoami", "/.gatehouse/auth", "/public/x"} {
		for _, line := range []string{expects, expects + "\r\nContent-Length: 0"} {
			c := g.dial()
			c.send(request("GET", path, "", line, alice, "X-Forwarded-Method: GET", "X-Forwarded-Host: app.example.com", "X-Forwarded-Uri: /x"))
			if c.next("GET").StatusCode == 100 {
				c.next("GET")
			}
			c.send(request("GET", "/x", ""))
			if res := c.next("GET"); res.StatusCode != 401 {
				t.Errorf("%s and %q: the next request got %d and %q", path, line, res.StatusCode, res.body)
			}
			_ = c.Close()
		}
	}
	if want := (observation{proxy.ProxyFace, policy.Unauthenticated, policy.NoCredential}); g.observer.last() != want {
		t.Errorf("observed %v", g.observer.last())
	}
}
