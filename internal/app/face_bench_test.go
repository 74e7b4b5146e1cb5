package app_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// BenchmarkForwardAuth measures a forward-auth check of a known session without a kernel in it: whole server, metrics included, but
// connections that are only memory. Bare is a handler of fasthttp that answers with the same headers and decides nothing.
func BenchmarkForwardAuth(b *testing.B) {
	const head = "GET /.gatehouse/auth HTTP/1.1\r\nHost: auth.internal\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip\r\nAccept-Language: en\r\n" +
		"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: app.example.com\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\n" +
		"X-Forwarded-Uri: /orders/2026?page=2\r\n"
	f := func(name, line string) {
		request := []byte(head + line + "\r\n\r\n")
		b.Run("bare/"+name, func(b *testing.B) { serveMemory(b, bareServer(), request) })
		b.Run("gate/"+name, func(b *testing.B) { serveMemory(b, gateServer(b), request) })
	}
	f("token39", "X-Session-Token: "+string(token.Value))
	f("cookie428", "Cookie: "+cookie.Name+"="+string(cookie.Value))
}

type server interface{ Serve(net.Listener) error }

func bareServer() server {
	fields := map[string]string{
		"Cache-Control": "no-store", "X-User-Id": "alice", "X-User-Email": "alice@example.com", "X-Session-Id": "s1", "X-Session-Aal": "aal1",
		"X-User-Name": "",
	}
	var headers [][2][]byte
	for name, value := range fields {
		headers = append(headers, [2][]byte{[]byte(name), []byte(value)})
	}
	return &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			for _, h := range headers {
				ctx.Response.Header.SetCanonical(h[0], h[1])
			}
		},
		ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second, ReadBufferSize: 64 << 10,
		NoDefaultServerHeader: true, NoDefaultContentType: true,
	}
}

func gateServer(b *testing.B) server {
	g := newGate(b, 2)
	m := metrics.New(metrics.BuildInfo{})
	m.SetPolicy(g.Policy())
	return proxy.NewServer(proxy.Config{
		Gate: g, Observer: m,
		Trusted:         &proxy.Trusted{Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
		ForwardAuthPath: "/.gatehouse/auth", WhoamiPath: "/sessions/whoami", Logger: slog.New(slog.DiscardHandler),
	})
}

// serveMemory lets s serve the request b.N times over one connection.
func serveMemory(b *testing.B, s server, request []byte) {
	b.ReportAllocs()
	served := make(chan struct{})
	ln := &memoryListener{conn: &memoryConn{request: request, left: b.N, done: served}, closed: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	<-served
	b.StopTimer()
	_ = ln.Close()
	<-ended
	if got := ln.conn.status; got != "HTTP/1.1 200" {
		b.Fatalf("answers begin with %q", got)
	}
	if s, ok := s.(*proxy.Server); ok {
		_ = s.Shutdown(context.Background())
	}
}

// A memoryListener accepts one connection.
type memoryListener struct {
	conn   *memoryConn
	given  bool
	closed chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	if !l.given {
		l.given = true
		return l.conn, nil
	}
	<-l.closed
	return nil, io.EOF
}

func (l *memoryListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// A memoryConn is a client that sends the same request again and again, and reads of the answers only how they begin.
type memoryConn struct {
	request []byte
	left    int
	status  string
	done    chan struct{}
}

func (c *memoryConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	c.left--
	return copy(p, c.request), nil
}

func (c *memoryConn) Write(p []byte) (int, error) {
	if c.status == "" {
		c.status = string(p[:min(len(p), len("HTTP/1.1 200"))])
	}
	return len(p), nil
}

func (c *memoryConn) Close() error {
	close(c.done)
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (c *memoryConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }
