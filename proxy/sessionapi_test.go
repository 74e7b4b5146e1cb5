package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// What a service is sent, and what the client gets of its answer, is what the other has sent, but for what belongs to one connection, and
// for what only Gatehouse may say.
func TestSessionAPIIsFaithful(t *testing.T) {
	const answer = "HTTP/1.1 201 Made It So\r\nX-Total-Count: 3\r\nlink: </sessions?page=1>; rel=\"first\"\r\n" +
		"Set-Cookie: ory_kratos_session=new=; Path=/; HttpOnly\r\nSet-Cookie: csrf_token=a/b+c=; Path=/\r\n" +
		"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Gatehouse-Reason: x\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 5\r\n\r\n" +
		"{\"a\"}"
	service := answering(t, answer)
	g, app, calls := newAPIGateway(t, service)
	c := g.dial()
	c.send("POST /api/x%20y?page_size=1&page_token=e%3D HTTP/1.1\r\nHost: App.Example.com:8080\r\n" +
		"cookie: csrf_token=a/b+c=; ory_kratos_session=" + aliceCookie + "; prefs={\"a\":1}\r\nX-Session-Token: " + bobToken + "\r\n" +
		"X-Session-Token: " + aliceToken + "\r\nAuthorization: Bearer " + aliceToken + "\r\nX-CSRF-Token: a/b+c=\r\nOrigin: https://app.example.com\r\n" +
		"X-User-Id: mallory\r\nX_User_Email: mallory\r\nX-Kratos-Authenticated-Identity-Id: mallory\r\nX-Forwarded-For: 192.0.2.1\r\n" +
		"X-Forwarded-Proto: https\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nTrailer: X-User-Id\r\nContent-Length: 4\r\n\r\nbody")
	got := c.rest()
	head := strings.Split(strings.TrimSuffix(service.heads()[0], "\r\n\r\n"), "\r\n")
	want := []string{
		"POST /api/x%20y?page_size=1&page_token=e%3D HTTP/1.1", "Host: App.Example.com:8080",
		`Cookie: csrf_token=a/b+c=; ory_kratos_session=` + aliceCookie + `; prefs={"a":1}`, "X-Session-Token: " + bobToken,
		"Authorization: Bearer " + aliceToken, "X-Csrf-Token: a/b+c=", "Origin: https://app.example.com",
		"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: App.Example.com:8080", "X-Forwarded-Proto: http", "X-Forwarded-Port: 8080",
		`Forwarded: for=127.0.0.1;host="App.Example.com:8080";proto=http`, "Content-Length: 4",
	}
	if diff := cmp.Diff(want, head); diff != "" {
		t.Errorf("the service was sent (-want +got):\n%s", diff)
	}
	if all := service.received()[0]; !strings.HasSuffix(all, "\r\n\r\nbody") {
		t.Errorf("the service was sent the body %q", all)
	}
	gotHead, body, _ := strings.Cut(got, "\r\n\r\n")
	lines := strings.Split(gotHead, "\r\n")
	slices.Sort(lines[1:])
	wantLines := []string{
		"HTTP/1.1 201 Made It So", "Connection: close", "Content-Length: 5", "Date: Thu, 01 Jan 1970 00:00:00 GMT",
		"Set-Cookie: csrf_token=a/b+c=; Path=/", "Set-Cookie: ory_kratos_session=new=; Path=/; HttpOnly", "X-Total-Count: 3",
		`link: </sessions?page=1>; rel="first"`,
	}
	if diff := cmp.Diff(wantLines, lines); diff != "" || body != `{"a"}` {
		t.Errorf("body %q, and the client was sent (-want +got):\n%s", body, diff)
	}
	wantNotes := []string{
		"begin POST /api/x y session_token " + bobToken + " cookie " + aliceCookie + " bearer " + aliceToken, "end 201 cookie new=",
	}
	if diff := cmp.Diff(wantNotes, calls.notes()); diff != "" {
		t.Errorf("the calls were told (-want +got):\n%s", diff)
	}
	if len(app.heads()) != 0 || len(g.sessions.questions()) != 0 {
		t.Errorf("the application was asked %q, and the sessions %v", app.heads(), g.sessions.questions())
	}
	if got := g.observer.last(); got != (observation{proxy.SessionAPIFace, policy.Allowed, policy.PassedThrough}) {
		t.Errorf("observed %v", got)
	}
}

// A service that has an address of its own, and a path before its API, is asked for both.
func TestSessionAPIElsewhere(t *testing.T) {
	service := answering(t, ok("x"))
	g, _, _ := newAPIGateway(t, service, func(s *setup) { s.API.Host, s.API.Base = "slug.example.net", "/kratos/public" })
	g.get("/api/list?a=b")
	head := service.heads()[0]
	for _, want := range []string{"GET /kratos/public/api/list?a=b HTTP/1.1\r\nHost: slug.example.net\r\n", "\r\nX-Forwarded-Host: app.example.com\r\n"} {
		if !strings.Contains(head, want) {
			t.Errorf("the service was sent\n%s\nwithout %q", head, want)
		}
	}
}

// The client has no byte of an answer before what the call has ended is forgotten, however the answer is framed.
func TestSessionAPIForgetsBeforeItAnswers(t *testing.T) {
	f := func(name, answer string, status int, body string) {
		t.Run(name, func(t *testing.T) {
			service := newApp(t, func(c *appConn) {
				if _, ok := c.request(); ok {
					c.write(answer)
				}
			})
			g, _, calls := newAPIGateway(t, service)
			told, release := make(chan string), make(chan struct{})
			calls.set(nil, func(note string) {
				told <- note
				<-release
			})
			c := g.dial()
			c.send(request("DELETE", "/api/session", "", alice))
			if note := receive(t, told); note != fmt.Sprint("end ", status) {
				t.Errorf("told %q", note)
			}
			_ = c.SetReadDeadline(time.Unix(1, 0)) // nothing has come
			if b, err := c.r.Peek(1); err == nil {
				t.Fatalf("the client has got %q before that", b)
			}
			_ = c.SetReadDeadline(time.Now().Add(patience))
			close(release)
			c.r.Reset(c.Conn)
			if res := c.next("DELETE"); res.body != body && status != 0 {
				t.Errorf("body %q, %v", res.body, res.err)
			}
		})
	}
	f("no body", "HTTP/1.1 204 No Content\r\n\r\n", 204, "")
	f("length", ok("gone"), 200, "gone")
	f("long", ok(strings.Repeat("x", 100_000)), 200, strings.Repeat("x", 100_000))
	f("chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngone\r\n0\r\n\r\n", 200, "gone")
	f("until the end", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ngone", 200, "gone")
	f("lost", "", 0, "")
}

// A call that may change something is sent once, whatever its method, and counts as done if its answer is lost. One that only reads is sent
// again if nobody knows whether it was received.
func TestSessionAPINeverCallsTwice(t *testing.T) {
	f := func(method, path string, calls int, status int, notes ...string) {
		t.Helper()
		service := newApp(t, func(c *appConn) {
			if _, first := c.request(); first {
				if c.n == 0 {
					c.write(ok("x"))
					c.request() // and the connection ends without an answer
					return
				}
				c.write(ok("again"))
			}
		})
		g, _, fake := newAPIGateway(t, service)
		g.get("/api/list")
		if res := g.ask(request(method, path, "", alice)); res.StatusCode != status {
			t.Errorf("%s %s: status %d, want %d", method, path, res.StatusCode, status)
		}
		if n := len(service.heads()) - 1; n != calls {
			t.Errorf("%s %s was sent %d times, want %d", method, path, n, calls)
		}
		if diff := cmp.Diff(notes, fake.notes()); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", method, path, diff)
		}
	}
	begin := func(what string) string { return "begin " + what + " session_token " + aliceToken }
	f("GET", "/api/logout?token=x", 1, 502, begin("GET /api/logout"), "end 0")
	f("DELETE", "/api", 1, 502, begin("DELETE /api"), "end 0")
	f("GET", "/api/list", 2, 200)
}

// What a call may have ended is forgotten even if reading the answer panics.
func TestSessionAPIPanics(t *testing.T) {
	service := answering(t, ok("gone"))
	g, _, calls := newAPIGateway(t, service, func(s *setup) {
		at := s.App
		at.Dial = func(context.Context, string, string) (net.Conn, error) {
			c, err := net.Dial("tcp", service.Addr().String())
			return panicky{c}, err
		}
		pool := proxy.NewApp(at)
		t.Cleanup(pool.Close)
		s.API.Service = pool
	})
	if res := g.ask(request("DELETE", "/api", "", alice)); res.StatusCode != 500 {
		t.Errorf("status %d", res.StatusCode)
	}
	if diff := cmp.Diff([]string{"begin DELETE /api session_token " + aliceToken, "end 0"}, calls.notes()); diff != "" {
		t.Error(diff)
	}
}

// panicky is a connection that nobody can read from.
type panicky struct{ net.Conn }

func (panicky) Read([]byte) (int, error) { panic("read") }

// A call that is not sent changes nothing: the service cannot be reached, or it cannot be known whom the call concerns.
func TestSessionAPIWithoutService(t *testing.T) {
	service := answering(t, ok("x"))
	g, _, calls := newAPIGateway(t, service, func(s *setup) { s.Limits.RequestsPerClient = 1 }) // what is refused no longer counts
	begin := "begin DELETE /api"
	f := func(status int, v policy.Verdict, r policy.Reason, notes ...string) {
		t.Helper()
		res := g.ask(request("DELETE", "/api", ""))
		if res.StatusCode != status || status >= 400 && res.Header.Get("X-Gatehouse-Reason") != string(r) {
			t.Errorf("status %d with %v, want %d for %s", res.StatusCode, res.Header, status, r)
		}
		if got := g.observer.last(); got != (observation{proxy.SessionAPIFace, v, r}) {
			t.Errorf("observed %v", got)
		}
		if diff := cmp.Diff(notes, calls.notes()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	calls.set(errOutage, nil)
	f(503, policy.Unavailable, policy.StoreUnavailable, begin)
	calls.set(fmt.Errorf("ask: %w", upstream.ErrLimited), nil)
	f(429, policy.Limited, policy.TooManyUnknown, begin)
	if n := len(service.heads()); n != 0 {
		t.Errorf("%d calls were passed on", n)
	}
	calls.set(nil, nil)
	f(200, policy.Allowed, policy.PassedThrough, begin, "end 200")
	service.stop()
	f(502, policy.Allowed, policy.StoreUnavailable, begin)
	if log := g.log.String(); !strings.Contains(log, "session service did not answer") || strings.Contains(log, "application did") {
		t.Errorf("the log does not say who did not answer: %s", log)
	}
}

// The body of a call that says what it changes is read first, and all bodies are bounded.
func TestSessionAPIBodies(t *testing.T) {
	service := answering(t, ok("x"))
	g, app, calls := newAPIGateway(t, service)
	f := func(message string, status int, sent string, notes ...string) {
		t.Helper()
		before := strings.Join(service.received(), "")
		res := g.ask(message)
		if res.StatusCode != status {
			t.Errorf("status %d, want %d", res.StatusCode, status)
		}
		if diff := cmp.Diff(notes, calls.notes()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		got := strings.TrimPrefix(strings.Join(service.received(), ""), before)
		if _, body, _ := strings.Cut(got, "\r\n\r\n"); body != sent || (sent == "" && status != 200) != (got == "") {
			t.Errorf("the service got %.200q", got)
		}
	}
	large := strings.Repeat("x", 64<<10)
	f(request("DELETE", "/api/token", `{"t":"x"}`), 200, `{"t":"x"}`, `begin DELETE /api/token "{\"t\":\"x\"}"`, "end 200")
	f(request("DELETE", "/api/token", ""), 200, "", "begin DELETE /api/token", "end 200")
	chunked := "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	f("DELETE /api/token HTTP/1.1\r\n"+chunked+"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200, "abc", `begin DELETE /api/token "abc"`, "end 200")
	f(request("DELETE", "/api/token", large+"x"), 413, "")
	f(fmt.Sprintf("DELETE /api/token HTTP/1.1\r\n%s%x\r\n%sx\r\n0\r\n\r\n", chunked, len(large)+1, large), 413, "")
	f("DELETE /api/token HTTP/1.1\r\n"+chunked+"2\r\nab\r\nnonsense", 400, "")
	f(request("POST", "/api/form", large+"x"), 200, large+"x", "begin POST /api/form", "end 200")
	f(request("POST", "/api/form", "", "Content-Length: 5242881"), 413, "")
	f(request("POST", "/api/form", "", "Content-Length: 1", "Transfer-Encoding: chunked"), 400, "")

	c := g.dial()
	c.send(request("DELETE", "/api/token", "", "Content-Length: 3", expects))
	if res := c.next("DELETE"); res.StatusCode != http.StatusContinue {
		t.Errorf("status %d before the body", res.StatusCode)
	}
	c.send("abc")
	if res := c.next("DELETE"); res.StatusCode != 200 {
		t.Errorf("status %d after the body", res.StatusCode)
	}
	c = g.dial()
	c.send(request("POST", "/api/form", "", "Content-Length: 5242881", expects))
	if res := c.next("POST"); res.StatusCode != 413 {
		t.Errorf("status %d instead of the body", res.StatusCode)
	}
	if heads := app.heads(); len(heads) != 0 {
		t.Errorf("the application was asked: %q", heads)
	}
}

// A body that turns out to be too long, or to be cut off, after a part of it was sent may still have been acted on.
func TestSessionAPICutOffInTheMiddle(t *testing.T) {
	arrived := make(chan struct{})
	service := newApp(t, func(c *appConn) {
		if _, ok := c.head(); ok {
			_, _ = c.r.Peek(1)
			close(arrived)
			_, _ = io.Copy(io.Discard, c.r)
		}
	})
	g, _, calls := newAPIGateway(t, service)
	c := g.dial()
	c.send("POST /api/form HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
	receive(t, arrived)
	c.closeWrite()
	if res := c.next("POST"); res.StatusCode != 400 {
		t.Errorf("status %d", res.StatusCode)
	}
	if diff := cmp.Diff([]string{"begin POST /api/form", "end 0"}, calls.notes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A body in chunks that turns out to be too long is cut off where it is. What the service has got of it may have been enough.
func TestSessionAPIEndlessBody(t *testing.T) {
	service := answering(t, ok("x"))
	g, _, calls := newAPIGateway(t, service)
	res := g.ask(fmt.Sprintf("POST /api/form HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
		5<<20+1, strings.Repeat("x", 5<<20+1)))
	if res.StatusCode != 413 {
		t.Errorf("status %d", res.StatusCode)
	}
	if diff := cmp.Diff([]string{"begin POST /api/form", "end 0"}, calls.notes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// No spelling of the API's paths reaches the application, and none that could be another call reaches the service.
func TestSessionAPIPaths(t *testing.T) {
	service := answering(t, ok("service"))
	g, app, calls := newAPIGateway(t, service, func(s *setup) {
		s.Rules = []policy.Rule{{Name: "all", Path: "/*", Access: policy.PublicAccess, AllowEncodedSlashes: true}}
	})
	f := func(method, target string, status int, body string, lines ...string) {
		t.Helper()
		res := g.ask(request(method, target, "", lines...))
		if res.StatusCode != status || body != "" && res.body != body {
			t.Errorf("%s %s: status %d with %q, want %d with %q", method, target, res.StatusCode, res.body, status, body)
		}
	}
	f("GET", "/api", 200, "service")
	f("GET", "/%61pi", 200, "service")
	f("GET", "/api/", 200, "service")
	f("GET", "/ap", 200, "app")
	f("GET", "/apis", 200, "app")
	f("GET", "/x%2Fapi", 200, "app")
	f("GET", "/sessions/whoami", 401, "")
	calls.notes()
	asked, served := len(app.heads()), len(service.heads())
	for _, target := range []string{
		"/api;a=b", "/api/logout;x/api", "/api%2Flogout", "/api%2flogout", "/api/logout%2Fapi", "/api;x%2Flogout", "//api", "/api/../api",
		"/./api", "/api/%2e", "/x/..%2fapi", "/api%5cx", "/api/%00",
	} {
		f("GET", target, 400, "")
	}
	f("TRACE", "/api", 405, "")
	f("BREW", "/api", 405, "")
	f("DELETE", "/api", 425, "", "Early-Data: 1")
	f("GET", "/api", 425, "", "Early-Data: 1") // what may change something is not safe, whatever its method
	f("GET", "/api/list", 200, "service", "Early-Data: 1")
	f("DELETE", "/api", 400, "", "Cookie: "+manyCookies())
	if a, s := len(app.heads())-asked, len(service.heads())-served; a != 0 || s != 1 {
		t.Errorf("the application was asked %d times, and the service %d times", a, s)
	}
	if notes := calls.notes(); len(notes) != 0 {
		t.Errorf("the calls were told %q", notes)
	}
}

// manyCookies is more values of the session cookie than are looked at.
func manyCookies() string {
	var b strings.Builder
	for i := range 9 {
		fmt.Fprintf(&b, "ory_kratos_session=%d; ", i)
	}
	return b.String()
}

// One client has so many calls at the service as it may have requests at the application.
func TestSessionAPIIsLimited(t *testing.T) {
	inside, release := make(chan struct{}, 2), make(chan struct{})
	service := newApp(t, func(c *appConn) {
		if _, ok := c.request(); ok {
			inside <- struct{}{}
			<-release
			c.write("HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	g, _, _ := newAPIGateway(t, service, func(s *setup) { s.Limits.RequestsPerClient = 1 })
	c := g.dial()
	c.send(request("DELETE", "/api", "", alice))
	receive(t, inside)
	if res := g.get("/api"); res.StatusCode != 429 || g.observer.last().Reason != policy.TooManyRequests {
		t.Errorf("status %d, observed %v", res.StatusCode, g.observer.last())
	}
	close(release)
	if res := c.next("DELETE"); res.StatusCode != 204 {
		t.Errorf("status %d", res.StatusCode)
	}
}

// Of several services, the one of the route that a request would take gets the calls, without the keys to the others' sessions. Where it has
// no API, the path is the application's.
func TestSessionAPIOfSeveral(t *testing.T) {
	service := answering(t, ok("service"))
	var staff *proxy.Service
	g, app, calls := newAPIGateway(t, service, func(s *setup) {
		staff = &s.Service
		staff.Label = "staff"
		shop := &proxy.Service{
			Label: "shop", Sessions: s.Service.Sessions, Tag: s.Service.Tag,
			Credentials: proxy.Credentials{TokenHeader: "X-Shop-Token", Cookie: "shop_session"},
			API:         &proxy.SessionAPI{Calls: &noCalls{}}, // of other paths
		}
		s.Services = []*proxy.Service{shop, staff}
		s.Rules = []policy.Rule{
			{Name: "staff", Host: "staff.example.com", Path: "/*", Access: policy.SessionAccess, Service: staff},
			{Name: "shop", Host: "shop.example.com", Path: "/*", Access: policy.PublicAccess, Service: shop},
			{Name: "nobody", Path: "/*", Access: policy.PublicAccess},
		}
	})
	f := func(host, body string) {
		t.Helper()
		c := g.dial()
		c.send("POST /api/x HTTP/1.1\r\nHost: " + host + "\r\nX-Shop-Token: t\r\nCookie: a=b; shop_session=c; ory_kratos_session=d\r\n" +
			"Authorization: Bearer e\r\nContent-Length: 4\r\n\r\nbody")
		if res := c.next("POST"); res.StatusCode != 200 || res.body != body {
			t.Errorf("%s: status %d with %q", host, res.StatusCode, res.body)
		}
	}
	f("staff.example.com", "service")
	f("STAFF.example.com:80", "service")
	if got, want := calls.notes()[0], "begin POST /api/x cookie d bearer e"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	head := service.heads()[0]
	if strings.Contains(strings.ToLower(head), "shop") || !strings.Contains(head, "Cookie: a=b; ory_kratos_session=d\r\nAuthorization: Bearer e\r\n") {
		t.Errorf("the service was sent\n%s", head)
	}
	f("shop.example.com", "app")
	f("app.example.com", "app")
	if a, s := len(app.heads()), len(service.heads()); a != 2 || s != 2 {
		t.Errorf("the application was asked %d times, and the service %d times", a, s)
	}
}

// Without the API, its paths are the application's.
func TestNoSessionAPI(t *testing.T) {
	app := answering(t, ok("app"))
	g := newGateway(t, app)
	if res := g.get("/sessions", alice); res.StatusCode != 200 || res.body != "app" {
		t.Errorf("status %d with %q", res.StatusCode, res.body)
	}
}
