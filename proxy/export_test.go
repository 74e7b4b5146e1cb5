package proxy

import (
	"net"

	"github.com/valyala/fasthttp"
)

// Handle serves one request as the server does.
func (s *Server) Handle(ctx *fasthttp.RequestCtx) { s.handle(ctx) }

// NewConn returns c as the server sees it.
func NewConn(c net.Conn, trusted *Trusted) net.Conn { return newConn(c, trusted) }
