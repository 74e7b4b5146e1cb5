package proxy

import (
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// An extent says how many bytes a request has. The zero extent is not known.
type extent struct{ head, body int }

// A handed is a connection in the hands of fasthttp. It gives out what the lane has read already before anything else. Where a request
// ends is known of most, and then fasthttp gets that one only: when it asks for the next, it is told that there is none, and the lane has
// the connection back. So a request that is refused does not condemn those after it to the long way.
type handed struct {
	*conn
	early   []byte // what was read already, of what is to be given out
	bounded bool   // there is an end to what is given out
	left    int    // until that end, of what has not been read yet
	failure error  // why nothing more can be read
	over    bool   // fasthttp has answered and asked for more than there is
	back    bool   // it has given the connection back
}

// handOver lets fasthttp serve the request that leaves, and the connection from then on if it is not known where that ends. It reports
// whether the lane has the connection back.
func (l *lane) handOver() bool {
	c := l.conn
	h := &c.handed
	*h = handed{conn: c, failure: l.failure}
	if l.memory != nil {
		h.early = l.memory.in[l.begin:l.end]
	}
	if c.speaksTLS(h.early) {
		c.tellOfTLS()
	}
	by := c.server.http
	if size := l.next.head + l.next.body; l.next.head > 0 {
		h.bounded, h.left = true, max(size-len(h.early), 0)
		h.early = h.early[:min(size, len(h.early))]
		if size <= c.server.little.ReadBufferSize {
			by = c.server.little
		}
	}
	given := len(h.early)
	l.next = extent{}
	_ = by.ServeConn(h) // whose errors are told to the client, or nobody
	if r := c.takeBegun(); r != nil {
		r.abandon(policy.Unavailable, policy.InternalError, fasthttp.StatusInternalServerError)
	}
	if !h.back {
		if h.bounded { // or else Read has seen to it, as whoever took the connection over may still read
			l.release()
		}
		return false
	}
	l.consume(given)
	if l.idle() {
		l.release()
	}
	l.now = time.Now()
	return true
}

// Read is as [conn.Read].
func (h *handed) Read(p []byte) (int, error) {
	c := h.conn
	if len(h.early) > 0 {
		n := copy(p, h.early)
		if h.early = h.early[n:]; len(h.early) == 0 && !h.bounded {
			c.lane.release()
		}
		c.heard.Store(true)
		return n, nil
	}
	if h.failure != nil {
		c.ended = true
		return 0, h.failure
	}
	if !h.bounded {
		return c.Read(p)
	}
	if h.left == 0 {
		h.over = !c.heard.Load()
		return 0, io.EOF
	}
	n, err := c.Read(p[:min(len(p), h.left)])
	h.left -= n
	return n, err
}

// Close closes the connection, unless it is the lane's again.
func (h *handed) Close() error {
	if h.over && !h.back {
		h.back = true
		return nil
	}
	h.conn.ours.Store(false)
	return h.conn.Close()
}

// errTLS is why nothing more is read from a client that speaks TLS where HTTP is.
var errTLS = errors.New("TLS is spoken where HTTP is")

// speaksTLS reports whether a client that should speak HTTP begins a handshake of TLS (RFC 8446 section 5.1).
func (c *conn) speaksTLS(begin []byte) bool { return len(begin) > 0 && begin[0] == 0x16 && !c.tls }

// tellOfTLS tells the operator of such a client.
func (c *conn) tellOfTLS() {
	if ok, missed := c.server.unsecured.allow(); ok {
		c.server.cfg.Logger.Warn("client speaks TLS where HTTP is: let it use http://, or give this address of listen a certificate in tls",
			"address", c.LocalAddr().String(), "peer", c.RemoteAddr().String(), "not_logged", missed)
	}
}
