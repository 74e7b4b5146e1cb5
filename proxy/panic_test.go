package proxy_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// A poisoned connection is one where reading what has poison in it panics.
type poisoned struct{ net.Conn }

func (c poisoned) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if strings.Contains(string(p[:n]), "poison") {
		panic("poison was read")
	}
	return n, err
}

type poisonous struct{ net.Listener }

func (l poisonous) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return poisoned{c}, err
}

// withPoison makes a gateway's connections poisoned.
func withPoison(t *testing.T) func(*setup) {
	return func(s *setup) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.Listener = poisonous{ln}
	}
}

// A panic while a body is read ends that request, which never looks complete to the application, and nothing else.
func TestAPanicDuringAnUpload(t *testing.T) {
	f := func(framing, begin, poison string) {
		t.Helper()
		reached := make(chan struct{})
		uploads := make(chan upload, 1)
		app := newApp(t, func(c *appConn) {
			var u upload
			u.head, _ = c.head()
			reached <- struct{}{}
			u.body, u.err = c.body(u.head)
			uploads <- u
		})
		g := newGateway(t, app, withPoison(t), func(s *setup) { s.App.MaxConns, s.App.ConnWait, s.Limits.RequestsPerClient = 1, 0, 1 })
		for range 2 { // no place is lost
			c := g.dial()
			c.send(request("POST", "/public/x", "", framing) + begin)
			receive(t, reached)
			c.send(poison)
			if res := c.next("POST"); res.StatusCode != 500 || !res.Close {
				t.Errorf("%s: status %d, close %v", framing, res.StatusCode, res.Close)
			}
			if u := receive(t, uploads); u.err == nil || strings.Contains(u.body, "poison") {
				t.Errorf("%s: the application saw %+v", framing, u)
			}
			if got := g.observer.last(); got.Verdict != policy.Unavailable || got.Reason != policy.InternalError {
				t.Errorf("%s: observed %v", framing, got)
			}
		}
		if log := g.log.String(); strings.Count(log, "panic while passing a request body on") != 2 || !strings.Contains(log, "poisoned.Read") {
			t.Errorf("%s: log %s", framing, log)
		}
	}
	f("Content-Length: 100000", "hello", "poison")
	f("Transfer-Encoding: chunked", "5\r\nhello\r\n", "6\r\npoison\r\n0\r\n\r\n")
}

// A mute connection is one where writing panics while there is a reason.
type mute struct {
	net.Conn
	reason *atomic.Bool
}

func (c mute) Write(p []byte) (int, error) {
	if c.reason.Load() {
		panic("nothing can be said")
	}
	return c.Conn.Write(p)
}

type muting struct {
	net.Listener
	reason *atomic.Bool
}

func (l muting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return mute{c, l.reason}, err
}

// Whatever panics while an answer is sent, the places of the client and at the application are free again.
func TestAPanicGivesPlacesBack(t *testing.T) {
	f := func(name, answer, sent string, o stunned) {
		t.Helper()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		reason := new(atomic.Bool)
		g := newGateway(t, answering(t, answer), func(s *setup) {
			o.observer = s.Observer.(*observer)
			s.Observer, s.Listener = o, muting{ln, reason}
			s.App.MaxConns, s.App.ConnWait, s.Limits.RequestsPerClient = 1, 0, 1
		})
		reason.Store(!o.ended)
		for range 3 {
			c := g.dial()
			c.send(sent)
			if rest := c.rest(); strings.Contains(rest, "hello") {
				t.Errorf("%s: %q", name, rest)
			}
		}
		g.observer.mu.Lock()
		if g.observer.began != g.observer.ended && !o.ended {
			t.Errorf("%s: %d began, %d ended", name, g.observer.began, g.observer.ended)
		}
		g.observer.mu.Unlock()
		if reason.Store(false); !o.ended { // or else nobody could be answered
			if res := g.get("/public/x"); res.StatusCode != 200 {
				t.Errorf("%s: status %d afterwards", name, res.StatusCode)
			}
		}
		if log := g.log.String(); strings.Contains(log, "in use") || strings.Contains(log, "limit was reached") {
			t.Errorf("%s: log %s", name, log)
		}
	}
	large := ok(strings.Repeat("hello", 10_000))
	whoami := request("GET", "/sessions/whoami", "", alice)
	f("an answer before it", ok("hello"), whoami+request("GET", "/public/x", ""), stunned{})
	f("its own answer", ok("hello"), request("GET", "/public/x", ""), stunned{})
	f("a long answer", large, request("GET", "/public/x", ""), stunned{})
	f("the long way", ok("hello"), request("POST", "/public/x", "a"), stunned{})
	f("a long answer on the long way", large, request("POST", "/public/x", "a"), stunned{})
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	f("an answer without a length to HTTP/1.0", chunked, "GET /public/x HTTP/1.0\r\nHost: a\r\n\r\n", stunned{})
	f("stunned by a long answer on the long way", large, request("POST", "/public/x", "a"), stunned{ended: true})
}

// So they are if the way ends in a panic on which the lane has sent a request that the application has answered, whoever cannot be told.
func TestAPanicOnTheWayFromTheLane(t *testing.T) {
	odd := ok("hello", "Server: a", "Server: b")
	for _, o := range []stunned{{}, {ended: true}} {
		app := answering(t, odd, odd, odd)
		g := newGateway(t, app, func(s *setup) {
			o.observer = s.Observer.(*observer)
			s.Observer, s.Lost = o, true
			s.App.MaxConns, s.App.ConnWait, s.Limits.RequestsPerClient = 1, 0, 1
		})
		for n := range 3 {
			c := g.dial()
			c.send(request("GET", "/public/x", ""))
			if rest := c.rest(); rest != "" || len(app.heads()) != n+1 {
				t.Errorf("%+v: %q, and the application has seen %d requests, want %d", o, rest, len(app.heads()), n+1)
			}
		}
		if got := g.observer.last(); got.Verdict != policy.Unavailable || got.Reason != policy.InternalError {
			t.Errorf("%+v: observed %v", o, got)
		}
	}
}
