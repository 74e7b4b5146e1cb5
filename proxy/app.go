package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// AppConfig says where an application is and how it is spoken to.
type AppConfig struct {
	Name             string                                                               // as logs and metrics have it
	What             string                                                               // what logs call it; empty is "application"
	Network, Address string                                                               // as for net.Dial: "tcp" and "host:port", or "unix" and a path
	Dial             func(ctx context.Context, network, address string) (net.Conn, error) // nil is the network
	TLS              *tls.Config                                                          // nil to speak without TLS; else with ServerName, and without protocols other than HTTP/1.1
	MaxConns         int                                                                  // connections at once; a request beyond that waits for up to ConnWait

	DialTimeout time.Duration // for a connection, the TLS handshake included
	ConnWait    time.Duration
	HeadTimeout time.Duration // from the end of the request to the head of the response, and for each piece of a request
	IdleTimeout time.Duration // of the application, between two pieces of a response; 0 for no limit
	KeepAlive   time.Duration // how long an idle connection is kept: less than the application keeps it
	MaxAge      time.Duration // how long a connection is kept at all, so that the next one goes where the name leads by then
	LookEvery   time.Duration // how often it is looked whether the client is still there while the application is waited for

	Observer AppObserver
	Logger   *slog.Logger
}

// An AppObserver is told what becomes of the requests to one application. Its methods are called on the way of every request, so they must
// neither block nor allocate.
type AppObserver interface {
	// Answered is called for every request unless its client broke it off before. The status is 0 when there was no answer.
	Answered(status int, took time.Duration)

	// Cut is called for every exchange that one side broke off before the response had been sent whole.
	Cut(by Side)
}

// A Side is one of the two that Gatehouse stands between.
type Side uint8

// The sides.
const (
	ByApp Side = iota
	ByClient
)

// Sides lists every Side, for those who keep a table by side.
var Sides = [...]Side{ByApp, ByClient}

// String returns the side as metrics spell it.
func (s Side) String() string {
	if s == ByClient {
		return "client"
	}
	return "app"
}

// errBusy says that all connections to the application are in use.
var errBusy = errors.New("all connections to the application are in use")

// An App is a pool of connections to one application. A connection serves one exchange at a time and is put back only when both sides
// agree on where the next message begins; whatever is in doubt is closed. It is safe for concurrent use.
type App struct {
	cfg    AppConfig
	dialer net.Dialer
	health health
	slots  chan struct{} // one for each connection in use

	mu      sync.Mutex
	idle    []*appConn  // the longest idle first
	sweeper *time.Timer // closes what has been idle for too long; nil when nothing is idle
	closed  bool
}

// NewApp returns an App. No connection is made before the first request.
func NewApp(cfg AppConfig) *App {
	cfg.What = cmp.Or(cfg.What, "application")
	return &App{cfg: cfg, slots: make(chan struct{}, cfg.MaxConns)}
}

// Name returns what logs and metrics call the application.
func (a *App) Name() string { return a.cfg.Name }

// Down reports whether the application is taken to be out of reach, so that requests fail at once.
func (a *App) Down() bool { return a.health.down() }

// get returns a connection that is ready for a request on behalf of client, an idle one if there is one that still lives, with HeadTimeout
// to go. fresh asks for a new one. It may have sent the beginning of message already, and says how much. Whoever gets one must either put or
// drop it.
func (a *App) get(ctx context.Context, client *conn, fresh bool, message []byte) (_ *appConn, sent int, _ error) {
	if err := a.wait(ctx); err != nil {
		return nil, 0, err
	}
	got := false
	defer func() {
		if !got { // also if something panics
			a.release()
		}
	}()
	for !fresh {
		c := a.popIdle()
		if c == nil {
			break
		}
		if sent, ok := a.reuse(c, message); ok {
			c.take(client)
			got = true
			return c, sent, nil
		}
		_ = c.Close()
	}
	nc, err := a.dial(ctx)
	if err != nil {
		return nil, 0, err
	}
	c := newAppConn(nc, a.cfg.LookEvery)
	c.take(client)
	if err := c.allowRead(a.cfg.HeadTimeout); err != nil {
		_ = c.Close()
		c.release()
		return nil, 0, fmt.Errorf("set deadline of connection to application: %w", err)
	}
	got = true
	return c, 0, nil
}

// reuse reports whether an idle connection can be used again. If so, it gives it the time for an exchange, and sends what it can of message.
func (a *App) reuse(c *appConn, message []byte) (sent int, ok bool) {
	// The time comes before the look, which fails when a deadline has passed.
	now := c.age()
	if now-c.idleSince >= a.cfg.KeepAlive || !c.drained() || c.allowReadFrom(now, a.cfg.HeadTimeout) != nil {
		return 0, false
	}
	if !c.plain {
		message = nil
	}
	return c.stillness.send(message)
}

// dial makes a new connection. Each resolves the name anew, and tries its addresses one after the other. It belongs to the caller, and does
// not count towards MaxConns.
func (a *App) dial(ctx context.Context) (net.Conn, error) {
	attempt, ok := a.health.begin()
	if !ok {
		return nil, errDown
	}
	timed, cancel := context.WithTimeout(ctx, a.cfg.DialTimeout)
	defer cancel()
	err, ended := errUnended, false
	defer func() { a.judge(attempt, err, !ended || ctx.Err() != nil) }() // also if something panics
	nc, err := a.connect(timed)
	ended = true
	if err != nil {
		return nil, fmt.Errorf("dial application: %w", err)
	}
	return nc, nil
}

// errUnended is what an attempt to connect fails with that something panicked in.
var errUnended = errors.New("attempt to connect had no end")

// connect makes a connection, and speaks TLS if the application does.
func (a *App) connect(ctx context.Context) (net.Conn, error) {
	dial := a.cfg.Dial
	if dial == nil {
		dial = a.dialer.DialContext
	}
	nc, err := dial(ctx, a.cfg.Network, a.cfg.Address)
	if err != nil || a.cfg.TLS == nil {
		return nc, err
	}
	secured, greeted := tls.Client(nc, a.cfg.TLS), false
	defer func() {
		if !greeted {
			_ = nc.Close()
		}
	}()
	err = secured.HandshakeContext(ctx)
	greeted = err == nil
	return secured, err
}

// judge tells what became of an attempt to connect to those who want to know. One that was given up says nothing of the application.
func (a *App) judge(attempt attempt, err error, gaveUp bool) {
	switch change := a.health.end(attempt, err != nil, gaveUp); {
	case a.cfg.Logger == nil:
	case change == wentDown:
		a.cfg.Logger.Warn(a.cfg.What+" cannot be reached: requests to it fail at once until it can", "app", a.cfg.Name, "error", err)
	case change == cameUp:
		a.cfg.Logger.Info(a.cfg.What+" can be reached again", "app", a.cfg.Name)
	}
}

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
	now := c.age()
	if c.r.Buffered() > 0 || now >= a.cfg.MaxAge {
		a.drop(c)
		return
	}
	c.release()
	c.idleSince, c.used = now, true
	a.mu.Lock()
	closed := a.closed
	if !closed {
		a.idle = append(a.idle, c)
		if a.sweeper == nil {
			a.sweeper = time.AfterFunc(a.cfg.KeepAlive, a.sweep)
		}
	}
	a.mu.Unlock()
	a.release()
	if closed {
		_ = c.Close()
	}
}

// sweep closes the connections that have been idle for too long, and comes again while there are others. Nobody waits for it: TLS says
// goodbye.
func (a *App) sweep() {
	for _, c := range a.expired() {
		_ = c.Close()
	}
}

// expired takes out the connections that have been idle for too long, and sees to it that sweep comes again if there are others.
func (a *App) expired() []*appConn {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for n < len(a.idle) && a.idle[n].age()-a.idle[n].idleSince >= a.cfg.KeepAlive {
		n++
	}
	expired := slices.Clone(a.idle[:n])
	a.idle = slices.Delete(a.idle, 0, n)
	a.sweeper = nil
	if len(a.idle) > 0 {
		a.sweeper = time.AfterFunc(a.cfg.KeepAlive, a.sweep)
	}
	return expired
}

// release makes room for another connection: one that was got is no more one of the pool.
func (a *App) release() { <-a.slots }

// drop closes a connection that cannot be used again.
func (a *App) drop(c *appConn) {
	_ = c.Close()
	c.release()
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
