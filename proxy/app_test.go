package proxy

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// deaf observes nothing.
type deaf struct{}

func (deaf) Answered(int, time.Duration) {}
func (deaf) Cut(Side)                    {}

// An idle connection is used again although the deadline of the last exchange has passed since, and not when there is something to read
// or it has been closed.
func TestGetLooksAtIdleConnections(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_ = ln.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
	a := NewApp(AppConfig{
		Network: "tcp", Address: ln.Addr().String(), MaxConns: 1,
		DialTimeout: time.Minute, ConnWait: time.Minute, HeadTimeout: time.Minute, IdleTimeout: time.Minute, KeepAlive: time.Minute,
		MaxAge: time.Minute, LookEvery: time.Minute, Observer: deaf{},
	})
	defer a.Close()
	f := func(name string, reused bool, meanwhile func(c *appConn, peer net.Conn)) {
		t.Helper()
		c, err := a.get(context.Background(), nil, true)
		if err != nil {
			t.Fatal(err)
		}
		peer, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = peer.Close() }()
		meanwhile(c, peer)
		a.put(c)
		if c.r != nil {
			t.Errorf("%s: an idle connection holds a buffer", name)
		}
		next, err := a.get(context.Background(), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := next == c; got != reused {
			t.Errorf("%s: reused is %v", name, got)
		}
		if !reused {
			second, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			_ = second.Close()
		}
		a.drop(next)
	}
	f("nothing", true, func(*appConn, net.Conn) {})
	f("deadline has passed", true, func(c *appConn, _ net.Conn) { _ = c.SetDeadline(time.Unix(1, 0)) })
	f("closed", false, func(_ *appConn, peer net.Conn) { _ = peer.Close() })
	f("stray byte", false, func(_ *appConn, peer net.Conn) { _, _ = peer.Write([]byte("H")) })
	f("stray byte that was read", false, func(c *appConn, peer net.Conn) {
		_, _ = peer.Write([]byte("HT"))
		_, _ = c.r.ReadByte()
	})
}

// A connection that ends before its response was handed over gives back what the response holds: fasthttp drops a hijack whose client is
// gone, and says so to nobody.
func TestCloseEndsWhatWasNotHandedOver(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a := NewApp(AppConfig{
		Network: "tcp", Address: ln.Addr().String(), MaxConns: 1,
		DialTimeout: time.Minute, ConnWait: time.Minute, HeadTimeout: time.Minute, IdleTimeout: time.Minute, KeepAlive: time.Minute,
		MaxAge: time.Minute, LookEvery: time.Minute, Observer: deaf{},
	})
	defer a.Close()
	for range 3 { // there is one connection to the application, so that one that is lost stops the next round
		c, err := a.get(t.Context(), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		defer far.Close()
		client := newConn(near, NewTestServer(nil))
		client.pending.Store(new(io.Closer(&download{app: a, client: client, c: c})))
		_ = client.Close()
	}
}
