package proxy

import (
	"sync/atomic"
	"time"
)

// deadlines are when a client's connection gives up reading and writing. To move one goes through the timers of the runtime, and fasthttp
// moves three for every request: to wait for it, to read its head, which is there already as a rule, and to answer it. So one is moved only
// when it is needed, and when it is not nearly right as it is. Times are in nanoseconds since born; zero is never.
type deadlines struct {
	born             time.Time
	readBy           atomic.Int64 // what is wanted
	readSet, writeBy atomic.Int64 // what is set
}

func (d *deadlines) since(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return int64(t.Sub(d.born))
}

func (d *deadlines) at(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return d.born.Add(time.Duration(n))
}

// near reports whether a deadline that is set will do for one that is wanted: it is no later, and earlier by no more than a sixty-fourth
// of the time that is left.
func (d *deadlines) near(set, wanted int64) bool {
	if set == wanted {
		return true
	}
	return set != 0 && set < wanted && wanted-set <= (wanted-int64(time.Since(d.born)))/64
}

// SetReadDeadline takes effect with the next Read.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.readBy.Store(c.since(t))
	return nil
}

// awaitRead makes the read deadline take effect.
func (c *conn) awaitRead() error {
	by := c.readBy.Load()
	if c.near(c.readSet.Load(), by) {
		return nil
	}
	for {
		c.readSet.Store(by)
		if err := c.Conn.SetReadDeadline(c.at(by)); err != nil {
			return err
		}
		now := c.readBy.Load()
		if now == by {
			return nil
		}
		by = now // SetDeadline came in between, and must not be overwritten
	}
}

// SetWriteDeadline takes effect at once.
func (c *conn) SetWriteDeadline(t time.Time) error {
	by := c.since(t)
	if c.near(c.writeBy.Load(), by) {
		return nil
	}
	c.writeBy.Store(by)
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline takes effect at once, also on a Read and a Write that have begun.
func (c *conn) SetDeadline(t time.Time) error {
	by := c.since(t)
	c.readBy.Store(by)
	c.readSet.Store(by)
	c.writeBy.Store(by)
	return c.Conn.SetDeadline(t)
}
