package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Connections beyond the number allowed are told so, and there is room again when others go.
func TestLimitsOfConnections(t *testing.T) {
	app := answering(t, ok(""))
	f := func(name string, limits proxy.Limits, limit proxy.Limit, status int, changes ...func(*setup)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, app, append(changes, limiting(limits))...)
			var held []*client
			for range 3 {
				c := g.dial()
				c.send(request("GET", "/public/x", ""))
				if res := c.next("GET"); res.StatusCode != 200 {
					t.Fatalf("status %d", res.StatusCode)
				}
				held = append(held, c)
			}
			over := g.dial()
			over.send(request("GET", "/public/x", ""))
			if status == 0 {
				if res := over.next("GET"); res.StatusCode != 200 {
					t.Errorf("status %d", res.StatusCode)
				}
				return
			}
			res := over.next("GET")
			if res.StatusCode != status || !res.Close || res.Header.Get("Retry-After") == "" || !strings.Contains(res.body, `"status":`) {
				t.Errorf("status %d, want %d; head %v body %q", res.StatusCode, status, res.Header, res.body)
			}
			over.nothing()
			if got := g.observer.limits(); !slices.Equal(got, []proxy.Limit{limit}) {
				t.Errorf("limits %v, want %v", got, limit)
			}
			_ = held[0].Close()
			for deadline := time.Now().Add(patience); ; {
				if res := g.get("/public/x"); res.StatusCode == 200 {
					return
				}
				if time.Now().After(deadline) {
					t.Fatal("there is no room although a connection went")
				}
			}
		})
	}
	f("all", proxy.Limits{Connections: 3}, proxy.ConnectionsLimit, 503)
	f("all, trusted", proxy.Limits{Connections: 3}, proxy.ConnectionsLimit, 503, trusting)
	f("one client", proxy.Limits{ConnectionsPerClient: 3}, proxy.ConnectionsPerClientLimit, 429)
	f("trusted client", proxy.Limits{ConnectionsPerClient: 3}, 0, 0, trusting)
}

// dialFrom is dial from another address of this machine.
func (g *gateway) dialFrom(addr string) *client {
	g.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	nc, err := d.Dial(g.network, g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &client{Conn: nc, t: g.t, r: bufio.NewReader(nc)}
}

// One address that sends 2,000 bodies and responses slowly holds its share of the connections to the application, and another address is
// served at once. What it held it may have again.
func TestOneClientDoesNotHoldTheApplication(t *testing.T) {
	release := make(chan struct{})
	app := newApp(t, func(c *appConn) {
		for {
			head, complete := c.head()
			if !complete {
				return
			}
			if strings.HasPrefix(head, "POST") {
				c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n")
				<-release
				return
			}
			c.write(ok("served"))
		}
	})
	defer close(release)
	g := newGateway(t, app, func(s *setup) {
		s.App.MaxConns = 64
		s.App.ConnWait = time.Nanosecond
		s.Limits = proxy.Limits{RequestsPerClient: 16}
	})
	const slow = 2000
	var clients []*client
	held, refused := 0, 0
	for i := range slow {
		c := g.dialFrom("127.0.0.1")
		body := "Transfer-Encoding: chunked"
		if i%2 == 0 {
			body = "Content-Length: 0"
		}
		c.send(request("POST", "/public/x", "", body))
		line, err := c.r.ReadString('\n')
		switch {
		case err == nil && strings.HasPrefix(line, "HTTP/1.1 200"):
			held++
			clients = append(clients, c)
		case err == nil && strings.HasPrefix(line, "HTTP/1.1 429"):
			refused++
			_ = c.Close()
		default:
			t.Fatalf("%q, %v", line, err)
		}
	}
	if held != 16 || refused != slow-16 {
		t.Errorf("%d are held and %d were refused", held, refused)
	}
	other := g.dialFrom("127.0.0.2")
	other.send(request("GET", "/public/x", ""))
	if res := other.next("GET"); res.StatusCode != 200 || res.body != "served" {
		t.Errorf("another client got %d", res.StatusCode)
	}
	for _, c := range clients {
		_ = c.Close()
	}
	for deadline := time.Now().Add(patience); ; {
		c := g.dialFrom("127.0.0.1")
		c.send(request("GET", "/public/x", ""))
		status := c.next("GET").StatusCode
		if status == 200 {
			break
		}
		if status != 429 || time.Now().After(deadline) {
			t.Fatalf("status %d after all was given back", status)
		}
	}
}

// What a client has at the application is counted by the client, wherever the request came by, and given back in whatever way it ends.
func TestRequestsAreCountedByClient(t *testing.T) {
	app := answering(t, ok("x"))
	g := newGateway(t, app, trusting, limiting(proxy.Limits{RequestsPerClient: 1}))
	for range 10 {
		for _, addr := range []string{"192.0.2.1", "2001:db8::1"} {
			if res := g.get("/public/x", "X-Forwarded-For: "+addr); res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
		}
	}
	broken := newApp(t, func(c *appConn) { c.request(); c.write("garbage\r\n\r\n") })
	g = newGateway(t, broken, limiting(proxy.Limits{RequestsPerClient: 1}))
	for range 5 {
		if res := g.get("/public/x"); res.StatusCode != 502 {
			t.Errorf("status %d", res.StatusCode)
		}
	}
}

// Who presented a credential is told to those who are asked about it: the peer, or the last in X-Forwarded-For who is not a proxy.
func TestWhoPresentsACredential(t *testing.T) {
	f := func(name, want string, lines []string, changes ...func(*setup)) {
		t.Helper()
		seen := &recording{}
		g := newGateway(t, answering(t, ok("")), append(changes, limiting(proxy.Limits{KnowClients: true}),
			func(s *setup) { seen.Sessions, s.Sessions = s.Sessions, seen })...)
		for _, target := range []string{"/x", "/sessions/whoami"} {
			g.get(target, append(lines, alice)...)
			if got := seen.from.String(); got != want {
				t.Errorf("%s at %s: presented by %s, want %s", name, target, got, want)
			}
		}
	}
	also := func(s *setup) {
		trusting(s)
		s.Trusted.Prefixes = append(s.Trusted.Prefixes, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48"))
	}
	chain := func(values ...string) (lines []string) {
		for _, v := range values {
			lines = append(lines, "X-Forwarded-For: "+v)
		}
		return lines
	}
	f("untrusted", "127.0.0.1", chain("192.0.2.1"))
	f("trusted without a word", "127.0.0.1", nil, also)
	f("client", "192.0.2.1", chain("192.0.2.1"), also)
	f("spoofed", "192.0.2.1", chain("198.51.100.1, 192.0.2.1"), also)
	f("spoofed in a line of its own", "192.0.2.1", chain("198.51.100.1", "192.0.2.1"), also)
	f("by two proxies", "192.0.2.1", chain("198.51.100.1, 192.0.2.1 , 10.1.2.3"), also)
	f("by two proxies in lines", "192.0.2.1", chain("192.0.2.1", "2001:db8:ffff::7", "10.1.2.3"), also)
	f("a proxy itself", "10.1.2.3", chain("10.1.2.3"), also)
	f("unreadable", "10.1.2.3", chain("192.0.2.1, unknown, 10.1.2.3"), also)
	f("unreadable at the end", "127.0.0.1", chain("192.0.2.1, unknown"), also)
	f("empty", "127.0.0.1", chain("192.0.2.1,"), also)
	f("zone", "127.0.0.1", chain("fe80::1%eth0"), also)
	f("IPv6", "2001:db8:1:2::", chain("2001:db8:1:2:3:4:5:6"), also)
	f("IPv4 in IPv6", "192.0.2.1", chain("::ffff:192.0.2.1"), also)
}

// recording are Sessions that note who asked.
type recording struct {
	proxy.Sessions
	from netip.Addr
}

func (r *recording) Lookup(ctx context.Context, c upstream.Credential, within time.Duration) (upstream.Answer, error) {
	r.from = c.From
	return r.Sessions.Lookup(ctx, c, within)
}

// A client who has presented too many unknown credentials is told so on every face, on optional routes too, and it is no outage.
func TestTooManyUnknown(t *testing.T) {
	g := newGateway(t, answering(t, ok("")), trusting)
	g.sessions.know("session_token x", upstream.Answer{}, fmt.Errorf("ask: %w", upstream.ErrLimited))
	g.passthrough.err = upstream.ErrLimited
	f := func(face proxy.Face, path string, lines ...string) {
		t.Helper()
		res := g.get(path, append(lines, "X-Session-Token: x")...)
		if res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: status %d head %v", path, res.StatusCode, res.Header)
		}
		if want := (observation{face, policy.Limited, policy.TooManyUnknown}); g.observer.last() != want {
			t.Errorf("%s: observed %v", path, g.observer.last())
		}
		if got := g.observer.limits(); got[len(got)-1] != proxy.UnknownPerClientLimit {
			t.Errorf("%s: limits %v", path, got)
		}
	}
	f(proxy.ProxyFace, "/x")
	f(proxy.ProxyFace, "/optional/x")
	f(proxy.ForwardAuthFace, authPath, about("GET", "/x")...)
	f(proxy.WhoamiFace, "/sessions/whoami")
	f(proxy.WhoamiFace, "/sessions/whoami?tokenize_as=x")
	if n := len(g.observer.limits()); n != 5 {
		t.Errorf("%d limits were counted", n)
	}
}
