package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A request is sent again only if it came by a kept connection, has no body, changes nothing, and not a byte of an answer came back.
func TestRequestsAreSentAgainOnlyWhereThatIsSafe(t *testing.T) {
	f := func(name, method, answer string, status, attempts int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			// The first request warms a connection, and the second finds it dead after it was sent.
			app := newApp(t, func(c *appConn) {
				for i := 0; ; i++ {
					if _, complete := c.request(); !complete {
						return
					}
					if c.n == 0 && i > 0 {
						c.write(answer)
						return
					}
					c.write(ok(""))
				}
			})
			g := newGateway(t, app)
			g.get("/public/warm")
			body := ""
			if strings.HasSuffix(name, "with a body") {
				body = "hello"
			}
			if res := g.ask(request(method, "/public/x", body)); res.StatusCode != status {
				t.Errorf("status %d, want %d", res.StatusCode, status)
			}
			if n := strings.Count(strings.Join(app.heads(), ""), "/public/x"); n != attempts {
				t.Errorf("sent %d times, want %d", n, attempts)
			}
		})
	}
	f("GET", "GET", "", 200, 2)
	f("HEAD", "HEAD", "", 200, 2)
	f("OPTIONS", "OPTIONS", "", 200, 2)
	f("POST", "POST", "", 502, 1)
	f("PUT", "PUT", "", 502, 1)
	f("PATCH", "PATCH", "", 502, 1)
	f("DELETE", "DELETE", "", 502, 1)
	f("GET with a body", "GET", "", 502, 1)
	f("POST with a body", "POST", "", 502, 1)
	f("one byte came back", "GET", "H", 502, 1)
	f("a line end came back", "GET", "\r\n", 502, 1)
	f("part of a head came back", "GET", "HTTP/1.1 200 OK\r\nX-A: b", 502, 1)
	f("an interim response came back", "GET", "HTTP/1.1 100 Continue\r\n\r\n", 502, 1)
	f("a broken head came back", "GET", "garbage\r\n\r\n", 502, 1)
}

func TestNewConnectionIsNotTriedTwice(t *testing.T) {
	app := newApp(t, func(c *appConn) { c.request() })
	g := newGateway(t, app)
	if res := g.get("/public/x"); res.StatusCode != 502 || len(app.heads()) != 1 {
		t.Errorf("status %d after %d attempts", res.StatusCode, len(app.heads()))
	}
}

// An application that closes idle connections costs no request its answer, whatever the method.
func TestConnectionThatWasClosedWhileIdle(t *testing.T) {
	closed := make(chan struct{})
	app := newApp(t, func(c *appConn) {
		c.request()
		c.write(ok(""))
		_ = c.Close()
		closed <- struct{}{}
	})
	g := newGateway(t, app)
	c := g.dial()
	for i := range 20 {
		method := []string{"GET", "POST", "DELETE"}[i%3]
		c.send(request(method, "/public/x", "hello"))
		if res := c.next(method); res.StatusCode != 200 {
			t.Errorf("%s: status %d", method, res.StatusCode)
		}
		<-closed
	}
	if n := len(app.heads()); n != 20 {
		t.Errorf("%d requests were sent, want 20", n)
	}
}

// A connection is not used again when it has been idle for too long, and is closed although nobody asks for it.
func TestIdleConnectionsAreClosed(t *testing.T) {
	ended := make(chan int, 1)
	app := newApp(t, func(c *appConn) {
		requests := 0
		for ; ; requests++ {
			if _, complete := c.request(); !complete {
				ended <- requests
				return
			}
			c.write(ok(""))
		}
	})
	g := newGateway(t, app, func(s *setup) { s.App.KeepAlive = 20 * time.Millisecond })
	g.get("/public/x")
	if n := receive(t, ended); n != 1 {
		t.Errorf("%d requests on the connection", n)
	}
	if res := g.get("/public/x"); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestApplicationThatCannotBeReached(t *testing.T) {
	f := func(name string, status int, retry string, g *gateway) {
		t.Helper()
		res := g.get("/public/x")
		if res.StatusCode != status || res.Header.Get("Retry-After") != retry || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d head %v", name, res.StatusCode, res.Header)
		}
		if strings.Contains(res.body, "127.0.0.1") || !strings.Contains(g.log.String(), "application did not answer") {
			t.Errorf("%s: body %q log %q", name, res.body, g.log)
		}
		if g.observer.app[0] != 0 {
			t.Errorf("%s: observed status %d", name, g.observer.app[0])
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	f("down", 502, "", newGateway(t, ln))

	hold := make(chan struct{})
	defer close(hold)
	slow := newApp(t, func(c *appConn) { c.request(); <-hold })
	f("slow", 504, "", newGateway(t, slow, func(s *setup) { s.App.HeadTimeout = 30 * time.Millisecond }))
	halting := newApp(t, func(c *appConn) { c.request(); c.write("HTTP/1.1 200 OK\r\nX-A: "); <-hold })
	f("slow in the middle of its head", 504, "", newGateway(t, halting, func(s *setup) { s.App.HeadTimeout = 30 * time.Millisecond }))
}

// Requests beyond the limit wait for a connection, and are turned away if none becomes free.
func TestLimitOfConnections(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	app := newApp(t, func(c *appConn) {
		for {
			if _, complete := c.request(); !complete {
				return
			}
			arrived <- struct{}{}
			<-release
			c.write(ok("done"))
		}
	})
	g := newGateway(t, app, func(s *setup) { s.App.MaxConns, s.App.ConnWait = 1, 20*time.Millisecond })
	first := g.dial()
	first.send(request("GET", "/public/x", ""))
	receive(t, arrived)
	if res := g.get("/public/x"); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("status %d head %v", res.StatusCode, res.Header)
	}
	release <- struct{}{}
	if res := first.next("GET"); res.body != "done" {
		t.Errorf("body %q", res.body)
	}
	for range 3 { // the place is free again, whatever happened
		first.send(request("GET", "/public/x", ""))
		receive(t, arrived)
		release <- struct{}{}
		if res := first.next("GET"); res.body != "done" {
			t.Errorf("body %q", res.body)
		}
	}
}

// A request that has to wait gets the connection that becomes free, and a pool that is closed meanwhile keeps none.
func TestWaitingForAConnection(t *testing.T) {
	arrived, release, gone := make(chan struct{}), make(chan struct{}), make(chan int, 1)
	app := newApp(t, func(c *appConn) {
		for n := 0; ; n++ {
			if _, complete := c.request(); !complete {
				gone <- n
				return
			}
			arrived <- struct{}{}
			<-release
			c.write(ok("done"))
		}
	})
	var pool *proxy.App
	g := newGateway(t, app, oneConn, func(s *setup) { s.Opened = func(a *proxy.App) { pool = a } })
	clients := []*client{g.dial(), g.dial(), g.dial()}
	for _, c := range clients {
		c.send(request("GET", "/public/x", ""))
	}
	for i := range clients {
		receive(t, arrived)
		if i == len(clients)-1 {
			pool.Close()
		}
		release <- struct{}{}
	}
	for _, c := range clients {
		if res := c.next("GET"); res.body != "done" {
			t.Errorf("body %q", res.body)
		}
	}
	if n := receive(t, gone); n != len(clients) {
		t.Errorf("%d requests on the connection", n)
	}
}

// Whatever becomes of an exchange, its place among the connections is given back.
func TestPlacesAreGivenBack(t *testing.T) {
	answers := []string{
		ok("hello"), "", "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n" + longBody,
	}
	app := newApp(t, func(c *appConn) {
		c.request()
		c.write(answers[c.n%len(answers)])
	})
	g := newGateway(t, app, func(s *setup) { s.App.MaxConns = 1 })
	for i := range 4 * len(answers) {
		c := g.dial()
		c.send(fmt.Sprintf("GET /public/x HTTP/1.%d\r\nHost: app.example.com\r\nConnection: close\r\n\r\n", i%2))
		if rest := c.rest(); strings.Contains(rest, "HTTP/1.1 503") {
			t.Fatalf("request %d: %q", i, rest)
		}
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	app := newApp(t, func(c *appConn) {
		for {
			head, complete := c.request()
			if !complete {
				return
			}
			path, _, _ := strings.Cut(strings.TrimPrefix(head, "GET "), " ")
			c.write(ok(path))
		}
	})
	g := newGateway(t, app)
	c := g.dial()
	c.send(request("GET", "/public/1", "") + request("GET", "/x", "") + request("GET", "/2", "", alice) +
		request("GET", "/sessions/whoami", "", bob) +
		request("GET", "/3", "hello", bob) + request("GET", "/public/4", ""))
	for _, want := range []string{"/public/1", "401", "/2", "session-bob", "/3", "/public/4"} {
		if res := c.next("GET"); !strings.Contains(fmt.Sprint(res.StatusCode, res.body), want) {
			t.Errorf("%d %q, want %q", res.StatusCode, res.body, want)
		}
	}
	heads := strings.Join(app.heads(), "")
	if strings.Count(heads, "X-User-Id: identity-alice\r\n") != 1 || strings.Count(heads, "X-User-Id: identity-bob\r\n") != 1 {
		t.Errorf("the application saw %q", heads)
	}
}

// A panic costs one request, not the process, and lets nothing through.
func TestPanicLetsNothingThrough(t *testing.T) {
	app := answering(t, ok("must not be seen"))
	g := newGateway(t, app, trusting)
	g.sessions.decide("session_token "+bobToken, func(time.Duration) (upstream.Answer, error) { panic("on purpose") })
	f := func(request string) {
		t.Helper()
		c := g.dial()
		c.send(request)
		if res := c.next("POST"); res.StatusCode != 500 || !res.Close || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("status %d head %v", res.StatusCode, res.Header)
		}
		c.nothing()
	}
	f(request("POST", "/x", "hello", bob))
	f(request("POST", "/x", "", bob, expects, "Content-Length: 5"))
	f(request("GET", "/sessions/whoami", "", bob))
	f(request("GET", "/.gatehouse/auth", "", bob, "X-Forwarded-Method: GET", "X-Forwarded-Host: app.example.com", "X-Forwarded-Uri: /x"))
	if heads := app.heads(); len(heads) > 0 {
		t.Errorf("the application saw %q", heads)
	}
	if res := g.get("/sessions/whoami", alice); res.StatusCode != 200 {
		t.Errorf("status %d afterwards", res.StatusCode)
	}
	if log := g.log.String(); !strings.Contains(log, "panic while serving a request") || strings.Contains(log, bobToken) {
		t.Errorf("log %q", log)
	}
}

// Shutdown waits for the requests under way.
func TestShutdownWaits(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	app := newApp(t, func(c *appConn) {
		c.request()
		close(arrived)
		<-release
		c.write(ok("done"))
	})
	g := newGateway(t, app)
	c := g.dial()
	c.send(request("GET", "/public/x", ""))
	<-arrived
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := g.shutDown(ctx)
	close(release)
	if res := c.next("GET"); res.body != "done" || !res.Close {
		t.Errorf("body %q close %v", res.body, res.Close)
	}
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
}

// A server that was shut down before it was to serve does not begin.
func TestServeAfterShutdown(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newBench(t, nil, request("GET", "/", "")).Server
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	if err := receive(t, served); err != nil {
		t.Error(err)
	}
	if nc, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		_ = nc.Close()
		t.Error("the listener is still open")
	}
}

// Shutdown waits for responses that fasthttp has handed over too, and connections are counted until they end.
func TestShutdownWaitsForHTTP10(t *testing.T) {
	release := make(chan struct{})
	app := newApp(t, func(c *appConn) {
		c.request()
		c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		<-release
		c.write("6\r\n world\r\n0\r\n\r\n")
	})
	g := newGateway(t, app)
	c := g.dial()
	c.send("GET /public/x HTTP/1.0\r\nHost: app.example.com\r\n\r\n")
	if _, err := c.r.Peek(1); err != nil { // it is under way
		t.Fatal(err)
	}
	if n := g.Connections(); n != 1 {
		t.Errorf("%d connections are counted, want 1", n)
	}
	soon, cancel := context.WithCancel(context.Background())
	done := g.shutDown(soon)
	select {
	case err := <-done:
		t.Errorf("Shutdown returned %v while a response was under way", err)
		done <- err
	default:
	}
	close(release)
	if res := c.next("GET"); res.body != "hello world" || res.err != nil {
		t.Errorf("body %q, %v", res.body, res.err)
	}
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
	cancel()
	if n := g.Connections(); n != 0 {
		t.Errorf("%d connections are counted at the end", n)
	}
}

// What is under way when the time for it is over is cut off.
func TestShutdownCutsOff(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	app := newApp(t, func(c *appConn) {
		c.request()
		close(arrived)
		<-release
	})
	g := newGateway(t, app)
	c := g.dial()
	c.send(request("GET", "/public/x", ""))
	<-arrived
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Shutdown(over); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returned %v", err)
	}
	if _, err := c.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client was not cut off: %v", err)
	}
	close(release)
}

// shutDown begins to shut the gateway down, and returns when nobody is let in any more. The error of Shutdown is sent to done.
func (g *gateway) shutDown(ctx context.Context) (done chan error) {
	done = make(chan error, 1)
	go func() { done <- g.Shutdown(ctx) }()
	for {
		nc, err := net.Dial(g.network, g.addr)
		if err != nil {
			return done
		}
		_ = nc.Close()
	}
}
