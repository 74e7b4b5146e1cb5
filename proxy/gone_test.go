package proxy_test

import (
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// cuts waits until something was cut, and returns who cut it.
func (o *observer) cuts(t *testing.T) []proxy.Side {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		o.mu.Lock()
		all := slices.Clone(o.cut)
		o.mu.Unlock()
		if len(all) > 0 {
			return all
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was cut")
		}
	}
}

// A watchedListener tells of each look at one of its connections.
type watchedListener struct {
	net.Listener
	looks chan struct{}
}

func (l watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{c.(*net.TCPConn), l.looks}, nil
}

type watchedConn struct {
	*net.TCPConn
	looks chan struct{}
}

func (c *watchedConn) SyscallConn() (syscall.RawConn, error) {
	raw, err := c.TCPConn.SyscallConn()
	return watchedRaw{raw, c.looks}, err
}

type watchedRaw struct {
	syscall.RawConn
	looks chan struct{}
}

func (r watchedRaw) Control(f func(uintptr)) error {
	select {
	case r.looks <- struct{}{}:
	default:
	}
	return r.RawConn.Control(f)
}

// A client that waits is not taken for one that has left, however long the application is silent: longer than it takes to look.
func TestSilentStreamGoesOn(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	app := newApp(t, func(c *appConn) {
		c.head()
		close(arrived)
		<-release
		c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		<-release
		c.write("5\r\nhello\r\n0\r\n\r\n")
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	watched := watchedListener{ln, make(chan struct{})}
	g := newGateway(t, app, func(s *setup) {
		s.Listener, s.App.IdleTimeout, s.App.HeadTimeout, s.App.LookEvery = watched, 0, time.Hour, 5*time.Millisecond
	})
	c := g.dial()
	c.send(request("GET", "/public/x", ""))
	<-arrived
	c.send("GET /public/next HTTP/1.1\r\n") // who has more to say is there, too
	looks := func() {
		for range 3 {
			receive(t, watched.looks)
		}
	}
	looks()
	release <- struct{}{}
	res := c.nextHead("GET")
	looks()
	release <- struct{}{}
	if body, err := readAll(res); body != "hello" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}

// Limits of time hold although it is looked after the client meanwhile, and what an application breaks off is counted as that.
func TestCutByTheApplication(t *testing.T) {
	f := func(name, answer string, change func(*setup)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			hold := make(chan struct{})
			app := newApp(t, func(c *appConn) {
				c.head()
				c.write(answer)
				if change != nil {
					<-hold
				}
			})
			defer close(hold)
			g := newGateway(t, app, func(s *setup) {
				if change != nil {
					change(s)
				}
			})
			c := g.dial()
			c.send(request("GET", "/public/x", ""))
			if res := c.next("GET"); res.err == nil {
				t.Errorf("a complete answer: %q", res.body)
			}
			if got := g.observer.cuts(t); !slices.Equal(got, []proxy.Side{proxy.ByApp}) {
				t.Errorf("cut by %v", got)
			}
		})
	}
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
	f("chunked", chunked, nil)
	f("length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", nil)
	f("idle", chunked, func(s *setup) { s.App.IdleTimeout = 20 * time.Millisecond })
	f("idle for longer than it takes to look", chunked, func(s *setup) {
		s.App.IdleTimeout, s.App.LookEvery = 20*time.Millisecond, time.Millisecond
	})
}
