package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// ErrBusy is wrapped by the error of a question that was refused because too many others wait for their turn.
var ErrBusy = errors.New("too many questions wait for the session service")

// ErrBreakerOpen is wrapped by the error of a question that was refused because the service has failed too often of late.
var ErrBreakerOpen = errors.New("session service failed repeatedly and is left alone for a moment")

// errAbandoned tells the breaker that a question says nothing about the service.
var errAbandoned = errors.New("caller gave up")

// A Config bounds what is asked of a service. What is zero has the default given.
type Config struct {
	Timeout     time.Duration // for one question, from asking the guard to its answer; 1 s
	MaxInFlight int           // questions asked at once; 64
	MaxWaiting  int           // questions that wait for their turn behind those; 4 * MaxInFlight, and none if negative

	TripAfter uint32        // outages in a row that open the breaker; 10
	OpenFor   time.Duration // how long nothing is asked then; 1 s
	Probes    uint32        // questions that are let through after that, and must all be answered to close the breaker; 3

	// Observe, if not nil, is called once for every question, with the time from asking the guard to its answer.
	Observe func(Result, time.Duration)
}

// A Guard is an [upstream.Store] that limits what is asked of another. It is safe for concurrent use.
type Guard struct {
	store      upstream.Store
	timeout    time.Duration
	slots      chan struct{} // holds one element for each question in flight
	waiting    atomic.Int64
	maxWaiting int64
	breaker    *gobreaker.TwoStepCircuitBreaker[struct{}]
	observe    func(Result, time.Duration)
}

var _ upstream.Store = (*Guard)(nil)

// New returns a Guard in front of store.
func New(store upstream.Store, cfg Config) *Guard {
	inFlight := cmp.Or(cfg.MaxInFlight, 64)
	tripAfter := cmp.Or(cfg.TripAfter, 10)
	g := &Guard{
		store:      store,
		timeout:    cmp.Or(cfg.Timeout, time.Second),
		slots:      make(chan struct{}, inFlight),
		maxWaiting: int64(max(0, cmp.Or(cfg.MaxWaiting, 4*inFlight))),
		observe:    cfg.Observe,
	}
	if g.observe == nil {
		g.observe = func(Result, time.Duration) {}
	}
	g.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  cmp.Or(cfg.Probes, 3),
		Timeout:      cmp.Or(cfg.OpenFor, time.Second),
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsSuccessful: func(err error) bool { return err == nil || upstream.Definite(err) },
		IsExcluded:   func(err error) bool { return errors.Is(err, errAbandoned) || unasked(err) },
	})
	return g
}

// Session asks the store within the limits. Besides the store's own errors it returns outages: [ErrBusy], [ErrBreakerOpen], and errors
// that wrap [context.DeadlineExceeded].
func (g *Guard) Session(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
	var a upstream.Answer
	err := g.Do(ctx, func(ctx context.Context) (err error) {
		a, err = g.store.Session(ctx, c)
		if err == nil && a.Session == nil {
			err = errors.New("session store returned neither a session nor an error")
		}
		return err
	})
	if err != nil {
		return upstream.Answer{}, err
	}
	return a, nil
}

// Do asks the service something else within the same limits. The errors of question mean what those of an [upstream.Store] mean, and
// question is called again if its error wraps [upstream.ErrNotSent]. It must return when its context is done.
func (g *Guard) Do(ctx context.Context, question func(context.Context) error) error {
	start := time.Now()
	err := g.limit(ctx, question)
	g.observe(resultOf(err), time.Since(start))
	return err
}

// InFlight returns how many questions are being asked now.
func (g *Guard) InFlight() int { return len(g.slots) }

// BreakerOpen reports whether all questions are refused now because the service has failed too often.
func (g *Guard) BreakerOpen() bool { return g.breaker.State() == gobreaker.StateOpen }

// limit asks once all limits allow it.
func (g *Guard) limit(caller context.Context, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(caller, g.timeout)
	defer cancel()
	if err := g.enter(ctx); err != nil {
		return err
	}
	defer g.leave()
	done, err := g.breaker.Allow()
	if err != nil {
		return ErrBreakerOpen
	}
	err = errors.New("question ended without an answer") // what the breaker hears if the goroutine ends in it
	defer func() {
		if err != nil && caller.Err() != nil && !upstream.Definite(err) {
			done(errAbandoned)
		} else {
			done(err)
		}
	}()
	err = ask(ctx, question)
	if errors.Is(err, upstream.ErrNotSent) && !unasked(err) && ctx.Err() == nil {
		err = ask(ctx, question)
	}
	return err
}

// unasked reports whether err is an answer that the service was not asked for, since the question could not be put. It says nothing of the
// service.
func unasked(err error) bool { return errors.Is(err, upstream.ErrNotSent) && upstream.Definite(err) }

// enter waits for a free slot, and takes it.
func (g *Guard) enter(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > g.maxWaiting {
		return ErrBusy
	}
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a turn to ask the session service: %w", ctx.Err())
	}
}

func (g *Guard) leave() { <-g.slots }
