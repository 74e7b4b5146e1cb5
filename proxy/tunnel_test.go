package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A handshake reaches the application as it was, with the identity and without the credential, and its answer reaches the client. From
// then on every byte passes, whatever it is, until both sides have ended.
func TestTunnel(t *testing.T) {
	app := newApp(t, func(c *appConn) {
		c.head()
		c.write("HTTP/1.1 101 Web Socket Protocol Handshake\r\nServer: app/1\r\nconnection: keep-alive, X-Hop, upgrade\r\n" +
			"UPGRADE: WebSocket\r\nSec-WebSocket-Accept: " + wsAccept + "\r\nsec-websocket-protocol: chat\r\nSet-Cookie: a=1\r\nX-Hop: 1\r\n" +
			"Keep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\nX-Gatehouse-Cache: forged\r\nX_Gatehouse_Jwt: forged\r\nX-Empty:\r\n\r\n")
		_, _ = io.Copy(c.Conn, c.r)
	})
	g := newTunnelling(t, app, func(s *setup) { s.AccessLog = true })
	answer := hit(session("alice"))
	answer.Renewed = upstreamtest.SetCookie("ory_kratos_session=new; Path=/")
	g.sessions.know("cookie "+aliceCookie, answer, nil)
	c := g.dial()
	c.send(request("GET", "/chat?room=a%20b", "",
		"User-Agent: browser", "connection: keep-alive, UPGRADE", "upgrade: WebSocket", "Origin: https://app.example.com",
		"Sec-WebSocket-Version: 13", "sec-websocket-key: "+wsKey, "Sec-WebSocket-Protocol: chat, other",
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "Cookie: a=1; ory_kratos_session="+aliceCookie+"; b=2",
		"X-User-Id: forged", "X_User_Id: forged", "X-Forwarded-For: 192.0.2.1"))
	want := "HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nServer: app/1\r\n" +
		"Sec-WebSocket-Accept: " + wsAccept + "\r\nsec-websocket-protocol: chat\r\nSet-Cookie: a=1\r\nX-Empty:\r\n" +
		"Set-Cookie: ory_kratos_session=new; Path=/\r\n\r\n"
	if got := c.switched(); got != want {
		t.Errorf("the client got\n%q\nwant\n%q", got, want)
	}
	want = "GET /chat?room=a%20b HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: browser\r\nOrigin: https://app.example.com\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + wsKey + "\r\nSec-WebSocket-Protocol: chat, other\r\n" +
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nCookie: a=1; b=2\r\n" +
		strings.Replace(ofPublic, "8080", g.addr[strings.LastIndexByte(g.addr, ':')+1:], 1) +
		"X-User-Id: identity-alice\r\nX-User-Email: alice@example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	if got := app.heads()[0]; got != want {
		t.Errorf("the application got\n%q\nwant\n%q", got, want)
	}
	for _, s := range []string{"hello", "\x00\r\n\r\nGET / HTTP/1.1\r\n\r\n", strings.Repeat("0123456789", 200_000)} {
		sent := make(chan error, 1)
		go func() { _, err := io.WriteString(c, s); sent <- err }()
		c.expect(s)
		if err := receive(t, sent); err != nil {
			t.Error(err)
		}
	}
	if g.Tunnels() != 1 {
		t.Errorf("%d tunnels are open", g.Tunnels())
	}
	c.closeWrite()
	c.nothing()
	if why := g.end(); why != proxy.EndedByClient {
		t.Errorf("ended by %v", why)
	}
	if got := g.observer.last(); got != (observation{proxy.ProxyFace, policy.Allowed, policy.SessionValid}) {
		t.Errorf("%+v", got)
	}
	log := g.log.String()
	if !strings.Contains(log, "status=101") || !strings.Contains(log, "cause=client") || !strings.Contains(log, "identity=identity-alice") ||
		strings.Contains(log, aliceCookie) || strings.Contains(log, "room=") {
		t.Errorf("log %s", log)
	}
}

// Nothing is lost that comes right behind a handshake or right behind its answer, and nothing that a client sends reaches the application
// before it has agreed (RFC 9931).
func TestTunnelKeepsEarlyBytes(t *testing.T) {
	agree := make(chan struct{})
	app := newApp(t, func(c *appConn) {
		c.head()
		<-agree
		if c.r.Buffered() > 0 {
			t.Error("the application got bytes before it agreed")
		}
		c.write(switching + textFrame("welcome"))
		_, _ = io.Copy(c.Conn, c.r)
	})
	g := newTunnelling(t, app)
	for _, early := range []string{"x", strings.Repeat("early", 5000)} {
		c := g.dial()
		c.send(handshake("/public/x") + early)
		agree <- struct{}{}
		c.switched()
		c.expect(textFrame("welcome") + early)
		c.echoed("more")
		_ = c.Close()
		g.end()
	}
}

// Each side may end what it sends and go on receiving.
func TestTunnelHalfClosed(t *testing.T) {
	f := func(name string, want proxy.TunnelEnd, script func(*appConn), speak func(*client)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			done := make(chan struct{})
			app := newApp(t, func(c *appConn) {
				defer close(done)
				c.head()
				c.write(switching)
				script(c)
			})
			g := newTunnelling(t, app)
			speak(g.open("/x", alice))
			receive(t, done)
			if why := g.end(); why != want {
				t.Errorf("ended by %v, want %v", why, want)
			}
		})
	}
	f("by the client", proxy.EndedByClient, func(c *appConn) {
		all, _ := io.ReadAll(c.r)
		c.write(string(all) + " and goodbye")
	}, func(c *client) {
		c.send("hello")
		c.closeWrite()
		c.expect("hello and goodbye")
		c.nothing()
	})
	f("by the application", proxy.EndedByApp, func(c *appConn) {
		c.write("goodbye")
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		if all, err := io.ReadAll(c.r); string(all) != "hello" || err != nil {
			t.Errorf("%q, %v", all, err)
		}
	}, func(c *client) {
		c.expect("goodbye")
		c.nothing()
		c.send("hello")
		_ = c.Close()
	})
	f("the client is gone", proxy.EndedByClient, func(c *appConn) {
		if _, err := io.Copy(io.Discard, c.r); isTimeout(err) {
			t.Error("the application was not told")
		}
	}, func(c *client) {
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	})
	f("the application is gone", proxy.EndedByApp, func(c *appConn) {
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
	}, func(c *client) { c.rest() })
}

// What the application answers instead of opening a WebSocket is an ordinary response. Both connections end with it: what a client has
// sent behind its handshake is no request.
func TestHandshakeDeclined(t *testing.T) {
	f := func(answer string, status int, body string) {
		t.Helper()
		app := newApp(t, func(c *appConn) {
			for {
				if _, ok := c.head(); !ok {
					return
				}
				c.write(answer)
			}
		})
		g := newTunnelling(t, app)
		c := g.dial()
		c.send(handshake("/public/x") + "GET /public/smuggled HTTP/1.1\r\nHost: app.example.com\r\n\r\n")
		res := c.next("GET")
		if res.StatusCode != status || res.body != body || !res.Close || res.err != nil {
			t.Errorf("%q: status %d body %q close %v error %v", answer, res.StatusCode, res.body, res.Close, res.err)
		}
		c.nothing()
		for range 2 {
			g.get("/public/x")
		}
		if heads, conns := len(app.heads()), len(app.received()); heads != 3 || conns != 2 {
			t.Errorf("%q: %d requests on %d connections, want 3 on 2", answer, heads, conns)
		}
		if len(g.observer.tunnels) > 0 || g.Tunnels() > 0 {
			t.Errorf("%q: there was a tunnel", answer)
		}
	}
	f(ok("hello"), 200, "hello")
	f("HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 3\r\n\r\nold", 426, "old")
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+chunks(longBody, 9999)+"0\r\n\r\n", 200, longBody)
	f("HTTP/1.1 204 No Content\r\n\r\n", 204, "")
	f("HTTP/1.1 100 Continue\r\n\r\n"+ok("late"), 200, "late")
}

// A 101 that opens no WebSocket is no answer, and nothing of it is repeated.
func TestBrokenSwitch(t *testing.T) {
	const accept = "Sec-WebSocket-Accept: " + wsAccept + "\r\nX-A: secret\r\n"
	f := func(name, answer string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			app := newApp(t, func(c *appConn) {
				c.head()
				c.write(answer)
			})
			g := newTunnelling(t, app)
			res := g.ask(handshake("/public/x"))
			if res.StatusCode != 502 || strings.Contains(fmt.Sprint(res.body, res.Header, g.log), "secret") {
				t.Errorf("status %d head %v body %q", res.StatusCode, res.Header, res.body)
			}
			if g.observer.last().Reason != policy.ApplicationFailed {
				t.Errorf("reason %v", g.observer.last().Reason)
			}
		})
	}
	f("no Upgrade", "HTTP/1.1 101 X\r\nConnection: Upgrade\r\n"+accept+"\r\n")
	f("no Connection", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\n"+accept+"\r\n")
	f("Connection without upgrade", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: close\r\n"+accept+"\r\n")
	f("another protocol", "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"+accept+"\r\n")
	f("two protocols", "HTTP/1.1 101 X\r\nUpgrade: websocket, h2c\r\nConnection: Upgrade\r\n"+accept+"\r\n")
	f("two Upgrades", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+accept+"\r\n")
	f("two different Upgrades", "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+accept+"\r\n")
	f("HTTP/1.0", "HTTP/1.0 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+accept+"\r\n")
	f("status with more digits", "HTTP/1.1 1010 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+accept+"\r\n")
	f("status after a blank line", "\r\nABCDEF 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+accept+"\r\n")
	f("folded line", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+accept+" folded\r\n\r\n")
	f("bare LF", "HTTP/1.1 101 X\r\nUpgrade: websocket\nConnection: Upgrade\r\n"+accept+"\r\n")
	f("control character", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+accept+"X-B: a\x00b\r\n\r\n")
	f("no colon", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+accept+"secret\r\n\r\n")
	f("cut off", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+accept)
	f("line too long", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+accept+"X-B: "+longBody+"\r\n\r\n")
	f("head too long", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+accept+strings.Repeat("X-B: "+longBody[:999]+"\r\n", 20)+"\r\n")
}

// What is no WebSocket handshake is an ordinary request that asks for no upgrade, and a 101 to it is no answer.
func TestOnlyWebSocketsAreTunnelled(t *testing.T) {
	f := func(name, request string, changes ...func(*setup)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			app := newApp(t, func(c *appConn) {
				c.request()
				c.write(switching + "secret")
			})
			g := newTunnelling(t, app, changes...)
			if res := g.ask(request); res.StatusCode != 502 && res.StatusCode != 400 {
				t.Errorf("status %d", res.StatusCode)
			}
			if head := strings.Join(app.received(), ""); strings.Contains(strings.ToLower(head), "upgrade") {
				t.Errorf("the application got %q", head)
			}
			if g.Tunnels() > 0 || len(g.observer.tunnels) > 0 {
				t.Error("there was a tunnel")
			}
		})
	}
	with := func(lines ...string) string { return request("GET", "/public/x", "", lines...) }
	const key, version, connection, upgrade = "Sec-WebSocket-Key: " + wsKey, "Sec-WebSocket-Version: 13", "Connection: Upgrade", "Upgrade: websocket"
	f("h2c", with(connection+", HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", key, version))
	f("h2c first", with(connection, "Upgrade: h2c, websocket", key, version))
	f("h2c second", with(connection, "Upgrade: websocket, h2c", key, version))
	f("h2c beside it", with(connection, upgrade, "Upgrade: h2c", key, version))
	f("twice", with(connection, upgrade, upgrade, key, version))
	f("TLS", with(connection, "Upgrade: TLS/1.2", key, version))
	f("version of the protocol", with(connection, "Upgrade: websocket/13", key, version))
	f("empty", with(connection, "Upgrade:", key, version))
	f("no Connection", with(upgrade, key, version))
	f("Connection of another sort", with("Connection: keep-alive", upgrade, key, version))
	f("no key", with(connection, upgrade, version))
	f("empty key", with(connection, upgrade, "Sec-WebSocket-Key:", version))
	f("two keys", with(connection, upgrade, key, key, version))
	f("no version", with(connection, upgrade, key))
	f("two versions", with(connection, upgrade, key, version, "Sec-WebSocket-Version: 8"))
	f("POST", request("POST", "/public/x", "", connection, upgrade, key, version))
	f("HEAD", request("HEAD", "/public/x", "", connection, upgrade, key, version))
	f("body", request("GET", "/public/x", "hello", connection, upgrade, key, version))
	f("chunked body", request("GET", "/public/x", "", connection, upgrade, key, version, "Transfer-Encoding: chunked")+"5\r\nhello\r\n0\r\n\r\n")
	f("HTTP/1.0", strings.Replace(handshake("/public/x"), "HTTP/1.1", "HTTP/1.0", 1))
	f("folded line", with("Connection:\r\n Upgrade", upgrade, key, version))
	f("turned off", handshake("/public/x"), func(s *setup) { s.Tunnels.Max = 0 })
}

// A handshake is judged like every other request, and no refused one reaches the application.
func TestHandshakeIsJudged(t *testing.T) {
	app := echoing(t)
	g := newTunnelling(t, app)
	g.sessions.know("session_token outage", hit(nil), errOutage)
	f := func(status int, reason policy.Reason, request string) {
		t.Helper()
		c := g.dial()
		c.send(request + "early")
		res := c.next("GET")
		if res.StatusCode != status || g.observer.last().Reason != reason || !res.Close {
			t.Errorf("%q: status %d for %s, close %v, want %d for %s", request, res.StatusCode, g.observer.last().Reason, res.Close, status, reason)
		}
		c.nothing()
	}
	f(401, policy.NoCredential, handshake("/x"))
	f(401, policy.NoSession, handshake("/x", "X-Session-Token: unknown"))
	f(403, policy.RouteDenies, handshake("/deny/x", alice))
	f(403, policy.InsufficientAAL, handshake("/strong/x", alice))
	f(503, policy.StoreUnavailable, handshake("/x", "X-Session-Token: outage"))
	f(400, policy.MalformedTarget, handshake("/public/../x", alice))
	f(403, policy.OriginNotAllowed, handshake("/x", alice, "Origin: https://evil.example"))
	f(401, policy.NoCredential, handshake("/x", "Origin: https://evil.example"))
	if n := len(app.received()); n > 0 {
		t.Errorf("%d connections to the application", n)
	}
	for _, lines := range [][]string{{alice}, {"Authorization: Bearer " + aliceToken}, {"Cookie: ory_kratos_session=" + aliceCookie}} {
		c := g.open("/x", lines...)
		c.echoed("hello")
		_ = c.Close()
		g.end()
	}
	for _, path := range []string{"/public/x", "/optional/x"} {
		c := g.open(path)
		c.echoed("hello")
		_ = c.Close()
		g.end()
	}
}

// By default only pages of the host that is asked may open a WebSocket, which other pages could do with the cookies of their visitors; a
// route may name others.
func TestOrigin(t *testing.T) {
	app := echoing(t)
	g := newTunnelling(t, app, func(s *setup) { s.Rules = openRules })
	f := func(allowed bool, path, host string, origins ...string) {
		t.Helper()
		c := g.dial()
		lines := []string{alice}
		for _, o := range origins {
			lines = append(lines, "Origin: "+o)
		}
		c.send(strings.Replace(handshake(path, lines...), "app.example.com", host, 1))
		head := c.head()
		_ = c.Close()
		switch {
		case strings.HasPrefix(head, "HTTP/1.1 101 "):
			if !allowed {
				t.Errorf("%s of %s for %q was allowed", path, host, origins)
			}
			g.end()
		case allowed || asResponse(t, head).StatusCode != http.StatusForbidden || g.observer.last().Reason != policy.OriginNotAllowed:
			t.Errorf("%s of %s for %q: %s for %s", path, host, origins, head, g.observer.last().Reason)
		}
	}
	for _, path := range []string{"/x", "/public/x", "/optional/x"} {
		f(true, path, "app.example.com")
		f(true, path, "app.example.com", "https://app.example.com")
		f(true, path, "app.example.com", "http://app.example.com")
		f(false, path, "app.example.com", "https://evil.example")
	}
	f(true, "/x", "APP.example.com.", "https://app.example.com")
	f(true, "/x", "app.example.com:8443", "https://app.example.com:8443")
	f(true, "/x", "app.example.com:443", "https://app.example.com")
	f(true, "/x", "app.example.com", "https://app.example.com:443")
	f(true, "/x", "[::1]:8080", "http://[::1]:8080")
	f(true, "/x", "[::1]", "http://[0:0::1]:80")
	f(false, "/x", "[::1]:8080", "http://[::1]")
	f(false, "/x", "app.example.com:8443", "https://app.example.com")
	f(false, "/x", "app.example.com", "https://app.example.com:8443")
	f(false, "/x", "app.example.com", "https://example.com")
	f(false, "/x", "app.example.com", "https://app.example.com.evil.example")
	f(false, "/x", "app.example.com", "https://app.example.com@evil.example")
	f(false, "/x", "app.example.com", "https://evil.example/app.example.com")
	f(false, "/x", "app.example.com", "https://app.example.com/")
	f(false, "/x", "app.example.com", "app.example.com")
	f(false, "/x", "app.example.com", "//app.example.com")
	f(false, "/x", "app.example.com", "null")
	f(false, "/x", "app.example.com", "")
	f(false, "/x", "app.example.com", "https://app.example.com", "https://evil.example")
	f(false, "/x", "app.example.com", "https://app.example.com", "https://app.example.com")
	f(false, "/x", "app.example.com", "https://app.example.com, https://evil.example")

	f(true, "/own/x", "app.example.com", "https://other.example.com")
	f(true, "/own/x", "app.example.com", "http://[::1]:3000")
	f(true, "/own/x", "app.example.com")
	f(false, "/own/x", "app.example.com", "https://app.example.com")
	f(false, "/own/x", "app.example.com", "http://other.example.com")
	f(false, "/own/x", "app.example.com", "https://other.example.com:8443")
	f(false, "/own/x", "app.example.com", "*")
	f(true, "/any/x", "app.example.com", "https://evil.example")
	f(true, "/any/x", "app.example.com", "null")
	f(false, "/any/x", "app.example.com", "null", "null")
	f(false, "/none/x", "app.example.com", "https://app.example.com")
	f(true, "/none/x", "app.example.com")
}
