package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// AppConfig says where the application is and how it is spoken to.
type AppConfig struct {
	Network, Address string // as for net.Dial: "tcp" and "host:port", or "unix" and a path
	MaxConns         int    // connections at once; a request beyond that waits for up to ConnWait

	DialTimeout time.Duration
	ConnWait    time.Duration
	HeadTimeout time.Duration // from the end of the request to the head of the response
	IdleTimeout time.Duration // of the application, between two pieces of a body
	KeepAlive   time.Duration // how long an idle connection is kept: less than the application keeps it
}

// errBusy says that all connections to the application are in use.
var errBusy = errors.New("all connections to the application are in use")

// An App is a pool of connections to one application. A connection serves one exchange at a time and is put back only when both sides
// agree on where the next message begins; whatever is in doubt is closed. It is safe for concurrent use.
type App struct {
	cfg   AppConfig
	slots chan struct{} // one for each connection in use

	mu      sync.Mutex
	idle    []*appConn  // the longest idle first
	sweeper *time.Timer // closes what has been idle for too long; nil when nothing is idle
	closed  bool
}

// An appConn is a connection to the application.
type appConn struct {
	net.Conn
	r         *bufio.Reader
	stillness *stillness
	idleSince time.Time
	used      bool // it has served an exchange before
	sole      bool // it is for one exchange only
}

const appBuffer = 16 << 10 // of what is read; also the limit on the head of a response

// NewApp returns an App. No connection is made before the first request.
func NewApp(cfg AppConfig) *App {
	return &App{cfg: cfg, slots: make(chan struct{}, cfg.MaxConns)}
}

// get returns a connection that is ready for a request, an idle one if there is one that still lives, with HeadTimeout as its deadline.
// fresh asks for a new one. Whoever gets one must either put or drop it.
func (a *App) get(ctx context.Context, fresh bool) (*appConn, error) {
	if err := a.wait(ctx); err != nil {
		return nil, err
	}
	for !fresh {
		c := a.popIdle()
		if c == nil {
			break
		}
		// The time comes first: looking fails when a deadline has passed.
		if time.Since(c.idleSince) < a.cfg.KeepAlive && c.r.Buffered() == 0 && a.allowTime(c) == nil && c.stillness.holds() {
			return c, nil
		}
		_ = c.Close()
	}
	dialer := net.Dialer{Timeout: a.cfg.DialTimeout}
	nc, err := dialer.DialContext(ctx, a.cfg.Network, a.cfg.Address)
	if err != nil {
		<-a.slots
		return nil, fmt.Errorf("dial application: %w", err)
	}
	c := &appConn{Conn: nc, r: bufio.NewReaderSize(nc, appBuffer), stillness: newStillness(nc)}
	if err := a.allowTime(c); err != nil {
		a.drop(c)
		return nil, fmt.Errorf("set deadline of connection to application: %w", err)
	}
	return c, nil
}

// allowTime gives an exchange that begins the time in which the head of the response must be there.
func (a *App) allowTime(c *appConn) error { return c.SetDeadline(time.Now().Add(a.cfg.HeadTimeout)) }

// wait takes a slot.
func (a *App) wait(ctx context.Context) error {
	select {
	case a.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(a.cfg.ConnWait)
	defer timer.Stop()
	select {
	case a.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return errBusy
	case <-ctx.Done():
		return fmt.Errorf("wait for connection to application: %w", ctx.Err())
	}
}

func (a *App) popIdle() *appConn {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.idle)
	if n == 0 {
		return nil
	}
	c := a.idle[n-1]
	a.idle[n-1] = nil
	a.idle = a.idle[:n-1]
	return c
}

// put takes a connection back whose exchange ended where both sides know it did.
func (a *App) put(c *appConn) {
	c.idleSince, c.used = time.Now(), true
	a.mu.Lock()
	closed := a.closed
	if !closed {
		a.idle = append(a.idle, c)
		if a.sweeper == nil {
			a.sweeper = time.AfterFunc(a.cfg.KeepAlive, a.sweep)
		}
	}
	a.mu.Unlock()
	<-a.slots
	if closed {
		_ = c.Close()
	}
}

// sweep closes the connections that have been idle for too long, and comes again while there are others.
func (a *App) sweep() {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for n < len(a.idle) && time.Since(a.idle[n].idleSince) >= a.cfg.KeepAlive {
		_ = a.idle[n].Close()
		n++
	}
	a.idle = slices.Delete(a.idle, 0, n)
	a.sweeper = nil
	if len(a.idle) > 0 {
		a.sweeper = time.AfterFunc(a.cfg.KeepAlive, a.sweep)
	}
}

// release makes room for another connection: one that was got is no more one of the pool.
func (a *App) release() { <-a.slots }

// drop closes a connection that cannot be used again.
func (a *App) drop(c *appConn) {
	_ = c.Close()
	a.release()
}

// Close closes the idle connections, and each of the others when its exchange ends.
func (a *App) Close() {
	a.mu.Lock()
	idle := a.idle
	a.idle, a.closed = nil, true
	if a.sweeper != nil {
		a.sweeper.Stop()
	}
	a.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
}
