package upstreamtest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/pipe"
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
	return inMemory(t, s)
}

func inMemory(t testing.TB, h http.Handler) func(ctx context.Context, network, addr string) (net.Conn, error) {
	l := pipe.New()
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
	return l.Dial
}
