package proxy

import (
	"net"

	"github.com/valyala/fasthttp"
)

// Present implements [Presenter] for somebody who presents the same to every service.
func (c Presented) Present(*Service) Presented { return c }

// Handle serves one request as the server does.
func (s *Server) Handle(ctx *fasthttp.RequestCtx) { s.handle(ctx) }

// NewConn returns c as the server sees it.
func NewConn(c net.Conn, trusted *Trusted) net.Conn {
	return newConn(c, NewTestServer(trusted))
}

// NewTestServer returns a Server that only has limits, and trusts trusted.
func NewTestServer(trusted *Trusted) *Server {
	return &Server{cfg: Config{Trusted: trusted}, limits: Limits{}.withDefaults(), open: newConnections()}
}
