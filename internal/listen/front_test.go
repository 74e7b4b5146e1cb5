package listen_test

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/listen"
)

// A memory is a listener for connections in memory.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newMemory() *memory {
	m := &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
	m.close = sync.OnceFunc(func() { close(m.closed) })
	return m
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error   { m.close(); return nil }
func (m *memory) Addr() net.Addr { return address("memory") }

// dial connects as a peer of that address.
func (m *memory) dial(peer net.Addr) net.Conn {
	client, server := net.Pipe()
	m.conns <- peerConn{server, peer}
	return client
}

type peerConn struct {
	net.Conn
	peer net.Addr
}

func (c peerConn) RemoteAddr() net.Addr { return c.peer }

type address string

func (address) Network() string  { return "memory" }
func (a address) String() string { return string(a) }

func tcp(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }

var balancer = tcp("192.0.2.1")

func fromBalancer(peer net.Addr) bool { return peer.String() == balancer.String() }

// isClosed reports whether the other side has closed a connection. It waits until something has come of it.
func isClosed(c net.Conn) bool {
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// TestSlowClients holds that clients that are not done in time are closed then, and that nobody waits for them.
func TestSlowClients(t *testing.T) {
	a, v := newAuthority(t, "authority"), newVolume(t)
	cert, key := a.issue("server", nil)
	v.write(cert, key, nil)
	secure, err := listen.NewCertificates(slog.New(slog.DiscardHandler), &observer{}).Add("", v.files(tls.NoClientCert))
	if err != nil {
		t.Fatal(err)
	}
	f := func(cfg listen.Config, fast func(net.Conn), slow string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			cfg.Logger = slog.New(slog.DiscardHandler)
			ln := listen.NewFront(m, cfg, 100)
			start := time.Now()
			var clients sync.WaitGroup
			for range 50 {
				c := m.dial(balancer)
				clients.Go(func() {
					for i := range len(slow) { // a byte a second
						if _, err := io.WriteString(c, slow[i:i+1]); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
					if !isClosed(c) || time.Since(start) != 10*time.Second {
						t.Errorf("a slow client was not closed after 10s, but after %v", time.Since(start))
					}
				})
			}
			c := m.dial(balancer)
			clients.Go(func() { fast(c) })
			got, err := ln.Accept()
			if err != nil || time.Since(start) != 0 {
				t.Fatalf("got %v after %v, want no error at once", err, time.Since(start))
			}
			_, _ = io.WriteString(got, "hello")
			_ = got.Close()
			clients.Wait()
			_ = ln.Close()
		})
	}
	handshake := func(c net.Conn) {
		secured := tls.Client(c, a.client())
		if b, err := io.ReadAll(secured); string(b) != "hello" {
			t.Errorf("got %q, %v", b, err)
		}
	}
	f(listen.Config{TLS: secure}, handshake, "")
	f(listen.Config{TLS: secure}, handshake, "\x16\x03\x01")
	header := func(c net.Conn) {
		_, _ = io.WriteString(c, "PROXY TCP4 198.51.100.1 198.51.100.2 1 2\r\n")
		if b, err := io.ReadAll(c); string(b) != "hello" {
			t.Errorf("got %q, %v", b, err)
		}
	}
	f(listen.Config{Relay: fromBalancer}, header, "")
	f(listen.Config{Relay: fromBalancer}, header, "\r\n\r\n\x00\r\n")
	f(listen.Config{Relay: fromBalancer, TLS: secure}, func(c net.Conn) {
		_, _ = io.WriteString(c, "PROXY TCP4 198.51.100.1 198.51.100.2 1 2\r\n")
		handshake(c)
	}, "")
}

// TestTimeIsLifted holds that the time limit ends with what it is for.
func TestTimeIsLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		ln := listen.NewFront(m, listen.Config{Relay: fromBalancer, Logger: slog.New(slog.DiscardHandler)}, 1)
		c := m.dial(balancer)
		_, _ = io.WriteString(c, "PROXY UNKNOWN\r\n")
		got, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		go io.WriteString(c, "hello")
		b := make([]byte, 5)
		if _, err := io.ReadFull(got, b); err != nil || string(b) != "hello" {
			t.Errorf("got %q, %v after a minute", b, err)
		}
		_ = got.Close()
		_ = ln.Close()
	})
}

// TestCloseIsPrompt holds that closing ends what is not yet handed out, at once: clients that are slow, and those that nobody accepts.
func TestCloseIsPrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		ln := listen.NewFront(m, listen.Config{Relay: fromBalancer, Logger: slog.New(slog.DiscardHandler)}, 100)
		var clients []net.Conn
		for i := range 20 {
			c := m.dial(balancer)
			clients = append(clients, c)
			if i%2 == 0 {
				_, _ = io.WriteString(c, "PROXY UNKNOWN\r\n")
			}
		}
		synctest.Wait()
		start := time.Now()
		for range 2 { // as often as one likes
			if err := ln.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("closing took %v", took)
		}
		for _, c := range clients {
			_ = c.SetReadDeadline(start) // it is closed by now
			if !isClosed(c) {
				t.Error("a connection was not closed")
			}
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got error %v from a closed listener, want %v", err, net.ErrClosed)
		}
	})
}

// TestTooManyUnready holds that there is a limit to how many connections are waited for, and that those who are served count no more.
func TestTooManyUnready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var l log
		ln := listen.NewFront(m, listen.Config{Relay: fromBalancer, Logger: l.logger()}, 2)
		first, second, third := m.dial(balancer), m.dial(balancer), m.dial(balancer)
		if !isClosed(third) {
			t.Error("a third connection was waited for, where there is room for two")
		}
		if !strings.Contains(l.String(), "too many connections") {
			t.Errorf("nothing was logged: %q", l.String())
		}
		_, _ = io.WriteString(first, "PROXY UNKNOWN\r\n")
		if _, err := ln.Accept(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		fourth := m.dial(balancer)
		_, _ = io.WriteString(fourth, "PROXY UNKNOWN\r\n")
		if _, err := ln.Accept(); err != nil {
			t.Fatal(err)
		}
		_ = ln.Close()
		if !isClosed(second) {
			t.Error("the connection that waited was not closed")
		}
	})
}

// TestWarningsAreRare holds that the log is not drowned by those who are turned away, and says how many there were.
func TestWarningsAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var l log
		ln := listen.NewFront(m, listen.Config{Relay: fromBalancer, Logger: l.logger()}, 10)
		f := func(n int) {
			for range n {
				if !isClosed(m.dial(tcp("203.0.113.9"))) {
					t.Error("a stranger was not closed")
				}
			}
		}
		f(100)
		time.Sleep(time.Minute)
		f(100)
		if got := strings.Count(l.String(), "\n"); got != 2 {
			t.Errorf("%d lines were logged, want 2:\n%s", got, l.String())
		}
		for _, want := range []string{"203.0.113.9", "trusted_proxies", "not_logged=0", "not_logged=99"} {
			if !strings.Contains(l.String(), want) {
				t.Errorf("the log does not say %s:\n%s", want, l.String())
			}
		}
		_ = ln.Close()
	})
}
