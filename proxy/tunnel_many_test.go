package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// Many tunnels at a time leave neither memory nor goroutines behind, round after round.
func TestTunnelsLeaveNothingBehind(t *testing.T) {
	const many, rounds = 200, 4
	g := newGateway(t, forgetful(t), func(s *setup) {
		s.Tunnels = proxy.TunnelConfig{Max: many}
		s.Revocations, s.Unattended = &fakeRevocations{}, s.Sessions
		s.Observer.(*observer).tunnels = make(chan proxy.TunnelEnd, many)
	})
	round := func() {
		clients := make([]net.Conn, many)
		for i := range clients {
			clients[i] = openOnce(t, g.addr)
		}
		for i, c := range clients {
			said := fmt.Sprint("hello ", i)
			_, _ = io.WriteString(c, said)
			got := make([]byte, len(said))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != said {
				t.Fatalf("tunnel %d: %q, %v", i, got, err)
			}
		}
		if n := g.Tunnels(); n != many {
			t.Fatalf("%d tunnels are open", n)
		}
		for _, c := range clients {
			_ = c.Close()
		}
		for range clients {
			receive(t, g.observer.tunnels)
		}
	}
	idle := runtime.NumGoroutine() + many/20 // less than one of a tunnel each
	round()                                  // whatever is made once
	memory := settled(t, g, idle)
	for range rounds {
		round()
	}
	after := settled(t, g, idle)
	if after-memory > rounds*many<<10 { // less than the smallest buffer of a tunnel each
		t.Errorf("%d bytes before and %d after %d tunnels", memory, after, rounds*many)
	}
}

// settled waits until there are no connections and at most so many goroutines, and returns the bytes in use.
func settled(t *testing.T, g *gateway, goroutines int) int64 {
	t.Helper()
	for deadline := time.Now().Add(patience); g.Connections() > 0 || runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections and %d goroutines, want none and %d", g.Connections(), runtime.NumGoroutine(), goroutines)
		}
	}
	runtime.GC()
	runtime.GC() // pools keep things for one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// forgetful returns the listener of an application that opens every WebSocket, sends back what it gets, and remembers nothing.
func forgetful(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				if _, err := http.ReadRequest(r); err == nil {
					_, _ = io.WriteString(c, switching)
					_, _ = io.Copy(c, r)
				}
			}()
		}
	}()
	return ln
}

// openOnce opens a WebSocket that is the caller's alone to close.
func openOnce(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, handshake("/x", alice))
	head := make([]byte, 0, len(switching)+64)
	for b := make([]byte, 1); len(head) < 4 || string(head[len(head)-4:]) != "\r\n\r\n"; head = append(head, b[0]) {
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatalf("%v after %q", err, head)
		}
	}
	if string(head[:13]) != "HTTP/1.1 101 " {
		t.Fatalf("%q", head)
	}
	return c
}
