package app_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

const patience = 20 * time.Second // bounds failures only

// chatting starts an application that opens every WebSocket and sends back what it gets, and returns the line of configuration for it.
func chatting(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
				_, _ = io.Copy(c, r)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		served.Wait()
	})
	return "app: http://" + ln.Addr().String()
}

// A socket is an open WebSocket as its client sees it.
type socket struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

// socket opens a WebSocket.
func (w *world) socket(path string, lines ...string) *socket {
	w.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	s := &socket{c, w.t, bufio.NewReader(c)}
	_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: app.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n\r\n", path, strings.Join(lines, "\r\n"))
	res, err := http.ReadResponse(s.r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatalf("no WebSocket was opened: %v, %v", res, err)
	}
	return s
}

// lives fails unless what is sent comes back.
func (s *socket) lives() {
	s.t.Helper()
	const frame = "\x81\x05hello"
	_, _ = io.WriteString(s, frame)
	got := make([]byte, len(frame))
	if _, err := io.ReadFull(s.r, got); err != nil || string(got) != frame {
		s.t.Errorf("got %q, %v", got, err)
	}
}

// ends fails unless the gateway closes the WebSocket for reasons of policy.
func (s *socket) ends() {
	s.t.Helper()
	got, err := io.ReadAll(s.r)
	if err != nil || !strings.HasPrefix(string(got), "\x88") || !strings.Contains(string(got), "\x03\xf0") {
		s.t.Errorf("got %q, %v, want a close frame of 1008", got, err)
	}
}

// TestRevocationClosesWebSockets holds for every way to revoke, although the session service goes on calling the session valid, and for no
// other session.
func TestRevocationClosesWebSockets(t *testing.T) {
	w := start(t, chatting(t), "session_cache: { fresh_for: 1h }")
	const form, cookie = "application/x-www-form-urlencoded", "Cookie: " + upstreamtest.DefaultCookie + "="
	w.service.SignIn(upstreamtest.Login{SessionID: "session", IdentityID: "identity", Token: "token", Cookies: []string{"cookie"}})
	w.service.SignIn(upstreamtest.Login{SessionID: "other", IdentityID: "else", Token: "bystander"})
	bystander := w.socket("/x", "X-Session-Token: bystander")
	f := func(url, body string) {
		t.Helper()
		byToken, byCookie := w.socket("/x", "X-Session-Token: token"), w.socket("/x", cookie+"cookie")
		byToken.lives()
		byCookie.lives()
		if a := w.do(http.MethodPost, w.admin+url, body, "Content-Type", form); a.status != http.StatusOK {
			t.Fatalf("%s %s answered %d: %s", url, body, a.status, a.body)
		}
		byToken.ends()
		if body == "credential=token" { // the cookie is another one
			byCookie.lives()
			return
		}
		byCookie.ends()
	}
	f("/-/revoke", "session_id=session")
	f("/-/revoke", "identity_id=identity")
	f("/-/revoke", "credential=token")
	bystander.lives()
	f("/-/flush", "")
	bystander.ends()
}

// TestWebSocketEndsWithItsSession holds where nobody tells the gateway, and when routes are reloaded.
func TestWebSocketEndsWithItsSession(t *testing.T) {
	app := chatting(t)
	w := start(t, app, "session_cache: { fresh_for: 100ms }")
	w.service.SignIn(upstreamtest.Login{SessionID: "session", Token: "token"})
	w.service.SignIn(upstreamtest.Login{SessionID: "other", Token: "bystander"})
	ended, bystander := w.socket("/x", "X-Session-Token: token"), w.socket("/x", "X-Session-Token: bystander")
	ended.lives()
	w.service.SignOut("session")
	ended.ends()
	bystander.lives()

	reload := func(routes string) {
		t.Helper()
		w.configure(override(strings.Split(strings.TrimSpace(w.yaml), "\n"), []string{"routes: [" + routes + "]"})...)
		if _, err := w.app.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	gone := w.socket("/gone", "X-Session-Token: bystander")
	reload("{ match: { path: /gone }, access: deny }, { match: { path: /* }, access: session }")
	gone.ends()
	bystander.lives() // its route leads to the application that it was opened to
	other := strings.TrimPrefix(chatting(t), "app: ")
	reload("{ match: { path: /* }, access: session, app: '" + other + "' }")
	bystander.ends()
	metric := w.get(w.admin + "/metrics").body
	for _, line := range []string{`gatehouse_tunnels_ended_total{cause="revoked"} 1`, `gatehouse_tunnels_ended_total{cause="policy"} 2`} {
		if !strings.Contains(metric, line) {
			t.Errorf("no metric %s", line)
		}
	}
}

// TestWebSocketsOfOneClient holds by the limit of the file.
func TestWebSocketsOfOneClient(t *testing.T) {
	w := start(t, chatting(t), "limits: { tunnels_per_client: 1 }", "routes: [{ match: { path: /* }, access: public }]")
	w.socket("/x", "X-Forwarded-For: 192.0.2.1").lives()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{
		"X-Forwarded-For": {"192.0.2.1"},
		"Connection":      {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("status %d", res.StatusCode)
	}
	if metric := w.get(w.admin + "/metrics").body; !strings.Contains(metric, `gatehouse_limited_total{limit="tunnels_per_client"} 1`) {
		t.Error("it was not counted")
	}
}
