package proxy

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A timedConn counts how often its deadlines are moved.
type timedConn struct {
	net.Conn
	moved     int
	meanwhile func() // happens just before the next read deadline is moved; may be nil
}

func (c *timedConn) SetReadDeadline(t time.Time) error {
	if f := c.meanwhile; f != nil {
		c.meanwhile = nil
		f()
	}
	c.moved++
	return c.Conn.SetReadDeadline(t)
}

func (c *timedConn) SetWriteDeadline(t time.Time) error { c.moved++; return c.Conn.SetWriteDeadline(t) }

func newTimed() (c *conn, inner *timedConn, peer net.Conn) {
	own, peer := net.Pipe()
	inner = &timedConn{Conn: own}
	return &conn{Conn: inner, deadlines: deadlines{born: time.Now()}}, inner, peer
}

// A deadline ends a Read or Write when it should, and less than a sixty-fourth too early, whatever the one before it was.
func TestDeadlines(t *testing.T) {
	type operation func(net.Conn, []byte) (int, error)
	f := func(before, elapsed, wanted time.Duration, set func(*conn, time.Time) error, use, answer operation) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			c, _, peer := newTimed()
			defer peer.Close()
			defer c.Conn.Close()
			if before != 0 {
				_ = set(c, time.Now().Add(before))
				go func() { // somebody is there in time
					time.Sleep(elapsed)
					_, _ = answer(peer, make([]byte, 1))
				}()
				if _, err := use(c, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			_ = set(c, began.Add(wanted))
			_, err := use(c, make([]byte, 1))
			took := time.Since(began)
			if !errors.Is(err, os.ErrDeadlineExceeded) || took > max(wanted, 0) || took < max(wanted, 0)-wanted.Abs()/64 {
				t.Errorf("after one of %v and %v, a deadline of %v ended in %v after %v", before, elapsed, wanted, err, took)
			}
		})
	}
	read, write := operation(net.Conn.Read), operation(net.Conn.Write)
	for _, wanted := range []time.Duration{-time.Second, time.Millisecond, 9 * time.Second, 10 * time.Second, 11 * time.Second, time.Hour} {
		for _, before := range []time.Duration{0, time.Second, 10 * time.Second, time.Hour} {
			for _, elapsed := range []time.Duration{0, time.Millisecond, before / 2, before - 1} {
				f(before, elapsed, wanted, (*conn).SetReadDeadline, read, write)
				f(before, elapsed, wanted, (*conn).SetWriteDeadline, write, read)
				f(before, elapsed, wanted, (*conn).SetDeadline, read, write)
				f(before, elapsed, wanted, (*conn).SetDeadline, write, read)
			}
		}
	}
}

// Requests that follow one another move no deadline.
func TestDeadlinesAreSeldomMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, inner, peer := newTimed()
		defer peer.Close()
		defer c.Conn.Close()
		go func() {
			for p := make([]byte, 1); ; {
				if _, err := peer.Write(p); err != nil {
					return
				}
				if _, err := peer.Read(p); err != nil {
					return
				}
			}
		}()
		for range 1000 { // as fasthttp does
			_ = c.SetReadDeadline(time.Now().Add(90 * time.Second))
			_, err := c.Read(make([]byte, 1))
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			_ = c.SetWriteDeadline(time.Now().Add(30 * time.Second))
			if _, werr := c.Write(make([]byte, 1)); err != nil || werr != nil {
				t.Fatal(err, werr)
			}
			time.Sleep(time.Millisecond)
		}
		if inner.moved > 5 {
			t.Errorf("deadlines were moved %d times in a second", inner.moved)
		}
	})
}

// SetDeadline ends what has begun.
func TestSetDeadlineInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, peer := newTimed()
		defer peer.Close()
		defer c.Conn.Close()
		ended := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
		synctest.Wait()
		_ = c.SetDeadline(time.Unix(1, 0))
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the next read: %v", err)
		}
	})
}

// SetDeadline ends a Read that is about to begin, too, whose own deadline is just being moved.
func TestSetDeadlineIsNotOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, inner, peer := newTimed()
		defer peer.Close()
		defer c.Conn.Close()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
		inner.meanwhile = func() { _ = c.SetDeadline(time.Unix(1, 0)) }
		began := time.Now()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
