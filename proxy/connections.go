package proxy

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// connections are the clients' connections of a Server.
type connections struct {
	mu        sync.Mutex
	open      map[*conn]struct{}
	perClient tally         // of the clients who may have a number of connections only
	turned    int           // of open that were turned away, and have not gone yet
	closed    chan struct{} // not nil while somebody waits; closed when a connection goes

	requests tally // at the application, of the clients who may have a number of them only
}

func newConnections() *connections {
	return &connections{open: map[*conn]struct{}{}, perClient: tally{}, requests: tally{}}
}

// maxTurned is how many connections may be on their way out. More than these are not told why.
const maxTurned = 1024

// add takes in a connection. It returns the limit that does not allow it, or 0.
func (cs *connections) add(c *conn, l *Limits) Limit {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	over := Limit(0)
	switch counted := !c.trusted && c.client.IsValid() && l.ConnectionsPerClient > 0; {
	case len(cs.open)-cs.turned >= l.Connections:
		over = ConnectionsLimit
	case counted && !cs.perClient.enter(c.client, l.ConnectionsPerClient):
		over = ConnectionsPerClientLimit
	default:
		c.counted = counted
	}
	if over != 0 {
		if cs.turned == maxTurned {
			_ = c.Conn.Close()
			return over
		}
		cs.turned++
		c.turned = true
	}
	cs.open[c] = struct{}{}
	return over
}

// remove may be called again for a connection that has gone.
func (cs *connections) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if _, open := cs.open[c]; !open {
		return
	}
	delete(cs.open, c)
	if c.turned {
		cs.turned--
	}
	if c.counted {
		cs.perClient.leave(c.client)
	}
	if cs.closed != nil {
		close(cs.closed)
		cs.closed = nil
	}
}

// occupy counts a request at the application for a client who may have most of them.
func (cs *connections) occupy(client netip.Addr, most int) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.requests.enter(client, most)
}

// leave ends what occupy began.
func (cs *connections) leave(client netip.Addr) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.requests.leave(client)
}

func (cs *connections) count() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.open)
}

// end waits until all have gone. When ctx ends first, it cuts off those that are left, and returns the error of ctx.
func (cs *connections) end(ctx context.Context) error {
	again := time.NewTicker(lookForIdle)
	defer again.Stop()
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
		cs.hurry()
		select {
		case <-closed:
		case <-again.C:
		case <-ctx.Done():
			cs.cut()
			return ctx.Err()
		}
	}
}

// Of Shutdown: how often it looks for connections that have become idle, and how long a client may take to begin its first request.
const (
	lookForIdle  = 100 * time.Millisecond
	firstRequest = 5 * time.Second
)

// hurry ends the waiting of all connections that are idle.
func (cs *connections) hurry() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.open {
		if c.ours.Load() && !c.heard.Load() && (c.answered.Load() || time.Since(c.born) > firstRequest) {
			_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// cut closes every connection at once, without waiting for the client.
func (cs *connections) cut() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.open {
		go func() {
			if !c.tls {
				_ = closeWrite(c.Conn) // takes effect at once, while Close waits until nobody uses the socket
			}
			_ = c.Conn.Close()
		}()
	}
}
