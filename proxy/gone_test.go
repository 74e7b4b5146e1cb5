package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
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

// A client that leaves while the application is silent ends the exchange for the application, before the answer as within it.
func TestGoneClientEndsTheExchange(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it can be seen on Linux only")
	}
	f := func(name, request, answer string, leave func(*client)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			arrived, ended := make(chan struct{}), make(chan error, 1)
			app := newApp(t, func(c *appConn) {
				c.head()
				c.write(answer)
				arrived <- struct{}{}
				_, err := io.Copy(io.Discard, c.r)
				ended <- err
			})
			g := newGateway(t, app, oneConn, func(s *setup) { s.App.IdleTimeout, s.App.LookEvery, s.AccessLog = 0, 5*time.Millisecond, true })
			c := g.dial()
			c.send(request)
			receive(t, arrived)
			if answer != "" {
				if _, err := c.r.Peek(1); err != nil {
					t.Fatal(err)
				}
			}
			leave(c)
			if err := receive(t, ended); isTimeout(err) {
				t.Error("the application was left waiting")
			}
			if got := g.observer.cuts(t); !slices.Equal(got, []proxy.Side{proxy.ByClient}) {
				t.Errorf("cut by %v", got)
			}
			if n := len(app.heads()); n != 1 {
				t.Errorf("sent %d times", n)
			}
			if g.pool.Down() || answer == "" && (g.observer.last().Reason != policy.ClientGone || len(g.observer.app) != 0) {
				t.Errorf("reason %v, answers %v, down %v", g.observer.last(), g.observer.app, g.pool.Down())
			}
		})
	}
	closes := func(c *client) { _ = c.Close() }
	halves := func(c *client) { c.closeWrite() } // as many servers see it, who says no more waits for no more
	resets := func(c *client) { _ = c.Conn.(*net.TCPConn).SetLinger(0); _ = c.Close() }
	const stream = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
	f("before the answer", request("GET", "/public/x", ""), "", closes)
	f("with its own half first", request("GET", "/public/x", ""), "", halves)
	f("with a reset", request("GET", "/public/x", ""), "", resets)
	f("with something still to be read", request("GET", "/public/x", ""), "", func(c *client) {
		c.send(request("GET", "/public/y", ""))
		_ = c.Close()
	})
	f("after an upload", request("POST", "/public/x", "hello"), "", closes)
	f("within the answer", request("GET", "/public/x", ""), stream, closes)
	f("within the answer to HTTP/1.0", "GET /public/x HTTP/1.0\r\nHost: app.example.com\r\n\r\n", stream, closes)
}

// Nor does TLS hide that a client has left, although its last words are still to be read.
func TestGoneTLSClient(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it can be seen on Linux only")
	}
	arrived, ended := make(chan struct{}), make(chan error, 1)
	app := newApp(t, func(c *appConn) {
		c.head()
		arrived <- struct{}{}
		_, err := io.Copy(io.Discard, c.r)
		ended <- err
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := proxy.SelfSigned(t)
	g := newGateway(t, app, func(s *setup) {
		s.App.LookEvery = 5 * time.Millisecond
		s.Listener = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})
	})
	c := tls.Client(g.dial().Conn, &tls.Config{InsecureSkipVerify: true})
	if _, err := io.WriteString(c, request("GET", "/public/x", "")); err != nil {
		t.Fatal(err)
	}
	receive(t, arrived)
	_ = c.Close()
	if err := receive(t, ended); isTimeout(err) {
		t.Error("the application was left waiting")
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
