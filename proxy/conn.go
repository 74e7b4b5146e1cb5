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
	server *Server
	close  func() error // once
}

func newListener(ln net.Listener, s *Server) *listener {
	return &listener{Listener: ln, server: s, close: sync.OnceValue(ln.Close)}
}

func (l *listener) Close() error { return l.close() }

// Accept returns the next connection that no limit turns away.
func (l *listener) Accept() (*conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := newConn(c, l.server)
		over := l.server.open.add(client, &l.server.limits)
		if over == 0 {
			return client, nil
		}
		l.server.limited(over, client)
		if client.turned {
			go client.turnAway(over)
		}
	}
}

// A conn is a client's connection. fasthttp serves the requests of one connection one after the other, so that a conn belongs to one
// request at a time.
type conn struct {
	net.Conn
	peer    netip.Addr // invalid for a unix socket
	client  netip.Addr // whose share the connection is on; invalid if that cannot be told
	trusted bool       // whether what the peer says of the client is believed
	tls     bool
	server  *Server

	counted, turned bool // what connections knows of it; guarded by its mu

	// ended is set once the peer will send no more. fasthttp reports a chunked body that is cut off between two chunks as complete, and
	// only this tells the difference.
	ended bool

	// streaming is set while a body streams, for which the server's limits on the time of a whole request or response would be wrong. A
	// body may stream both ways at once, each at its own pace.
	streaming        atomic.Bool
	reading, writing pace
	slow             atomic.Uint32 // the Limit that the client was too slow for

	occupies netip.Addr // the client that is counted for the request that is at the application; invalid if none is

	deadlines
	interrupted atomic.Bool // nothing more is read

	// heard is set when something has been read since the last response. fasthttp waits for the next request only after it has sent
	// all that it holds.
	heard atomic.Bool

	look *look // whether the peer is still there

	// pending is what fasthttp is to end, or to hand the connection over to. It does neither if the client is gone by then, or if something
	// panics.
	pending atomic.Pointer[io.Closer]

	drained bool // what the peer sent is left to the next reader; see takeEarly

	lane     lane
	handed   handed      // while the lane has handed it over
	begun    *request    // which the lane has begun, and fasthttp is to end; nil if there is none
	ours     atomic.Bool // it is read for requests, by the lane or fasthttp, and for nothing else
	answered atomic.Bool // it has had an answer

	// unread is set while the body of a request has not been read to its end. Where the next request would begin is not known then, so
	// that the connection must end with the response.
	unread atomic.Bool
}

func newConn(c net.Conn, s *Server) *conn {
	_, secured := c.(interface{ ConnectionState() tls.ConnectionState })
	peer := peerAddr(c.RemoteAddr())
	return &conn{
		Conn: c, peer: peer, client: shareholder(peer), trusted: s.cfg.Trusted.Contains(c.RemoteAddr()), tls: secured, server: s,
		deadlines: deadlines{born: time.Now()},
	}
}

// connOf returns the connection that a request came by.
func (s *Server) connOf(ctx *fasthttp.RequestCtx) *conn {
	switch c := ctx.Conn().(type) {
	case *handed:
		return c.conn
	case *conn:
		return c
	}
	c := newConn(ctx.Conn(), s)
	c.trusted = false // served without our listener: nobody is trusted
	return c
}

// takeBegun returns the request that the lane has begun, once.
func (c *conn) takeBegun() *request {
	r := c.begun
	c.begun = nil
	return r
}

// stream says that a body streams from now on, one way or both.
func (c *conn) stream() { c.streaming.Store(true) }

// settle says that no body streams any more, and that nothing of the client is at the application.
func (c *conn) settle() {
	c.streaming.Store(false)
	c.reading, c.writing = pace{}, pace{}
	if c.occupies.IsValid() {
		c.server.open.leave(c.occupies)
		c.occupies = netip.Addr{}
	}
}

func (c *conn) Read(p []byte) (int, error) {
	if c.drained {
		return 0, io.EOF
	}
	if !c.streaming.Load() {
		if err := c.awaitRead(); err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(p)
		c.heard.Store(true)
		if err != nil {
			c.ended = true
		}
		return n, err
	}
	began := time.Now()
	_ = c.SetReadDeadline(began.Add(c.reading.left(&c.server.limits)))
	if err := c.awaitRead(); err != nil {
		return 0, err
	}
	if c.interrupted.Load() { // after the deadline was set, so that no interruption is overwritten
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.Conn.Read(p)
	c.heard.Store(true)
	if over := c.reading.note(&c.server.limits, n, time.Since(began), isTimeout(err)); over != 0 && !c.interrupted.Load() {
		err = c.tooSlow(over)
	}
	if err != nil {
		c.ended = true
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if !c.streaming.Load() {
		return c.Conn.Write(p)
	}
	began := time.Now()
	if err := c.SetWriteDeadline(began.Add(c.writing.left(&c.server.limits))); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if over := c.writing.note(&c.server.limits, n, time.Since(began), isTimeout(err)); over != 0 && (err == nil || isTimeout(err)) {
		err = c.tooSlow(over)
	}
	return n, err
}

// tooSlow notes the limit that the client was too slow for, and returns what reads and writes fail with.
func (c *conn) tooSlow(over Limit) error {
	if c.slow.CompareAndSwap(0, uint32(over)) {
		c.server.limited(over, c)
	}
	return os.ErrDeadlineExceeded
}

// turnAway tells the client why it is not served, and closes the connection.
func (c *conn) turnAway(over Limit) {
	c.unread.Store(true) // whatever it has sent
	_ = c.SetWriteDeadline(time.Now().Add(lingerTime))
	_, _ = c.Conn.Write(plainRefusal(limitTable[over].status))
	_ = c.Close()
}

// gone reports whether the peer has closed the connection, or at least its side of it. It may be called while another goroutine reads.
func (c *conn) gone() bool {
	if c.look == nil {
		c.look = newLook(innermost(c.Conn))
	}
	return c.look.gone()
}

// interrupt makes reads fail from now on. It may be called while another goroutine reads.
func (c *conn) interrupt() {
	c.interrupted.Store(true)
	_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
}

// lingerTime is how long a client that is still sending may take to read its answer before the connection is closed.
const lingerTime = time.Second

// Close closes the connection. A client that is still sending would lose its answer to the reset with which the kernel rejects what it
// sends after that, so Close ends only the gateway's side at first, and takes in what comes until the client has seen that, for up to
// lingerTime (RFC 9112 section 9.6).
func (c *conn) Close() error {
	defer c.server.open.remove(c)
	if p := c.pending.Swap(nil); p != nil {
		_ = (*p).Close()
	}
	if c.unread.Load() && closeWrite(c.Conn) {
		_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(io.Discard, struct{ io.Reader }{c.Conn})
	}
	return c.Conn.Close()
}

// takeEarly returns what handed, which is c as fasthttp hands it over, has read from c already, and leaves everything else to c. It must
// not be called while c is being read.
func (c *conn) takeEarly(handed io.Reader) []byte {
	c.drained = true
	early, _ := io.ReadAll(handed)
	c.drained = false
	return early
}

// closeWrite ends what is sent by c, and reports whether that can be done: its peer may go on sending.
func closeWrite(c net.Conn) bool {
	half, ok := c.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
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
	return t.has(peerAddr(peer))
}

// has reports whether a peer at addr is trusted.
func (t *Trusted) has(addr netip.Addr) bool {
	return slices.ContainsFunc(t.Prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
