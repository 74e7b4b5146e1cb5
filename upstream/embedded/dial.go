package embedded

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// A pipeListener is a net.Listener whose connections are in memory. They are those of net.Pipe, since net/http needs what those can: to
// wake a Read that waits by setting its deadline.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
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
	return nil, fmt.Errorf("dial session service: %w", err)
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "embedded", Net: "pipe"} }
