package proxy

import (
	"net"

	"github.com/valyala/fasthttp"
)

// Present implements [Presenter] for somebody who presents the same to every service.
func (c Presented) Present(*Service) Presented { return c }

// Find returns the one credential that a request presents. See find.
func (c *Credentials) Find(h *fasthttp.RequestHeader, raw, buf []byte) Presented {
	var read requestHead
	_ = read.read(h, c.TokenHeader)
	return c.find(&read, raw, buf)
}

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

// ServeLongWay is Serve without the lane: everything is served by fasthttp.
func (s *Server) ServeLongWay(ln net.Listener) error {
	l := newListener(ln, s)
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	for {
		c, err := l.Accept()
		if err != nil {
			return nil
		}
		c.handed = handed{conn: c}
		c.ours.Store(true)
		go func() { _ = s.http.ServeConn(&c.handed) }()
	}
}

// LoseLongWay makes everything panic that does not stay in the lane.
func (s *Server) LoseLongWay() { s.http, s.little = nil, nil }

// Handed returns how many connections are in the hands of fasthttp.
func (s *Server) Handed() int {
	return int(s.http.GetOpenConnectionsCount()+s.little.GetOpenConnectionsCount()) + 2 // each leaves one out, of which it thinks that it is being accepted
}
