package proxy_test

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A client that asks briskly, and ends its side together with the last request, is not forgotten: the system tells of both at once, and once.
func TestTheEndOfABriskClient(t *testing.T) {
	g := newGateway(t, nil)
	for range 5 {
		c := g.dial()
		for range 5 {
			c.send(request("GET", "/sessions/whoami", "", alice))
			if res := c.next("GET"); res.StatusCode != 200 {
				t.Fatalf("status %d", res.StatusCode)
			}
		}
		cork(t, c.Conn)
		c.send(request("GET", "/sessions/whoami", "", alice))
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if res := c.next("GET"); res.StatusCode != 200 || res.Close {
			t.Fatalf("status %d, close %v", res.StatusCode, res.Close)
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if n, err := io.Copy(io.Discard, c.Conn); n != 0 || err != nil {
			t.Fatalf("%d bytes and %v, want the end", n, err)
		}
	}
}

// cork makes what is sent wait for what follows, so that an end comes in the same segment.
func cork(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	set := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 1) })
	if set != nil || err != nil {
		t.Fatal(set, err)
	}
}
