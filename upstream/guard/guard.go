package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// ErrBusy is wrapped by the error of a question that was refused because too many others wait for their turn.
var ErrBusy = errors.New("too many questions wait for the session service")

// ErrBreakerOpen is wrapped by the error of a question that was refused because the service has failed too often of late.
var ErrBreakerOpen = errors.New("session service failed repeatedly and is left alone for a moment")

// ErrPaused is wrapped by the error of a question that was refused because the service has said that it wants to be asked nothing for a while.
var ErrPaused = errors.New("session service has been asked too often and is left alone as it wishes")

// errLate is the error of a question whose turn has come too late for an answer. It is not asked: it would take a turn from others for nothing,
// and that it is not answered in time would count against the service, of which only too much is asked.
var errLate = fmt.Errorf("wait for a turn to ask the session service: %w", context.DeadlineExceeded)

// maxPause bounds for how long a service can have itself left alone. What it says may be a mistake, or somebody else's on the way.
const maxPause = time.Minute

// errAbandoned tells the breaker that a question says nothing about the service.
var errAbandoned = errors.New("caller gave up")

// errUnended is what the breaker hears of a question in which the goroutine ended.
var errUnended = errors.New("question ended without an answer")

// A Config bounds what is asked of a service. What is zero has the default given. The line is as long as is of use: a service that takes 45 ms
// for an answer when so much is asked of it gets to its end before the deadline. Who comes later is better told at once.
type Config struct {
	Timeout     time.Duration // for one question, from asking the guard to its answer; 1 s
	MaxInFlight int           // questions asked at once; 64
	MaxWaiting  int           // questions that wait for their turn behind those; 16 * MaxInFlight, and none if negative

	// UnknownPerClient is how many questions that end in a no one client may cause in a minute, and all at once; unlimited.
	UnknownPerClient int

	TripAfter uint32        // outages in a row that open the breaker; 10
	OpenFor   time.Duration // how long nothing is asked then; 1 s
	Probes    uint32        // questions that are let through after that, and must all be answered to close the breaker; 3

	// Observe, if not nil, is called once for every question, with the time from asking the guard to its answer.
	Observe func(Result, time.Duration)
}

// A Guard is an [upstream.Store] that limits what is asked of another. It is safe for concurrent use.
type Guard struct {
	store   upstream.Store
	timeout time.Duration
	shares  *shares
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	observe func(Result, time.Duration)
	base    time.Time
	pace    pace
	until   atomic.Int64 // a time.Duration since base: when the service may be asked again

	answered atomic.Int64 // likewise: when a question was answered last; 0 if none was

	// Every question passes through all. Those about strangers pass through strangers first, which is narrower: however many there are,
	// a part of the places is left for others, and no line of strangers stands before them.
	strangers, all *turnstile
}

var _ upstream.Store = (*Guard)(nil)

// New returns a Guard in front of store.
func New(store upstream.Store, cfg Config) *Guard {
	inFlight := cmp.Or(cfg.MaxInFlight, 64)
	waiting := max(0, cmp.Or(cfg.MaxWaiting, 16*inFlight))
	tripAfter := cmp.Or(cfg.TripAfter, 10)
	g := &Guard{
		store:     store,
		timeout:   cmp.Or(cfg.Timeout, time.Second),
		shares:    newShares(cfg.UnknownPerClient),
		observe:   cfg.Observe,
		base:      time.Now(),
		strangers: newTurnstile(inFlight-reserved(inFlight), waiting),
		all:       newTurnstile(inFlight, waiting+inFlight), // strangers who are through may have to wait once more
	}
	if g.observe == nil {
		g.observe = func(Result, time.Duration) {}
	}
	g.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  cmp.Or(cfg.Probes, 3),
		Timeout:      cmp.Or(cfg.OpenFor, time.Second),
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsSuccessful: func(err error) bool { return err == nil || upstream.Definite(err) },
		IsExcluded: func(err error) bool {
			return errors.Is(err, errAbandoned) || Unasked(err) || errors.Is(err, upstream.ErrBadQuestion)
		},
	})
	return g
}

// reserved returns how many of the places are for questions about credentials that are known: a quarter, and one at least unless it is the
// only one.
func reserved(places int) int { return min(max(places/4, 1), places-1) }

// Session asks the store within the limits. Besides the store's own errors it returns [upstream.ErrLimited] and outages: [ErrBusy],
// [ErrBreakerOpen], [ErrPaused], and errors that wrap [context.DeadlineExceeded].
func (g *Guard) Session(ctx context.Context, c upstream.Credential) (a upstream.Answer, err error) {
	err = g.Do(ctx, c.From, func(ctx context.Context) (err error) {
		a, err = g.lookup(ctx, c)
		return err
	})
	return a, err
}

// Known returns the Store to ask about credentials that stood for a session a moment ago. It is the Guard with two differences: a quarter
// of the places, or one if there are two or three, is for these questions alone, and they are on no client's share. So those who present what nobody knows keep nobody
// from being asked about again.
func (g *Guard) Known() upstream.Store { return known{g} }

type known struct{ guard *Guard }

func (k known) Session(ctx context.Context, c upstream.Credential) (a upstream.Answer, err error) {
	err = k.guard.limit(ctx, nil, func(ctx context.Context) (err error) {
		a, err = k.guard.lookup(ctx, c)
		return err
	})
	return a, err
}

// lookup asks the store.
func (g *Guard) lookup(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
	a, err := g.store.Session(ctx, c)
	if err == nil && a.Session == nil {
		err = errors.New("session store returned neither a session nor an error")
	}
	if err != nil {
		return upstream.Answer{}, err
	}
	return a, nil
}

// Do asks the service something else within the same limits, on the share of the client from. The errors of question mean what those of
// an [upstream.Store] mean, and question is called again if its error wraps [upstream.ErrNotSent]. It must return when its context is
// done.
func (g *Guard) Do(ctx context.Context, from netip.Addr, question func(context.Context) error) error {
	return g.shares.ask(from, func() error { return g.limit(ctx, g.strangers, question) })
}

// InFlight returns how many questions are being asked now.
func (g *Guard) InFlight() int { return len(g.all.slots) }

// BreakerOpen reports whether all questions are refused now because the service has failed too often.
func (g *Guard) BreakerOpen() bool { return g.breaker.State() == gobreaker.StateOpen }

// limit asks when it is the question's turn, and tells the observer.
func (g *Guard) limit(caller context.Context, first *turnstile, question func(context.Context) error) error {
	start := time.Now()
	err := g.inTurn(caller, start, first, question)
	g.observe(resultOf(err), time.Since(start))
	return err
}

// inTurn asks when it is the turn of the question, which has waited since start: at first, unless that is nil, and then where all pass.
func (g *Guard) inTurn(caller context.Context, start time.Time, first *turnstile, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(caller, g.timeout)
	defer cancel()
	if first != nil {
		if err := first.enter(ctx); err != nil {
			return err
		}
		defer first.leave()
	}
	if err := g.all.enter(ctx); err != nil {
		return err
	}
	defer g.all.leave()
	if g.timeout-time.Since(start) < min(g.pace.needed(), g.timeout/2) {
		return errLate
	}
	return g.protect(caller, ctx, question)
}

// protect asks unless the breaker is open. ctx is that of caller with the deadline.
func (g *Guard) protect(caller, ctx context.Context, question func(context.Context) error) error {
	if time.Since(g.base) < time.Duration(g.until.Load()) {
		return ErrPaused
	}
	done, err := g.breaker.Allow()
	if err != nil {
		return ErrBreakerOpen
	}
	err = errUnended
	defer func() {
		if err != nil && caller.Err() != nil && !upstream.Definite(err) {
			done(errAbandoned)
		} else {
			done(err)
		}
	}()
	start := time.Now()
	err = ask(ctx, question)
	if err == nil || upstream.Definite(err) {
		g.pace.note(time.Since(start))
	}
	if errors.Is(err, upstream.ErrNotSent) && !Unasked(err) && ctx.Err() == nil {
		err = ask(ctx, question)
	}
	if err == nil || upstream.Definite(err) && !Unasked(err) {
		g.answered.Store(max(int64(time.Since(g.base)), 1)) // the clock may stand still
	} else if errors.Is(err, upstream.ErrBadQuestion) && !g.answersOthers() {
		err = errors.New(err.Error()) // nobody is to blame for what happens to all
	}
	if pause, wanted := errors.AsType[*upstream.Pause](err); wanted {
		until := int64(time.Since(g.base) + min(pause.For, maxPause))
		g.until.Store(max(g.until.Load(), until))
	}
	return err
}

// lately is for how long an answer shows that a question which was taken for a bad one is one.
const lately = 10 * time.Second

// answersOthers reports whether a question was answered of late. If none was, what turns questions away turns all away.
func (g *Guard) answersOthers() bool {
	at := g.answered.Load()
	return at > 0 && time.Since(g.base)-time.Duration(at) < lately
}

// Unasked reports whether err is an answer that the service was not asked for, since the question could not be put. It says nothing of the
// service.
func Unasked(err error) bool { return errors.Is(err, upstream.ErrNotSent) && upstream.Definite(err) }
