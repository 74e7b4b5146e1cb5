package upstreamtest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
)

// Start serves s on a port of 127.0.0.1 until the test ends, and returns its base URL.
func (s *Service) Start(t testing.TB) *url.URL {
	t.Helper()
	return start(t, s)
}

func start(t testing.TB, h http.Handler) *url.URL {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatalf("parse address of service: %v", err)
	}
	return u
}

// Pipe serves s inside this process until the test ends, and returns a dial function that leads to it whatever the address. It uses no
// socket, so that it can be used inside a testing/synctest bubble.
func (s *Service) Pipe(t testing.TB) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return pipe(t, s)
}

func pipe(t testing.TB, h http.Handler) func(ctx context.Context, network, addr string) (net.Conn, error) {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // it returns when the server is closed, and only then
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return l.dial
}

// A pipeListener accepts connections that are dialled in this process.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
