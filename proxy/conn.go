package proxy

import (
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// A listener hands out connections that know their peer and carry what its requests leave behind.
type listener struct {
	net.Listener
	trusted *Trusted
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newConn(c, l.trusted), nil
}

// A conn is a client's connection. fasthttp serves the requests of one connection one after the other, so that a conn belongs to one
// request at a time.
type conn struct {
	net.Conn
	peer    netip.Addr // invalid for a unix socket
	trusted bool       // whether what the peer says of the client is believed

	// ended is set once the peer will send no more. fasthttp reports a chunked body that is cut off between two chunks as complete, and
	// only this tells the difference.
	ended bool

	// idleLimit, when not zero, is how long a single read or write may take. It is set while a body streams, for which the server's
	// limits on a whole request or response would be wrong.
	idleLimit time.Duration

	interrupted atomic.Bool // nothing more is read

	judged *policy.Decision // of a request that was judged before its body was asked for
}

func newConn(c net.Conn, trusted *Trusted) *conn {
	peer := peerAddr(c.RemoteAddr())
	return &conn{Conn: c, peer: peer, trusted: trusted.contains(peer)}
}

// connOf returns the connection that a request came by.
func connOf(ctx *fasthttp.RequestCtx) *conn {
	if c, ok := ctx.Conn().(*conn); ok {
		return c
	}
	return newConn(ctx.Conn(), nil) // served without our listener: nobody is trusted
}

func (c *conn) Read(p []byte) (int, error) {
	if c.idleLimit > 0 {
		if err := c.SetReadDeadline(time.Now().Add(c.idleLimit)); err != nil {
			return 0, err
		}
		if c.interrupted.Load() { // after the deadline was set, so that no interruption is overwritten
			return 0, os.ErrDeadlineExceeded
		}
	}
	n, err := c.Conn.Read(p)
	if err != nil {
		c.ended = true
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if c.idleLimit > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(c.idleLimit)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// interrupt makes reads fail from now on. It may be called while another goroutine reads.
func (c *conn) interrupt() {
	c.interrupted.Store(true)
	_ = c.SetReadDeadline(time.Unix(1, 0))
}

// peerAddr returns the address of a TCP peer, and the invalid Addr for any other.
func peerAddr(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}

// Trusted says whose forwarding headers are believed. The nil Trusted believes nobody.
type Trusted struct {
	Prefixes []netip.Prefix
	Unix     bool // peers of a unix socket, who have no address
}

func (t *Trusted) contains(peer netip.Addr) bool {
	if t == nil {
		return false
	}
	if !peer.IsValid() {
		return t.Unix
	}
	for _, p := range t.Prefixes {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}
