package httpclient

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A pool keeps the connections to one service. Who takes one puts it back. It is safe for concurrent use.
//
// It is not that of http.Transport: that has two goroutines for each connection, which a question goes through, and takes a third of all
// that a question costs.
type pool struct {
	dialer *dialer
	places chan struct{} // holds one element for each connection that is taken or dialled; nil if their number is not bounded
	most   int           // that are kept

	mu     sync.Mutex // no connection is closed under it, since that may take time
	idle   []*conn    // the latest last
	expiry *time.Timer
	timed  bool // the expiry is to come
	closed bool
}

// newPool returns a pool of at most so many connections; 0 is no bound.
func newPool(d *dialer, most int) *pool {
	p := &pool{dialer: d, most: most}
	if most > 0 {
		p.places = make(chan struct{}, most)
	} else {
		p.most = defaultIdle
	}
	return p
}

// take returns the connection that was used last and is still good, or a new one; fresh asks for a new one. It waits while all are in use.
func (p *pool) take(ctx context.Context, fresh bool) (*conn, error) {
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	switch {
	case !fresh:
		if c := p.reuse(); c != nil {
			return c, nil
		}
	default: // in the place of an idle one, so that there are no more of them than there may be
		if c := p.pop(); c != nil {
			c.cut()
		}
	}
	return p.open(ctx)
}

// enter takes a place. It is that of the connection from then on, or of the dial.
func (p *pool) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil || p.places == nil {
		return err
	}
	select {
	case p.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pool) leave() {
	if p.places != nil {
		<-p.places
	}
}

// reuse returns an idle connection that is still good, or nil.
func (p *pool) reuse() *conn {
	looked := false
	defer func() {
		if !looked { // but panicked
			p.leave()
		}
	}()
	for {
		c := p.pop()
		// The time is that on the wall: a timer stands still while the machine sleeps.
		if c == nil || time.Now().Round(0).Sub(c.idleSince) < idleTimeout && c.isQuiet() {
			looked = true
			return c
		}
		c.cut()
	}
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// open dials. A dial goes on when whoever it was begun for waits no longer: where one takes longer than a question may, there would never be
// a connection otherwise.
func (p *pool) open(ctx context.Context) (*conn, error) {
	type result struct {
		conn *conn
		err  error
	}
	dialled := make(chan result)
	go func() {
		c, err := p.dialer.dial(context.WithoutCancel(ctx))
		if err != nil {
			p.leave()
		}
		select {
		case dialled <- result{c, err}:
		case <-ctx.Done():
			if err == nil {
				p.put(c)
			}
		}
	}()
	select {
	case r := <-dialled:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// put gives a connection back.
func (p *pool) put(c *conn) {
	defer p.leave()
	switch {
	case !c.fit:
		c.cut()
	case !p.keep(c):
		_ = c.Close()
	}
}

// keep keeps a connection for other questions, and reports whether there is room for it.
func (p *pool) keep(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) == p.most {
		return false
	}
	c.kept, c.idleSince = true, time.Now()
	p.idle = append(p.idle, c)
	p.expectExpiry(idleTimeout)
	return true
}

// expectExpiry sees to it that connections are closed when they have been idle for too long. mu is held.
func (p *pool) expectExpiry(in time.Duration) {
	switch {
	case p.timed:
		return
	case p.expiry == nil:
		p.expiry = time.AfterFunc(in, p.expire)
	default:
		p.expiry.Reset(in)
	}
	p.timed = true
}

// expire closes what has been idle for too long.
func (p *pool) expire() {
	for _, c := range p.expired() {
		_ = c.Close()
	}
}

func (p *pool) expired() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, n := time.Now(), 0
	for n < len(p.idle) && now.Sub(p.idle[n].idleSince) >= idleTimeout {
		n++
	}
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	if p.timed = false; len(p.idle) > 0 {
		p.expectExpiry(idleTimeout - now.Sub(p.idle[0].idleSince))
	}
	return old
}

// close closes what is idle. What is in use is closed when it is put back.
func (p *pool) close() {
	for _, c := range p.shut() {
		_ = c.Close()
	}
}

func (p *pool) shut() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle
	p.idle, p.closed = nil, true
	if p.expiry != nil {
		p.expiry.Stop()
	}
	return idle
}
