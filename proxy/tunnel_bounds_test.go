package proxy_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// Tunnels are bounded, and take neither a connection of the pool nor a place among the requests that a client may have at the application.
func TestTooManyTunnels(t *testing.T) {
	app := newApp(t, func(c *appConn) {
		for {
			head, ok := c.request()
			switch {
			case !ok:
				return
			case strings.Contains(head, "Upgrade"):
				c.write(switching)
				_, _ = io.Copy(c.Conn, c.r)
			default:
				c.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
			}
		}
	})
	g := newTunnelling(t, app, func(s *setup) {
		s.Tunnels.Max = 3
		s.App.MaxConns = 1
		s.Limits.RequestsPerClient = 1
	})
	var open []*client
	for range 3 {
		open = append(open, g.open("/x", alice))
	}
	res := g.ask(handshake("/x", alice))
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || g.observer.last().Reason != policy.TooManyTunnels {
		t.Errorf("status %d for %s", res.StatusCode, g.observer.last().Reason)
	}
	if len(g.observer.cut) > 0 {
		t.Errorf("cut by %v what was never begun", g.observer.cut)
	}
	if !slices.Equal(g.observer.limited, []proxy.Limit{proxy.TunnelsLimit}) {
		t.Errorf("limits that were reached: %v", g.observer.limited)
	}
	if res := g.get("/public/x"); res.body != "hello" {
		t.Errorf("the pool has no connection left: status %d", res.StatusCode)
	}
	_ = open[0].Close()
	g.end()
	g.open("/x", alice).echoed("hello")
	for _, c := range open[1:] {
		c.echoed("hello")
	}
}

// One client cannot hold all tunnels, wherever it comes by, and has its share again when its tunnels end. Peers that are trusted may have
// any number of their own.
func TestTunnelsAreCountedByClient(t *testing.T) {
	g := newTunnelling(t, echoing(t), trusting, func(s *setup) { s.Tunnels.MaxPerClient = 2 })
	const one, other = "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2"
	first := g.open("/x", alice, one)
	g.open("/x", bob, one)
	res := g.ask(handshake("/x", alice, one))
	if res.StatusCode != 429 || res.Header.Get("Retry-After") == "" || g.observer.last().Reason != policy.TooManyOwnTunnels {
		t.Errorf("status %d for %s", res.StatusCode, g.observer.last().Reason)
	}
	if got := g.observer.limits(); !slices.Equal(got, []proxy.Limit{proxy.TunnelsPerClientLimit}) {
		t.Errorf("limits that were reached: %v", got)
	}
	g.open("/x", alice, other).echoed("hello")
	for range 3 {
		g.open("/x", alice)
	}
	for range 3 {
		_ = first.Close()
		g.end()
		first = g.open("/x", alice, one)
		first.echoed("hello")
	}
	if res := g.ask(handshake("/x", alice, one)); res.StatusCode != 429 {
		t.Errorf("status %d once its share is taken again", res.StatusCode)
	}
}

// A handshake that fails makes room for the next.
func TestFailedHandshakesMakeRoom(t *testing.T) {
	app := newApp(t, func(c *appConn) {
		c.head()
		switch c.n {
		case 0: // no answer
		case 1:
			c.write("garbage\r\n\r\n")
		case 2:
			c.write("HTTP/1.1 101 X\r\n\r\n")
		case 3:
			c.write(ok("declined"))
		default:
			c.write(switching)
			_, _ = io.Copy(c.Conn, c.r)
		}
	})
	g := newTunnelling(t, app, func(s *setup) {
		s.Tunnels.Max, s.Tunnels.MaxPerClient = 1, 1
		s.App.MaxConns = 1
	})
	for _, want := range []int{502, 502, 502, 200} {
		if res := g.ask(handshake("/x", alice)); res.StatusCode != want {
			t.Errorf("status %d, want %d", res.StatusCode, want)
		}
	}
	g.open("/x", alice).echoed("hello")
}

// Shutdown tells those who have a tunnel, and waits for no one.
func TestShutdownEndsTunnels(t *testing.T) {
	app := newApp(t, func(c *appConn) {
		c.head()
		c.write(switching)
		if _, err := io.Copy(c.Conn, c.r); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Logf("application: %v", err)
		}
	})
	g := newTunnelling(t, app)
	quiet, middle := g.open("/x", alice), g.open("/x", alice)
	quiet.echoed(textFrame("hello"))
	middle.echoed(textFrame("hello")[:4]) // in the middle of a frame, where nothing can be said
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	quiet.closed(1001)
	if rest := middle.rest(); rest != "" {
		t.Errorf("got %q", rest)
	}
	for range 2 {
		if why := g.end(); why != proxy.EndedByShutdown {
			t.Errorf("ended by %v", why)
		}
	}
}

// A thousand tunnels work at a time, and those of a session that is revoked end, all of them, and no others.
func TestThousandTunnels(t *testing.T) {
	const each = 500
	g := newTunnelling(t, echoing(t), func(s *setup) { s.Tunnels.Max = 2 * each })
	var alices, bobs [each]*client
	for i := range each {
		alices[i], bobs[i] = g.open("/x", alice), g.open("/x", bob)
	}
	speak := func(cs []*client) {
		t.Helper()
		for i, c := range cs {
			c.send(textFrame(fmt.Sprint("hello ", i)))
		}
		for i, c := range cs {
			c.expect(textFrame(fmt.Sprint("hello ", i)))
		}
	}
	speak(alices[:])
	speak(bobs[:])
	if n := g.Tunnels(); n != 2*each {
		t.Errorf("%d tunnels are open", n)
	}
	g.revocations.revoke("session-alice")
	for _, c := range alices {
		c.closed(1008)
		_ = c.Close()
	}
	for range each {
		if why := g.end(); why != proxy.EndedByRevocation {
			t.Fatalf("ended by %v", why)
		}
	}
	speak(bobs[:])
	if n := g.Tunnels(); n != each {
		t.Errorf("%d tunnels are open", n)
	}
	for _, c := range bobs {
		_ = c.Close()
	}
	for range each {
		g.end()
	}
}
