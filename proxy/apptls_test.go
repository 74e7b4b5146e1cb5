package proxy_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// An application that is spoken to by TLS is kept a connection to like any other, and WebSockets lead to it, too.
func TestTLSApplication(t *testing.T) {
	cert, pool := proxy.SelfSigned(t)
	conns := make(chan struct{}, 9)
	app := newApp(t, func(c *appConn) {
		conns <- struct{}{}
		secured := tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{cert}})
		for r := bufio.NewReader(secured); ; {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.Header.Get("Upgrade") == "" {
				_, _ = io.WriteString(secured, ok("hello"))
				continue
			}
			_, _ = io.WriteString(secured, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst")
			_, _ = io.Copy(secured, r)
			return
		}
	})
	g := newTunnelling(t, app, func(s *setup) {
		s.App.TLS = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	})
	for range 3 {
		if res := g.get("/public/x"); res.body != "hello" {
			t.Errorf("status %d body %q", res.StatusCode, res.body)
		}
	}
	if n := len(conns); n != 1 {
		t.Errorf("%d connections for 3 requests", n)
	}
	c := g.dial()
	c.send(handshake("/public/x"))
	c.switched()
	c.expect("first")
	c.echoed("ping")
	c.closeWrite()
	c.nothing()
}

// A panic in the middle of an exchange leaves nothing of the client behind at the application.
func TestPanicReleasesTheClient(t *testing.T) {
	cert, _ := proxy.SelfSigned(t)
	app := newApp(t, func(c *appConn) {
		_ = tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
	})
	g := newGateway(t, app, func(s *setup) {
		s.App.TLS = &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { panic("on purpose") }}
		s.Limits.RequestsPerClient = 1
	})
	for range 3 {
		if res := g.get("/public/x"); res.StatusCode != 500 {
			t.Errorf("status %d", res.StatusCode)
		}
	}
}
