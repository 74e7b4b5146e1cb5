package sessioncache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// maxRounds is how often one look-up asks when what it gets is revoked or out of date on arrival.
const maxRounds = 3

// These are outages: none of them says anything about the credential.
var (
	errClosed    = errors.New("session cache is closed")
	errEnded     = errors.New("session service client ended without an answer")
	errEmpty     = errors.New("session service answered without a session, a session id or an identity id")
	errUnsettled = errors.New("session was revoked, or its answer out of date, each time the service was asked about it")
)

// errTooSoon says that nothing was asked, because the session was asked about less than a second ago.
var errTooSoon = errors.New("asked less than a second ago")

// A question is what one look-up wants to know.
type question struct {
	digest  digest
	joined  bool          // see joinedTable
	at      moment        // when the look-up began
	within  time.Duration // how old an answer may be
	held    *entry        // the newest entry that stood when the look-up began, or nil
	forced  bool          // held could be served but is too old for this caller
	revoked bool          // something remembered or awaited was revoked

	unattended bool // the caller can pass no renewed credential on
}

// oldest is the earliest moment at which a question may have begun whose answer will do. Whoever wants an answer newer than a second
// accepts one from within the second before the look-up: nobody can tell how long the request was on its way. Whoever wants one from after
// that says so with an age below zero.
func (q *question) oldest() time.Duration {
	if q.within < 0 {
		return q.at.mono
	}
	return q.at.mono - max(q.within, everySecond)
}

// receivers is how many callers the question adds to those who can receive a renewed credential.
func (q *question) receivers() int {
	if q.unattended {
		return 0
	}
	return 1
}

// A flight is one question on its way to the service, for all who wait for it. It is written by its own goroutine, and read by others
// when done is closed.
//
// It is not a singleflight.Group, because that lets waiters hang when the function ends its goroutine, cannot tell whether anybody is
// still waiting to receive a renewed cookie, and cannot look into the tables and begin a flight in one step.
type flight struct {
	digest   digest
	joined   bool
	held     *entry // as in question
	askedSeq uint64
	askedAt  time.Duration
	probe    uint64 // latest question for readiness when this one began

	waiting int // callers who can receive a renewed credential; guarded by Cache.mu

	done     chan struct{}
	err      error
	entry    *entry // the session, if err is nil
	kept     *entry // what is remembered of it
	renewed  []upstream.Field
	remember bool // err is a no that may be remembered
}

// ask waits for an answer to q.
func (c *Cache) ask(ctx context.Context, q question, cred upstream.Credential) (upstream.Answer, outcome, error) {
	for range maxRounds {
		f, led := c.join(&q, cred)
		if f == nil {
			return upstream.Answer{}, failed, errTooSoon
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			c.leave(f, &q)
			return upstream.Answer{}, failed, fmt.Errorf("wait for the session service: %w", ctx.Err())
		}
		if f.err != nil && !upstream.Definite(f.err) {
			return upstream.Answer{}, failed, f.err
		}
		switch {
		case !c.settled(f):
			q.revoked = true
		case f.askedAt >= q.oldest():
			return f.answer(led, &q, c.now())
		}
		q.forced = false // What was held is no longer to be served instead, and who has waited for one question may ask the next.
	}
	return upstream.Answer{}, failed, errUnsettled
}

// settled reports whether nothing was revoked since the question that concerns its answer. A no is overtaken by a flush only.
func (c *Cache) settled(f *flight) bool {
	if f.entry != nil {
		return c.stands(f.entry)
	}
	return !c.revoked.concern(f.askedSeq)
}

// answer is what a caller gets at a moment who waited for the flight, or began it. Like what is served from memory, it may be believed for
// what is left of the entry's freshness.
func (f *flight) answer(led bool, q *question, at moment) (a upstream.Answer, o outcome, err error) {
	src := upstream.Asked
	if !led {
		src = upstream.Coalesced
	}
	o = outcomeOf(src)
	if q.revoked {
		o = revoked
	}
	if f.err != nil {
		return a, o, f.err
	}
	a = upstream.Answer{
		Session:    f.entry.session,
		BelieveFor: f.entry.left(at),
		Source:     src,
		Age:        max(0, q.at.mono-f.askedAt),
	}
	if !q.unattended {
		a.Renewed = slices.Clone(f.renewed)
	}
	return a, o, nil
}

// join returns the flight that q has to wait for, and whether q began it. It returns nil if there is none and q may not begin one.
func (c *Cache) join(q *question, cred upstream.Credential) (f *flight, led bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f = c.flights[q.digest]; f != nil {
		f.waiting += q.receivers()
		return f, false
	}
	if f = c.landed(q); f != nil {
		return f, false
	}
	if q.forced && !c.mayForce(q) {
		return nil, false
	}
	return c.begin(q, cred, q.receivers()), true
}

// refresh begins a flight that nobody waits for, unless there is one.
func (c *Cache) refresh(q *question, cred upstream.Credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[q.digest] == nil {
		c.begin(q, cred, 0)
	}
}

// landed looks for an answer that came between the look into the tables and now, and returns it as a flight that is over. Without
// it, a look-up that is a little late would ask again what has just been answered. Cache.mu is held.
func (c *Cache) landed(q *question) *flight {
	at := c.now()
	e, ok := c.newcomers(q.joined).Peek(q.digest)
	if ok && (q.held == nil || e.askedAt > q.held.askedAt) && e.askedAt >= q.oldest() && e.fresh(at) && c.stands(e) {
		return &flight{done: over(), askedAt: e.askedAt, entry: e}
	}
	if n, ok := c.denied(q.digest, at, q.within); ok {
		return &flight{done: over(), askedAt: at.mono, askedSeq: n.askedSeq, err: upstream.ErrNoSession}
	}
	return nil
}

// begin starts a flight. Cache.mu is held.
func (c *Cache) begin(q *question, cred upstream.Credential, waiting int) *flight {
	if c.closed {
		return &flight{done: over(), err: errClosed}
	}
	f := &flight{
		digest:   q.digest,
		joined:   q.joined,
		held:     q.held,
		askedSeq: c.revoked.seq.Load(),
		askedAt:  c.now().mono,
		probe:    c.readiness.mark(),
		waiting:  waiting,
		done:     make(chan struct{}),
		err:      errEnded, // unless the store answers
	}
	c.flights[f.digest] = f
	cred.Value = bytes.Clone(cred.Value) // the caller's memory is the caller's again when it leaves
	c.running.Go(func() {
		defer c.land(f)
		deepen()
		c.fly(f, cred)
	})
	return f
}

// deepen makes room for what a flight needs of its goroutine's stack. The stack would grow to that in any case, but later it takes copying
// and adjusting what is on it, again and again.
//
//go:noinline
func deepen() {
	var room [4 << 10]byte
	runtime.KeepAlive(&room)
}

// over returns a channel that is closed.
func over() chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func (c *Cache) leave(f *flight, q *question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiting -= q.receivers()
}

// fly asks the service and judges the answer.
func (c *Cache) fly(f *flight, cred upstream.Credential) {
	var a upstream.Answer
	store := c.store
	if f.held != nil {
		store = c.cfg.Known
	}
	err := guarded(func() (err error) {
		a, err = store.Session(c.lifetime, cred)
		return err
	})
	s, at := a.Session, c.now()
	switch {
	case err == nil && (s == nil || s.ID == "" || s.IdentityID == ""):
		f.err = errEmpty
	case err == nil && at.wall >= endsAt(s):
		f.err = fmt.Errorf("session is expired: %w", upstream.ErrNoSession)
		c.end(f)
	case err == nil:
		f.err = nil
		f.entry = newEntry(f.digest, a, f.askedSeq, f.askedAt, &c.cfg)
		f.renewed = a.Renewed
		_ = guarded(func() error { f.kept = c.keep(f.entry); return nil }) // or it is not remembered
	case errors.Is(err, upstream.ErrNoSession):
		f.err = c.doubt(f, err)
		if upstream.Definite(f.err) {
			f.remember = true
			c.end(f)
		}
	case upstream.Definite(err):
		f.err = err
		c.end(f)
	default:
		f.err = err
	}
}

// keep returns e as it is remembered. That what is prepared for it fails is no reason not to remember it.
func (c *Cache) keep(e *entry) *entry {
	if c.cfg.Prepare != nil {
		_ = guarded(func() error { c.cfg.Prepare(e.session); return nil })
	}
	return newRecord(e, c.refs, !c.cfg.DropBody).wake(c.refs)
}

// known reports whether the flight is about a session that is still held.
func (c *Cache) known(f *flight) bool {
	return f.held != nil && f.held.held(c.now()) && c.stands(f.held)
}

// doubt returns the error to believe when the service says that there is no session. Kratos says so with the same 401 when its
// database fails, and a gateway that believed it would sign everybody out. So if the session was there a moment ago, the service must
// be ready too, asked after this question began.
func (c *Cache) doubt(f *flight, no error) error {
	if c.cfg.Ready == nil || !c.known(f) {
		return no
	}
	believed := false
	defer func() { // also if Ready ends this goroutine
		if !believed {
			c.unbelieved.Add(1)
		}
	}()
	if err := c.readiness.confirm(c.lifetime, f.probe); err != nil {
		// Whatever err wraps, this is no definite no.
		return fmt.Errorf("disbelieve the session service, which denies a session it knew: it is not ready: %v", err)
	}
	believed = true
	return no
}

// end makes sure that a definite no is the end of the session held for the credential. Of unknown credentials the log learns nothing,
// or whoever sprays tokens could make it forget.
func (c *Cache) end(f *flight) {
	if c.known(f) {
		c.revoked.revoke(f.digest)
	}
}

// land remembers what the flight brought and lets go of those who wait. The tables are written before the flight is gone from the
// list, under one lock, so that at each moment a look-up finds the one or the other.
func (c *Cache) land(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.now()
	switch {
	case f.kept != nil:
		if len(f.renewed) > 0 && f.waiting == 0 {
			f.kept = f.kept.record.renewing().wake(c.refs)
			f.kept.nextAsk.Store(int64(f.askedAt + everySecond))
		}
		if f.joined {
			c.joined.add(c.digests.session(f.kept.session.ID), f.kept)
		} else {
			c.window.add(f.digest, f.kept)
			c.hot.offer(f.kept, at)
		}
		c.negatives.Remove(f.digest)
	case f.entry != nil: // It could not be remembered, and then nothing older is, as far as that can be seen to: see hotTable.
		c.newcomers(f.joined).Remove(f.digest)
		c.hot.drop(f.digest)
		c.negatives.Remove(f.digest)
	case f.remember && c.cfg.NegativeFor > 0:
		c.negatives.add(f.digest, denial{at.mono, f.askedSeq})
	}
	delete(c.flights, f.digest)
	close(f.done)
}
