package proxy_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A request that goes the long way does not take the connection along for good, where its end is known.
func TestTheLaneGetsItsConnectionBack(t *testing.T) {
	app := newApp(t, func(c *appConn) {
		for {
			head, ok := c.request()
			if !ok {
				return
			}
			if strings.Contains(head, "/public/odd") {
				c.write("HTTP/1.1 103 Early Hints\r\n\r\n")
			}
			c.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	f := func(name string, status int, method, sent string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, app)
			c := g.dial()
			for range 3 {
				c.send(sent)
				if res := c.next(method); res.StatusCode != status {
					t.Fatalf("status %d", res.StatusCode)
				}
				c.send(request("GET", "/sessions/whoami", "", alice)) // which the lane answers
				if res := c.next("GET"); res.StatusCode != 200 {
					t.Fatalf("status %d", res.StatusCode)
				}
				if n := g.Handed(); n != 0 {
					t.Fatalf("fasthttp has %d connections", n)
				}
			}
		})
	}
	f("refused", 401, "GET", request("GET", "/x", ""))
	f("denied", 403, "HEAD", request("HEAD", "/deny/x", "", alice))
	f("with a body", 200, "POST", request("POST", "/x", "hello", alice))
	f("with a long body", 200, "POST", request("POST", "/x", strings.Repeat("x", 100_000), alice))
	f("answered oddly", 200, "GET", request("GET", "/public/odd", ""))
	f("with a query", 200, "GET", request("GET", "/x?a=b", "", alice))
}

// A gated listener accepts a connection for every permission.
type gated struct {
	net.Listener
	may chan struct{}
}

func (l gated) Accept() (net.Conn, error) {
	<-l.may
	return l.Listener.Accept()
}

// A head that comes in part has no more time in the lane than elsewhere, whether it is the first of a connection or not.
func TestSlowHeadsInTheLane(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	may := make(chan struct{})
	g := newGateway(t, nil, func(s *setup) { s.Limits.HeadTimeout, s.Listener = 200*time.Millisecond, gated{ln, may} })
	t.Cleanup(func() { close(may) })
	for _, before := range []string{"", request("GET", "/sessions/whoami", "", alice)} {
		c := g.dial()
		c.send(before + "GET /sessions/whoami HTTP/1.1\r\nHost: a\r\n")
		may <- struct{}{} // so that all of this is there when it is read first
		if before != "" {
			if res := c.next("GET"); res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
		}
		if res := c.next("GET"); res.StatusCode != 408 || !res.Close {
			t.Errorf("status %d, close %v", res.StatusCode, res.Close)
		}
		c.nothing()
	}
}

// Requests that come at once are answered in order, however much that is.
func TestManyAnswersOfTheLaneAtOnce(t *testing.T) {
	g := newGateway(t, nil, func(s *setup) { s.Limits.HeadTimeout = patience })
	big := session("big")
	big.Body = []byte(`{"id":"big","a":"` + strings.Repeat("x", 100_000) + `"}`)
	g.sessions.know("session_token big", hit(big), nil)
	c := g.dial()
	go func() {
		for range 10 {
			_, _ = io.WriteString(c, strings.Repeat(request("GET", "/sessions/whoami", "", "X-Session-Token: big")+
				request("GET", "/sessions/whoami", "", alice), 20))
		}
	}()
	for i := range 400 {
		res := c.next("GET")
		if want := map[bool]string{true: string(big.Body), false: string(session("alice").Body)}[i%2 == 0]; res.body != want {
			t.Fatalf("answer %d is %.80q", i, res.body)
		}
	}
}

// A connection whose body may still be read when fasthttp has let go of it is fasthttp's for good: the lane's memory is somebody else's by then.
func TestTheLaneLeavesBodiesOfHTTP10(t *testing.T) {
	g := newGateway(t, answering(t, ok("ok")))
	f := func(handed int, sent string) {
		t.Helper()
		c := g.dial()
		defer func() { _ = c.Close() }()
		c.send(sent)
		if res := c.next("POST"); res.StatusCode != 200 || res.body != "ok" {
			t.Errorf("status %d, body %q", res.StatusCode, res.body)
		}
		c.send(request("GET", "/sessions/whoami", "", alice)) // which the lane answers if it can
		if res := c.next("GET"); res.StatusCode != 200 || g.Handed() != handed {
			t.Errorf("status %d, and fasthttp has %d connections, want %d", res.StatusCode, g.Handed(), handed)
		}
	}
	f(0, "POST /public/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
	f(1, "POST /public/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello")
}

// blank panics when it is to remember.
type blank struct{ *fakeSessions }

func (blank) Recall(upstream.Credential, time.Time) (upstream.Answer, bool) { panic("forgotten") }

// A panic in the lane lets nothing through and ends nothing: the request goes the long way.
func TestAPanicInTheLane(t *testing.T) {
	g := newGateway(t, answering(t, ok("hello")), func(s *setup) { s.Sessions = blank{s.Sessions.(*fakeSessions)} })
	c := g.dial()
	for range 2 {
		c.send(request("GET", "/x", "", alice))
		if res := c.next("GET"); res.StatusCode != 200 || res.body != "hello" {
			t.Errorf("status %d, body %q", res.StatusCode, res.body)
		}
		c.send(request("GET", "/x", ""))
		if res := c.next("GET"); res.StatusCode != 401 {
			t.Errorf("status %d", res.StatusCode)
		}
	}
	if log := g.log.String(); strings.Count(log, "panic while serving a request from memory") != 2 {
		t.Errorf("log %q", log)
	}
}

// startled panics when it is told of an answer.
type startled struct{ *observer }

func (startled) Answered(int, time.Duration) { panic("startled") }

// A panic after the application has answered is answered for, as everywhere.
func TestAPanicBehindTheApplication(t *testing.T) {
	app := answering(t, ok("hello"))
	g := newGateway(t, app, func(s *setup) { s.App.Observer, s.App.MaxConns = startled{s.App.Observer.(*observer)}, 1 })
	for range 3 { // no connection is lost
		if res := g.get("/public/x"); res.StatusCode != 500 || strings.Contains(res.body, "hello") {
			t.Errorf("status %d, body %q", res.StatusCode, res.body)
		}
		if got := g.observer.last(); got.Verdict != policy.Unavailable || got.Reason != policy.InternalError {
			t.Errorf("observed %v", got)
		}
	}
}

// stunned panics when a request ends, or begins, as it is told.
type stunned struct {
	*observer
	began, ended bool
}

func (o stunned) Began(f proxy.Face) {
	if o.began {
		panic("stunned")
	}
	o.observer.Began(f)
}

func (o stunned) Ended(f proxy.Face, d time.Duration) {
	if o.ended {
		panic("stunned")
	}
	o.observer.Ended(f, d)
}

// Where a panic cannot be answered for, it ends its own connection and loses none to the application.
func TestAPanicThatEndsTheConnection(t *testing.T) {
	for _, o := range []stunned{{ended: true}, {began: true}} {
		g := newGateway(t, answering(t, ok("hello")), func(s *setup) {
			o.observer = s.Observer.(*observer)
			s.Observer, s.App.MaxConns, s.App.ConnWait = o, 1, 0
			s.Limits.RequestsPerClient = 1
		})
		for _, sent := range []string{request("GET", "/public/x", ""), request("GET", "/x", ""), request("POST", "/public/x", "a"), "nonsense\r\n\r\n"} {
			for range 3 {
				c := g.dial()
				c.send(sent)
				if rest, err := io.ReadAll(c.r); isTimeout(err) || strings.Contains(string(rest), "hello") {
					t.Errorf("%+v: %q became %q, %v", o, sent, rest, err)
				}
			}
		}
		if log := g.log.String(); !strings.Contains(log, "stunned") || strings.Contains(log, "in use") || strings.Contains(log, "limit was reached") {
			t.Errorf("%+v: log %q", o, log)
		}
	}
}

// FuzzTheLane holds that the lane changes nothing, whatever comes.
func FuzzTheLane(f *testing.F) {
	for _, sent := range plainRequests() {
		f.Add([]byte(sent), []byte(nil))
		f.Add([]byte(sent), []byte(sent))
	}
	ways := newTwoWays(f, trusting)
	f.Fuzz(func(t *testing.T, first, second []byte) { ways.compare(t, string(first), string(second)) })
}
