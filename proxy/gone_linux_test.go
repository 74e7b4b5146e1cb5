package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// A client that leaves while the application is silent ends the exchange for the application, before the answer as within it.
func TestGoneClientEndsTheExchange(t *testing.T) {
	f := func(name, request, answer string, leave func(*client)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			arrived, ended := make(chan struct{}), make(chan error, 1)
			app := newApp(t, func(c *appConn) {
				c.head()
				c.write(answer)
				arrived <- struct{}{}
				_, err := io.Copy(io.Discard, c.r)
				ended <- err
			})
			g := newGateway(t, app, oneConn, func(s *setup) { s.App.IdleTimeout, s.App.LookEvery, s.AccessLog = 0, 5*time.Millisecond, true })
			c := g.dial()
			c.send(request)
			receive(t, arrived)
			if answer != "" {
				if _, err := c.r.Peek(1); err != nil {
					t.Fatal(err)
				}
			}
			leave(c)
			if err := receive(t, ended); isTimeout(err) {
				t.Error("the application was left waiting")
			}
			if got := g.observer.cuts(t); !slices.Equal(got, []proxy.Side{proxy.ByClient}) {
				t.Errorf("cut by %v", got)
			}
			if n := len(app.heads()); n != 1 {
				t.Errorf("sent %d times", n)
			}
			if g.pool.Down() || answer == "" && (g.observer.last().Reason != policy.ClientGone || len(g.observer.app) != 0) {
				t.Errorf("reason %v, answers %v, down %v", g.observer.last(), g.observer.app, g.pool.Down())
			}
		})
	}
	closes := func(c *client) { _ = c.Close() }
	halves := func(c *client) { c.closeWrite() } // as many servers see it, who says no more waits for no more
	resets := func(c *client) { _ = c.Conn.(*net.TCPConn).SetLinger(0); _ = c.Close() }
	const stream = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
	f("before the answer", request("GET", "/public/x", ""), "", closes)
	f("with its own half first", request("GET", "/public/x", ""), "", halves)
	f("with a reset", request("GET", "/public/x", ""), "", resets)
	f("with something still to be read", request("GET", "/public/x", ""), "", func(c *client) {
		c.send(request("GET", "/public/y", ""))
		_ = c.Close()
	})
	f("after an upload", request("POST", "/public/x", "hello"), "", closes)
	f("within the answer", request("GET", "/public/x", ""), stream, closes)
	f("within the answer to HTTP/1.0", "GET /public/x HTTP/1.0\r\nHost: app.example.com\r\n\r\n", stream, closes)
}

// Nor does TLS hide that a client has left, although its last words are still to be read.
func TestGoneTLSClient(t *testing.T) {
	arrived, ended := make(chan struct{}), make(chan error, 1)
	app := newApp(t, func(c *appConn) {
		c.head()
		arrived <- struct{}{}
		_, err := io.Copy(io.Discard, c.r)
		ended <- err
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := proxy.SelfSigned(t)
	g := newGateway(t, app, func(s *setup) {
		s.App.LookEvery = 5 * time.Millisecond
		s.Listener = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})
	})
	c := tls.Client(g.dial().Conn, &tls.Config{InsecureSkipVerify: true})
	if _, err := io.WriteString(c, request("GET", "/public/x", "")); err != nil {
		t.Fatal(err)
	}
	receive(t, arrived)
	_ = c.Close()
	if err := receive(t, ended); isTimeout(err) {
		t.Error("the application was left waiting")
	}
}
