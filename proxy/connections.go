package proxy

import (
	"context"
	"sync"
)

// connections are the clients' connections of a Server. fasthttp does not know those that it has handed over, and miscounts the others
// when it serves several listeners.
type connections struct {
	mu     sync.Mutex
	open   map[*conn]struct{}
	closed chan struct{} // not nil while somebody waits; closed when a connection goes
}

func (cs *connections) add(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open == nil {
		cs.open = map[*conn]struct{}{}
	}
	cs.open[c] = struct{}{}
}

// remove may be called again for a connection that has gone.
func (cs *connections) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, c)
	if cs.closed != nil {
		close(cs.closed)
		cs.closed = nil
	}
}

func (cs *connections) count() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.open)
}

// end waits until all have gone. When ctx ends first, it cuts off those that are left, and returns the error of ctx.
func (cs *connections) end(ctx context.Context) error {
	for {
		cs.mu.Lock()
		if len(cs.open) == 0 {
			cs.mu.Unlock()
			return nil
		}
		if cs.closed == nil {
			cs.closed = make(chan struct{})
		}
		closed := cs.closed
		cs.mu.Unlock()
		select {
		case <-closed:
		case <-ctx.Done():
			cs.cut()
			return ctx.Err()
		}
	}
}

// cut closes every connection at once, without waiting for the client.
func (cs *connections) cut() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.open {
		_ = c.Conn.Close()
	}
}
