package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// A listener hands out connections that know their peer and carry what its requests leave behind.
type listener struct {
	net.Listener
	trusted *Trusted
	open    *connections
	close   func() error // once
}

func newListener(ln net.Listener, trusted *Trusted, open *connections) *listener {
	return &listener{Listener: ln, trusted: trusted, open: open, close: sync.OnceValue(ln.Close)}
}

func (l *listener) Close() error { return l.close() }

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	client := newConn(c, l.trusted)
	client.open = l.open
	l.open.add(client)
	return client, nil
}

// A conn is a client's connection. fasthttp serves the requests of one connection one after the other, so that a conn belongs to one
// request at a time.
type conn struct {
	net.Conn
	peer    netip.Addr // invalid for a unix socket
	trusted bool       // whether what the peer says of the client is believed
	tls     bool
	open    *connections // of which it is one; nil for none

	// ended is set once the peer will send no more. fasthttp reports a chunked body that is cut off between two chunks as complete, and
	// only this tells the difference.
	ended bool

	// idleLimit, when not zero, is how long a single read or write may take, in nanoseconds. It is set while a body streams, for which
	// the server's limits on a whole request or response would be wrong. A body may stream both ways at once.
	idleLimit atomic.Int64

	interrupted atomic.Bool // nothing more is read

	// pending is a response whose body fasthttp was told to hand over, and has not yet. It never does if the client is gone by then.
	pending atomic.Pointer[download]

	// unread is set while the body of a request has not been read to its end. Where the next request would begin is not known then, so
	// that the connection must end with the response.
	unread atomic.Bool
}

func newConn(c net.Conn, trusted *Trusted) *conn {
	_, secured := c.(interface{ ConnectionState() tls.ConnectionState })
	return &conn{Conn: c, peer: peerAddr(c.RemoteAddr()), trusted: trusted.Contains(c.RemoteAddr()), tls: secured}
}

// connOf returns the connection that a request came by.
func connOf(ctx *fasthttp.RequestCtx) *conn {
	if c, ok := ctx.Conn().(*conn); ok {
		return c
	}
	return newConn(ctx.Conn(), nil) // served without our listener: nobody is trusted
}

// limitIdle sets how long a single read or write may take from now on; zero leaves it to the server.
func (c *conn) limitIdle(d time.Duration) { c.idleLimit.Store(int64(d)) }

func (c *conn) Read(p []byte) (int, error) {
	if limit := c.idleLimit.Load(); limit > 0 {
		if err := c.SetReadDeadline(time.Now().Add(time.Duration(limit))); err != nil {
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
	if limit := c.idleLimit.Load(); limit > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(time.Duration(limit))); err != nil {
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

// lingerTime is how long a client that is still sending may take to read its answer before the connection is closed.
const lingerTime = time.Second

// Close closes the connection. A client that is still sending would lose its answer to the reset with which the kernel rejects what it
// sends after that, so Close ends only the gateway's side at first, and takes in what comes until the client has seen that, for up to
// lingerTime (RFC 9112 section 9.6).
func (c *conn) Close() error {
	if c.open != nil {
		defer c.open.remove(c)
	}
	if d := c.pending.Swap(nil); d != nil {
		_ = d.Close()
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.unread.Load() && half.CloseWrite() == nil {
		_ = c.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(io.Discard, struct{ io.Reader }{c.Conn})
	}
	return c.Conn.Close()
}

// reset makes the connection end in an error for the client when it is closed, where a body has no other way to show that it was cut off.
func (c *conn) reset() {
	if linger, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		_ = linger.SetLinger(0)
	}
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

// Contains reports whether a peer is trusted. One without an address, which no unix socket explains, never is.
func (t *Trusted) Contains(peer net.Addr) bool {
	if t == nil {
		return false
	}
	if _, unix := peer.(*net.UnixAddr); unix {
		return t.Unix
	}
	addr := peerAddr(peer)
	return slices.ContainsFunc(t.Prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
