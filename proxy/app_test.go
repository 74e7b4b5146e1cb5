package proxy

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// deaf observes nothing.
type deaf struct{}

func (deaf) Answered(int, time.Duration) {}
func (deaf) Cut(Side)                    {}

// newApp returns an App of one connection, and what it connects to.
func newApp(t *testing.T) (*App, net.Listener) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	_ = ln.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
	a := NewApp(AppConfig{
		Network: "tcp", Address: ln.Addr().String(), MaxConns: 1,
		DialTimeout: time.Minute, ConnWait: time.Minute, HeadTimeout: time.Minute, IdleTimeout: time.Minute, KeepAlive: time.Minute,
		MaxAge: time.Minute, LookEvery: time.Minute, Observer: deaf{},
	})
	t.Cleanup(a.Close)
	return a, ln
}

// An idle connection is used again although the deadline of the last exchange has passed since, and not when there is something to read
// or it has been closed.
func TestGetLooksAtIdleConnections(t *testing.T) {
	a, ln := newApp(t)
	f := func(name string, reused bool, meanwhile func(c *appConn, peer net.Conn)) {
		t.Helper()
		c, _, err := a.get(context.Background(), nil, true, nil)
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
		heard := make(chan []byte, 1)
		go func() {
			request := make([]byte, 16)
			n, _ := peer.Read(request)
			_, _ = peer.Write(request[:n])
			heard <- request[:n]
		}()
		next, sent, err := a.get(context.Background(), nil, false, []byte("ping"))
		if err != nil {
			t.Fatal(err)
		}
		if got := next == c; got != reused || reused != (sent == len("ping")) {
			t.Errorf("%s: reused is %v, %d bytes were sent", name, got, sent)
		}
		if got := <-heard; reused != (string(got) == "ping") || !reused && len(got) > 0 {
			t.Errorf("%s: the application heard %q", name, got)
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
	f("deadline has passed", true, func(c *appConn, _ net.Conn) {
		c.until.Store(1)
		_ = c.setLook(0)
	})
	f("closed", false, func(_ *appConn, peer net.Conn) { _ = peer.Close() })
	f("stray byte", false, func(_ *appConn, peer net.Conn) { _, _ = peer.Write([]byte("H")) })
	f("stray byte that was read", false, func(c *appConn, peer net.Conn) {
		_, _ = peer.Write([]byte("HT"))
		_, _ = c.r.ReadByte()
	})
}

// What a socket does not take at once of a request is sent after it, once and in order.
func TestRequestThatIsTakenPieceByPiece(t *testing.T) {
	a, ln := newApp(t)
	c, _, err := a.get(t.Context(), nil, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	a.put(c)
	message := make([]byte, 16<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(message)
	c, sent, err := a.get(t.Context(), nil, false, message)
	if err != nil || sent == 0 || sent == len(message) {
		t.Fatalf("%d bytes were sent, %v", sent, err)
	}
	wrote := make(chan error, 1)
	go func() {
		wrote <- c.write(message[sent:], time.Minute)
		a.drop(c)
	}()
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, message) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// A farewell is a connection that says when it is closed.
type farewell struct {
	net.Conn
	said func()
}

func (c *farewell) Close() error {
	c.said()
	return c.Conn.Close()
}

// Nobody waits while connections are closed that were idle for too long: with TLS that takes time.
func TestNobodyWaitsForTheSweeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a *App
		closed := 0
		a = NewApp(AppConfig{
			MaxConns: 1, DialTimeout: time.Minute, HeadTimeout: time.Minute, KeepAlive: time.Second, MaxAge: time.Hour, LookEvery: time.Minute,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				near, _ := net.Pipe()
				return &farewell{near, func() {
					if closed++; !a.mu.TryLock() {
						t.Error("nobody gets a connection while one is closed")
						return
					}
					a.mu.Unlock()
				}}, nil
			},
		})
		c, _, err := a.get(t.Context(), nil, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		a.put(c)
		time.Sleep(time.Second)
		if synctest.Wait(); closed != 1 {
			t.Errorf("%d connections were closed, want 1", closed)
		}
	})
}

// A connection that ends before its response was handed over gives back what the response holds: fasthttp drops a hijack whose client is
// gone, and says so to nobody.
func TestCloseEndsWhatWasNotHandedOver(t *testing.T) {
	a, _ := newApp(t)
	for range 3 { // there is one connection to the application, so that one that is lost stops the next round
		c, _, err := a.get(t.Context(), nil, false, nil)
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
