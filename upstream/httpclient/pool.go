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
	dial   func(context.Context) (*conn, error)
	places chan struct{} // holds one element for each connection that is taken or dialled; nil if their number is not bounded
	most   int           // that are kept

	mu     sync.Mutex
	idle   []*conn // the latest last
	expiry *time.Timer
	timed  bool // the expiry is to come
	closed bool
}

// newPool returns a pool of at most so many connections; 0 is no bound.
func newPool(dial func(context.Context) (*conn, error), most int) *pool {
	p := &pool{dial: dial, most: most}
	if most > 0 {
		p.places = make(chan struct{}, most)
	} else {
		p.most = defaultIdle
	}
	return p
}

// take returns the connection that was used last and is still good, or a new one. It waits while all are in use.
func (p *pool) take(ctx context.Context) (*conn, error) {
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	for {
		c := p.pop()
		switch {
		case c == nil:
			return p.open(ctx)
		case c.isQuiet():
			c.kept = true
			return c, nil
		}
		_ = c.Close()
	}
}

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
		c, err := p.dial(context.WithoutCancel(ctx))
		if err != nil {
			c = nil
		}
		select {
		case dialled <- result{c, err}:
		case <-ctx.Done():
			p.put(c)
		}
	}()
	select {
	case r := <-dialled:
		if r.err != nil {
			p.leave()
		}
		return r.conn, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// put gives a connection back, or the place of one that could not be had.
func (p *pool) put(c *conn) {
	defer p.leave()
	if c == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.fit || p.closed || len(p.idle) == p.most {
		_ = c.Close()
		return
	}
	c.idleSince = time.Now()
	p.idle = append(p.idle, c)
	p.expectExpiry(idleTimeout)
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
	p.mu.Lock()
	defer p.mu.Unlock()
	now, n := time.Now(), 0
	for n < len(p.idle) && now.Sub(p.idle[n].idleSince) >= idleTimeout {
		_ = p.idle[n].Close()
		n++
	}
	p.idle = slices.Delete(p.idle, 0, n)
	if p.timed = false; len(p.idle) > 0 {
		p.expectExpiry(idleTimeout - now.Sub(p.idle[0].idleSince))
	}
}

// close closes what is idle. What is in use is closed when it is put back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		_ = c.Close()
	}
	p.idle, p.closed = nil, true
	if p.expiry != nil {
		p.expiry.Stop()
	}
}
