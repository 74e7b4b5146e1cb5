package proxy_test

import (
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// A client that asks briskly, and ends its side together with the last request, is not forgotten: the system tells of both at once, and once.
func TestTheEndOfABriskClient(t *testing.T) {
	g := newGateway(t, answering(t, ok("ok")))
	f := func(path string) {
		t.Helper()
		c := g.dial()
		for range 5 {
			c.send(request("GET", path, "", alice))
			if res := c.next("GET"); res.StatusCode != 200 {
				t.Fatalf("%s: status %d", path, res.StatusCode)
			}
		}
		cork(t, c.Conn)
		c.send(request("GET", path, "", alice))
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if res := c.next("GET"); res.StatusCode != 200 || res.Close {
			t.Fatalf("%s: status %d, close %v", path, res.StatusCode, res.Close)
		}
		if n, err := io.Copy(io.Discard, c.Conn); n != 0 || err != nil {
			t.Fatalf("%s: %d bytes and %v, want the end", path, n, err)
		}
	}
	for range 3 {
		f("/sessions/whoami")
		f("/x")
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
