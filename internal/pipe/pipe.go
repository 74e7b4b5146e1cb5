package pipe

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// A Listener is a [net.Listener] that accepts what Dial dials. It is safe for concurrent use. Its connections are those of [net.Pipe], since
// net/http needs what those can: to wake a Read that waits by setting its deadline.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// New returns a listener that is open.
func New() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial waits for the connection to be accepted. It fits http.Transport.DialContext; network and address are not looked at.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	err := ctx.Err()
	if err == nil {
		select {
		case l.conns <- server:
			return client, nil
		case <-l.closed:
			err = net.ErrClosed
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return nil, fmt.Errorf("dial in memory: %w", err)
}

// Accept returns the next connection, or [net.ErrClosed].
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial, now and for ever. Connections stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address that says as much.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "pipe"} }
