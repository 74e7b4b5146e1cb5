package listen

import (
	"bufio"
	"errors"
	"fmt"
	"net"

	"github.com/pires/go-proxyproto"
)

var errNoRelay = errors.New("the peer may not speak the PROXY protocol, which everybody has to here: " +
	"if it is the load balancer, name it in trusted_proxies")

// relayed reads the header of the PROXY protocol, and returns the connection as the client's whom the header names.
func (f *front) relayed(c net.Conn) (net.Conn, error) {
	if !f.cfg.Relay(c.RemoteAddr()) {
		f.warned(c, errNoRelay)
		return nil, errNoRelay
	}
	r := bufio.NewReaderSize(c, 256) // version 1 needs 107
	if _, err := r.Peek(1); err != nil {
		return nil, err // many load balancers look whether somebody listens
	}
	header, err := proxyproto.Read(r)
	if err != nil {
		err = fmt.Errorf("read header of PROXY protocol: %w", err)
		f.warned(c, err)
		return nil, err
	}
	peer := &net.TCPAddr{}
	if source, _, ok := header.TCPAddrs(); ok && header.Command.IsProxy() {
		peer = source
	}
	rest := make([]byte, r.Buffered())
	_, _ = r.Read(rest) // all of it, from memory
	return &relayedConn{Conn: c, peer: peer, rest: rest}, nil
}

// A relayedConn is a connection that a load balancer made on behalf of a client.
type relayedConn struct {
	net.Conn
	peer *net.TCPAddr
	rest []byte // came with the header
}

// RemoteAddr returns the address of the client, without IP if the load balancer named none.
func (c *relayedConn) RemoteAddr() net.Addr { return c.peer }

// NetConn returns the connection of the load balancer.
func (c *relayedConn) NetConn() net.Conn { return c.Conn }

func (c *relayedConn) Read(p []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite ends what the client is sent, as with a TCP or unix connection.
func (c *relayedConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}
