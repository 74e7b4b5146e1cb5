//go:build core

package extauthz

import (
	"context"
	"net"

	"github.com/gatehouse-proxy/gatehouse/internal/parts"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// A Judge answers questions.
type Judge interface {
	Judge(q *proxy.Description) proxy.Outcome
}

// A Server would answer Envoy, but cannot in this build.
type Server struct{}

// New returns a Server that refuses to serve.
func New(Judge) *Server { return new(Server) }

// Serve closes ln and fails.
func (*Server) Serve(ln net.Listener) error {
	_ = ln.Close()
	return parts.GRPC
}

// Shutdown has nothing to wait for.
func (*Server) Shutdown(context.Context) error { return nil }
