package httpclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"os"
)

// A dialer opens connections to the service.
type dialer struct {
	socket  func(ctx context.Context, network, addr string) (net.Conn, error)
	address string
	secure  *tls.Config // nil without TLS
}

// newDialer returns a dialer to the host of base, with TLS if its scheme says so. dial is as in Config.
func newDialer(base *url.URL, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *dialer {
	d := &dialer{socket: dial}
	if dial == nil {
		d.socket = new(net.Dialer).DialContext
	}
	port := "80"
	if base.Scheme == "https" {
		port = "443"
		d.secure = &tls.Config{ServerName: base.Hostname(), NextProtos: []string{"http/1.1"}}
	}
	d.address = net.JoinHostPort(base.Hostname(), cmp.Or(base.Port(), port))
	return d
}

// dial opens a connection, within dialTimeout.
func (d *dialer) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	socket, err := d.socket(ctx, "tcp", d.address)
	if err != nil {
		return nil, err
	}
	c := newConn(socket)
	if d.secure == nil {
		return c, nil
	}
	c.hush = &hush{Conn: socket, quiet: c.quiet}
	secured := tls.Client(c.hush, d.secure)
	if err := secured.HandshakeContext(ctx); err != nil {
		c.cut()
		return nil, err
	}
	c.Conn = secured
	return c, nil
}

// A hush is what TLS is spoken over. While it is on, what has come can be read, and nothing is waited for.
type hush struct {
	net.Conn
	quiet *quiet
	on    bool

	head []byte // of the record that has begun; its header in part, or empty
	left int    // of that record, after its header
}

// note follows where records end (RFC 8446 section 5.1).
func (h *hush) note(p []byte) {
	for len(p) > 0 {
		if h.left > 0 {
			n := min(h.left, len(p))
			h.left, p = h.left-n, p[n:]
			continue
		}
		n := min(5-len(h.head), len(p))
		h.head, p = append(h.head, p[:n]...), p[n:]
		if len(h.head) == 5 {
			h.left, h.head = int(h.head[3])<<8|int(h.head[4]), h.head[:0]
		}
	}
}

// between reports whether all records that have begun have come to their end.
func (h *hush) between() bool { return h.left == 0 && len(h.head) == 0 }

// Read fails as after a deadline where it would wait; TLS can go on after that.
func (h *hush) Read(p []byte) (int, error) {
	if h.on && h.quiet.now() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := h.Conn.Read(p)
	h.note(p[:n])
	return n, err
}
