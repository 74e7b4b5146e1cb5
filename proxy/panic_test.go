package proxy_test

import (
	"net"
	"strings"
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
