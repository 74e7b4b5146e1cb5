package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A front is a front proxy, and what is different behind it.
type front struct {
	start    func(t testing.TB, p places) (address string) // runs it between Gatehouse and the application until the test ends
	outage   int                                           // the status of an outage of the session service
	ownPages bool                                          // whether refusals have its own body instead of what Gatehouse says
}

// test runs every case against a front proxy.
func (f front) test(t *testing.T) {
	w := startWorld(t, "")
	address := f.start(t, w.places)
	for _, c := range []struct {
		name string
		run  func(c *client)
	}{
		{"allow", allow},
		{"deny", deny},
		{"login", login},
		{"step-up", stepUp},
		{"spoofed headers", spoofed},
		{"paths", paths},
		{"websocket", webSocket},
		{"renewed cookie", renewed},
		{"large cookie", largeCookie},
		{"two people on one connection", alternating},
		{"outage", outage},
		{"no Gatehouse", unreachable}, // and none after it
	} {
		t.Run(c.name, func(t *testing.T) {
			one := &client{T: t, world: w, front: f, address: address}
			one.http = clientOf(t, address, &one.dialed)
			c.run(one)
		})
	}
}

func allow(c *client) {
	alice := c.service.SignIn(upstreamtest.Login{})
	for _, line := range []string{cookie(alice), "X-Session-Token: " + alice.Token, "Authorization: Bearer " + alice.Token} {
		a := c.do("GET", "/a/b?c=d&e=%2Ff", "", line)
		c.passed(a, alice)
		if a.app.URI != "/a/b?c=d&e=%2Ff" || a.app.Method != "GET" || a.app.Host != host {
			c.Errorf("the application saw %v", a.app)
		}
	}
	a := c.do("POST", "/a", "name=value", cookie(alice), "Content-Type: application/x-www-form-urlencoded")
	c.passed(a, alice)
	if a.app.Method != "POST" || a.app.Body != "name=value" {
		c.Errorf("the application saw %v", a.app)
	}
	for _, method := range []string{"HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		if a := c.do(method, "/a", "", cookie(alice)); a.status != 200 || a.app == nil {
			c.Errorf("%s: status %d", method, a.status)
		}
	}
	c.passed(c.do("GET", "/assets/x", ""), upstreamtest.Login{}) // public, and nobody's
}

func deny(c *client) {
	for _, lines := range [][]string{
		nil,
		{"Accept: application/json"},
		{"X-Session-Token: unknown"},
		{"X-Requested-With: XMLHttpRequest", "Accept: text/html"},
		{"Sec-Fetch-Mode: cors", "Accept: text/html"},
		{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: image", "Accept: text/html"},
	} {
		for _, method := range []string{"GET", "POST"} {
			a := c.do(method, "/a?b=c", "", lines...)
			c.refused(a, 401)
			if a.header.Get("WWW-Authenticate") == "" || a.header.Get("Location") != "" {
				c.Errorf("head %v", a.header)
			}
			if !c.front.ownPages && a.header.Get("Content-Type") != "application/problem+json" {
				c.Errorf("%s %q", a.header.Get("Content-Type"), a.body)
			}
		}
	}
	c.refused(c.do("HEAD", "/a", ""), 401)
}

func login(c *client) {
	const target = "/a/b?c=d&e=%2Ff+g"
	want := loginURL + "?return_to=" + url.QueryEscape("http://"+host+target)
	for _, method := range []string{"GET", "HEAD", "POST"} {
		a := c.do(method, target, "", browserLines...)
		c.led(a, want)
		if !strings.HasPrefix(a.header.Get("Set-Cookie"), "gatehouse-login=1-") {
			c.Errorf("cookies %q", a.header["Set-Cookie"])
		}
	}
	alice := c.service.SignIn(upstreamtest.Login{})
	a := c.do("GET", target, "", append(browserLines, cookie(alice))...)
	c.passed(a, alice)
	if a.app.URI != target {
		c.Errorf("came back to %q", a.app.URI)
	}
}

func stepUp(c *client) {
	// The route asks for more than the session has, which is good for other routes.
	alice := c.service.SignIn(upstreamtest.Login{})
	back := "return_to=" + url.QueryEscape("http://"+host+"/settings/a?b=c")
	c.led(c.do("GET", "/settings/a?b=c", "", append(browserLines, cookie(alice))...), loginURL+"?aal=aal2&"+back)
	c.refused(c.do("GET", "/settings/a?b=c", "", cookie(alice)), 403)
	c.passed(c.do("GET", "/a", "", cookie(alice)), alice)
	alice.AAL, alice.Body = upstream.AAL2, nil
	c.service.SignIn(alice)
	c.passed(c.do("GET", "/settings/a?b=c", "", append(browserLines, cookie(alice))...), alice)

	// Kratos refuses the session until it is raised.
	bob := c.service.SignIn(upstreamtest.Login{NeedsAAL2: true})
	c.led(c.do("GET", "/settings/a?b=c", "", append(browserLines, cookie(bob))...), upstreamtest.AAL2Refusal().Redirect+"&"+back)
	a := c.do("GET", "/a", "", cookie(bob))
	c.refused(a, 403)
	if !c.front.ownPages && a.body != upstreamtest.AAL2Body {
		c.Errorf("body %q", a.body)
	}
	bob.NeedsAAL2, bob.AAL, bob.Body = false, upstream.AAL2, nil
	c.service.SignIn(bob)
	c.passed(c.do("GET", "/settings/a?b=c", "", append(browserLines, cookie(bob))...), bob)
}

// What a client sends under other names reaches neither Gatehouse nor the application.
func spoofed(c *client) {
	lies := []string{
		"X-User-Id: mallory", "X-User-Id: root", "x-user-id: mallory", "X_User_Id: mallory", "X.User.Id: mallory", "X-User_Id: mallory",
		"X-User-Email: root@example.com", "x_user_email: root@example.com",
		"X-Forwarded-Uri: /assets/x", "X_Forwarded_Uri: /assets/x", "X-Forwarded-Method: OPTIONS", "X-Forwarded-Host: evil.example.com",
		"X-Forwarded-Proto: https", "X-Original-URL: http://" + host + "/assets/x", "X-Original-URI: /assets/x", "X-Original-Method: OPTIONS",
		"X-Original-Uri: /assets/x", "X-Original-Host: evil.example.com", "X-Rewrite-Url: /assets/x", "X-HTTP-Method: DELETE",
		"X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "X-Middleware-Subrequest: middleware",
	}
	c.refused(c.do("GET", "/a", "", lies...), 401)
	c.led(c.do("GET", "/a?b", "", append(browserLines, lies...)...), loginURL+"?return_to="+url.QueryEscape("http://"+host+"/a?b"))
	c.passed(c.do("GET", "/assets/x", "", lies...), upstreamtest.Login{})

	alice := c.service.SignIn(upstreamtest.Login{})
	for _, more := range [][]string{nil, {"Connection: X-User-Id, X-User-Email"}, {"Trailer: X-User-Id"}, {"Connection: Cookie"}, {"Connection: X-Forwarded-Uri"}} {
		a := c.do("GET", "/a", "", append(append(lies, more...), cookie(alice))...)
		if a.status == 401 && slices.Contains(more, "Connection: Cookie") {
			continue // it is its own loss
		}
		c.passed(a, alice)
		for _, name := range []string{
			"X-Forwarded-Uri", "X-Forwarded-Method", "X-Original-Url", "X-Original-Uri", "X-Original-Method", "X-Original-Host", "X-Rewrite-Url",
			"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Middleware-Subrequest",
		} {
			if got := a.app.Header[name]; got != nil && got[0] != "/a" {
				c.Errorf("the application got %s: %q", name, got)
			}
		}
		if got := a.app.Header.Get("X-Forwarded-Host"); got != host {
			c.Errorf("the application got X-Forwarded-Host: %q", got)
		}
	}
}

// parameters are those of the segments of a path, which play no part in what it is, and the query.
var parameters = regexp.MustCompile(`;[^/?]*|\?.*`)

// However a path is spelt, strangers get nothing that is not public.
func paths(c *client) {
	for _, target := range []string{
		"/assets/../a", "/assets/%2e%2e/a", "/assets/%2E./a", "/assets/..%2fa", "/assets/%2e%2e%2fa", "/assets/..%5ca", `/assets/..\a`, "/assets/..;/a",
		"/assets/.;/../a", "/assets/x/../../a", "/assets//../a", "/assets/x/..//../a", "/./a", "/%61", "/assets%2f..%2fa", "/assets%00/a",
		"/assetsx", "/ASSETS/x", "/assets;/a", "/a?/../assets/x", "/a#/../assets/x", "/a%23/../assets/x", "/assets/%252e%252e/a", "/assets/x",
	} {
		a := c.do("GET", target, "")
		if a.app == nil {
			continue
		}
		served, err := url.PathUnescape(parameters.ReplaceAllString(a.app.URI, ""))
		if err != nil || !strings.HasPrefix(path.Clean(served)+"/", "/assets/") || strings.Contains(served, `\`) {
			c.Errorf("%s was served as %s, status %d", target, a.app.URI, a.status)
		}
	}
}

func webSocket(c *client) {
	alice := c.service.SignIn(upstreamtest.Login{})
	handshake := func(lines ...string) (*http.Response, net.Conn, *bufio.Reader) {
		c.Helper()
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			c.Fatal(err)
		}
		c.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		head := append([]string{
			"GET /socket?a=b HTTP/1.1", "Host: " + host, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: http://" + host,
		}, lines...)
		if _, err := io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n"); err != nil {
			c.Fatal(err)
		}
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			c.Fatal(err)
		}
		return resp, conn, r
	}
	resp, conn, r := handshake(cookie(alice))
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("X-User-Id") != alice.IdentityID {
		c.Fatalf("status %d, head %v", resp.StatusCode, resp.Header)
	}
	if _, err := io.WriteString(conn, "through\n"); err != nil {
		c.Fatal(err)
	}
	if line, err := r.ReadString('\n'); err != nil || line != "through\n" {
		c.Errorf("came back as %q, %v", line, err)
	}
	before := c.asked.Load()
	if resp, _, _ := handshake(browserLines...); resp.StatusCode != 401 || c.asked.Load() != before {
		c.Errorf("without a session: status %d", resp.StatusCode)
	}
}

// A renewed session cookie reaches the browser with the answer to the request that caused it, beside the application's own cookies.
func renewed(c *client) {
	alice := c.service.SignIn(upstreamtest.Login{Renewed: "newer"})
	a := c.do("GET", "/a", "", cookie(alice))
	c.passed(a, alice)
	all := strings.Join(a.header["Set-Cookie"], "\n")
	if len(a.header["Set-Cookie"]) != 2 || !strings.Contains(all, upstreamtest.DefaultCookie+"=newer; ") || !strings.Contains(all, "theme=dark") {
		c.Errorf("cookies %q", a.header["Set-Cookie"])
	}
	a = c.do("GET", "/a", "", "Cookie: "+upstreamtest.DefaultCookie+"=newer")
	c.passed(a, alice)
	if got := a.header["Set-Cookie"]; !slices.Equal(got, []string{"theme=dark; Path=/"}) {
		c.Errorf("cookies %q", got)
	}
}

func largeCookie(c *client) {
	alice := c.service.SignIn(upstreamtest.Login{})
	large := "large=" + strings.Repeat("c", 8<<10)
	for _, line := range []string{cookie(alice) + "; " + large, strings.Replace(cookie(alice), ": ", ": "+large+"; ", 1)} {
		a := c.do("GET", "/a", "", line)
		c.passed(a, alice)
		if !strings.Contains(a.app.Header.Get("Cookie"), large) {
			c.Errorf("the application got %d bytes of cookies", len(a.app.Header.Get("Cookie")))
		}
	}
}

func alternating(c *client) {
	people := []upstreamtest.Login{c.service.SignIn(upstreamtest.Login{}), c.service.SignIn(upstreamtest.Login{})}
	for i := range 60 {
		switch {
		case i%3 == 2:
			c.refused(c.do("GET", "/a", ""), 401)
		default:
			c.passed(c.do("GET", "/a", "", cookie(people[i%3])), people[i%3])
		}
	}
	if n := c.dialed.Load(); n != 1 {
		c.Errorf("there were %d connections", n)
	}
}

func outage(c *client) {
	alice, bob := c.service.SignIn(upstreamtest.Login{}), c.service.SignIn(upstreamtest.Login{})
	c.passed(c.do("GET", "/a", "", cookie(alice)), alice)
	c.service.Break(upstreamtest.Down)
	defer c.service.Break(upstreamtest.Healthy)
	for _, lines := range [][]string{{cookie(bob)}, append(browserLines, cookie(bob))} {
		a := c.do("GET", "/a", "", lines...)
		c.refused(a, c.front.outage)
		if c.front.outage == 503 && a.header.Get("Retry-After") == "" {
			c.Errorf("head %v", a.header)
		}
	}
	c.passed(c.do("GET", "/a", "", cookie(alice)), alice) // who is remembered notices nothing
}

// Without Gatehouse nothing passes.
func unreachable(c *client) {
	alice := c.service.SignIn(upstreamtest.Login{})
	c.stop()
	if a := c.do("GET", "/assets/x", "", cookie(alice)); a.status < 500 || a.app != nil {
		c.Errorf("status %d", a.status)
	}
}
