package proxy_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// fakeRevocations are what a test has revoked: sessions, by their ids.
type fakeRevocations struct {
	mu  sync.Mutex
	ids []string
}

func (f *fakeRevocations) LatestRevocation() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return uint64(len(f.ids))
}

func (f *fakeRevocations) RevokedSince(number uint64, _ upstream.Credential, s *upstream.Session) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.ids[number:], s.ID)
}

func (f *fakeRevocations) revoke(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids = append(f.ids, id)
}

// tunnelling is a gateway for tests with tunnels.
type tunnelling struct {
	*gateway
	revocations *fakeRevocations
}

// newTunnelling starts a gateway that opens up to 64 tunnels.
func newTunnelling(t testing.TB, app *scriptedApp, changes ...func(*setup)) *tunnelling {
	t.Helper()
	g := &tunnelling{revocations: &fakeRevocations{}}
	ended := make(chan proxy.TunnelEnd, 4096)
	g.gateway = newGateway(t, app, append([]func(*setup){func(s *setup) {
		s.Tunnels = proxy.TunnelConfig{Max: 64}
		s.Revocations, s.Unattended = g.revocations, s.Sessions
		s.Observer.(*observer).tunnels = ended
	}}, changes...)...)
	return g
}

// end waits until a tunnel has ended, and returns why.
func (g *tunnelling) end() proxy.TunnelEnd {
	g.t.Helper()
	return receive(g.t, g.observer.tunnels)
}

// The key of RFC 6455 section 1.3, and what has to be answered to it.
const (
	wsKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	wsAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// handshake returns the bytes of a WebSocket handshake.
func handshake(path string, lines ...string) string {
	return request("GET", path, "", append([]string{
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + wsKey,
	}, lines...)...)
}

// switching is the head of an answer that opens a WebSocket.
const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + wsAccept + "\r\n\r\n"

// echoing returns an application that opens every WebSocket and sends back what it gets, until the end, and then ends too.
func echoing(t testing.TB) *scriptedApp {
	return newApp(t, func(c *appConn) {
		if _, ok := c.head(); !ok {
			return
		}
		c.write(switching)
		_, _ = io.Copy(c.Conn, c.r)
	})
}

// open sends a handshake and reads the answer, which must open a WebSocket.
func (g *tunnelling) open(path string, lines ...string) *client {
	g.t.Helper()
	c := g.dial()
	c.send(handshake(path, lines...))
	c.switched()
	return c
}

// switched reads the head of an answer that opens a WebSocket, and returns it.
func (c *client) switched() string {
	c.t.Helper()
	head := c.head()
	if !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		c.t.Fatalf("no WebSocket was opened: %q", head)
	}
	return head
}

// head reads the head of a response as it came.
func (c *client) head() string {
	c.t.Helper()
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		b, err := c.r.ReadByte()
		if err != nil {
			c.t.Fatalf("read head: %v after %q", err, head.String())
		}
		head.WriteByte(b)
	}
	return head.String()
}

// echoed sends s and fails unless it comes back.
func (c *client) echoed(s string) {
	c.t.Helper()
	c.send(s)
	c.expect(s)
}

// expect fails unless s is what comes next.
func (c *client) expect(s string) {
	c.t.Helper()
	got := make([]byte, len(s))
	if n, err := io.ReadFull(c.r, got); err != nil || string(got) != s {
		c.t.Fatalf("got %q and %v, want %q", got[:n], err, s)
	}
}

// closed fails unless a close frame with the code comes next, and the end of the connection after it.
func (c *client) closed(code uint16) {
	c.t.Helper()
	got, err := io.ReadAll(c.r)
	if err != nil || len(got) < 4 || got[0] != 0x88 || int(got[1]) != len(got)-2 || binary.BigEndian.Uint16(got[2:]) != code {
		c.t.Errorf("got %q and %v, want a close frame of %d and the end", got, err, code)
	}
}

// textFrame returns a frame as servers send it.
func textFrame(s string) string { return "\x81" + string(rune(len(s))) + s }

// asResponse reads bytes as a response to a GET.
func asResponse(t testing.TB, s string) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(s)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

var openRules = []policy.Rule{
	{Name: "public", Path: "/public/*", Access: policy.PublicAccess},
	{Name: "optional", Path: "/optional/*", Access: policy.OptionalAccess},
	{Name: "own", Path: "/own/*", Access: policy.SessionAccess, Origins: []string{"https://other.example.com", "http://[::1]:3000"}},
	{Name: "any", Path: "/any/*", Access: policy.SessionAccess, Origins: []string{"*"}},
	{Name: "none", Path: "/none/*", Access: policy.SessionAccess, Origins: []string{}},
	{Name: "all", Path: "/*", Access: policy.SessionAccess},
}
