package proxy

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Revocations says what has been revoked, without asking anybody. Revocations are numbered in the order in which they come into force.
type Revocations interface {
	// LatestRevocation returns the number of the latest one in force.
	LatestRevocation() uint64
	// RevokedSince reports whether any after that number concerns the credential or its session.
	RevokedSince(number uint64, c upstream.Credential, s *upstream.Session) bool
}

// TunnelConfig says how many tunnels there may be and what ends them.
type TunnelConfig struct {
	Max          int           // at once; 0 turns them off, so that a handshake is an ordinary request
	MaxPerClient int           // at once, trusted clients aside; 0 is any number
	Idle         time.Duration // after which a tunnel ends in which nothing passes; 0 is never
}

// How tunnels are watched.
const (
	lookEvery = 250 * time.Millisecond // what a revocation takes to end a tunnel; promised is one second
	askEvery  = time.Second            // about a session that may not be believed for any longer
	askAtOnce = 32                     // tunnels that are judged again at a time, so that requests get their turn, too
	overdue   = 10 * time.Second       // how long a tunnel may wait for that before it ends

	halfIdle = 30 * time.Second // the idle limit of a tunnel of which one side has ended
)

// tunnels are the open tunnels of a Server. Every lookEvery somebody looks after all of them: whether something was revoked that
// concerns them, whether their time is up, whether anything passes. That asks nobody and waits for nothing. When what is known of a
// session is no longer fresh, or the policy has changed, the tunnel is judged again as the request was that began it, by one of a few
// goroutines that may have to wait.
type tunnels struct {
	cfg      TunnelConfig
	gate     *Gate // of open tunnels
	base     context.Context
	observer Observer
	logger   *slog.Logger
	logEnds  bool

	mu      sync.Mutex // guards the grounds of tunnels, too
	taken   int        // tunnels, those included that are about to begin
	held    tally      // of taken, by the clients who may have a number of them only
	open    map[*tunnel]struct{}
	closed  bool
	look    *time.Timer // nil while nothing is open
	waiting []*tunnel   // to be judged again
	judges  int         // goroutines that do so
}

// take makes room for a tunnel of holder, who may have any number if it is the zero Addr. It returns the limit that does not allow it, or 0.
// Whoever gets room must add a tunnel or give it back.
func (ts *tunnels) take(holder netip.Addr) Limit {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.taken >= ts.cfg.Max {
		return TunnelsLimit
	}
	if ts.cfg.MaxPerClient > 0 && holder.IsValid() {
		if ts.held == nil {
			ts.held = tally{}
		}
		if !ts.held.enter(holder, ts.cfg.MaxPerClient) {
			return TunnelsPerClientLimit
		}
	}
	ts.taken++
	return 0
}

// giveBack ends what take began for holder.
func (ts *tunnels) giveBack(holder netip.Addr) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.free(holder)
}

// free is giveBack while the lock is held.
func (ts *tunnels) free(holder netip.Addr) {
	ts.taken--
	if ts.held[holder] > 0 {
		ts.held.leave(holder)
	}
}

// count returns how many tunnels there are.
func (ts *tunnels) count() int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return len(ts.open)
}

// add has a tunnel looked after. It ends at once if the others have.
func (ts *tunnels) add(t *tunnel) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.open == nil {
		ts.open = map[*tunnel]struct{}{}
	}
	ts.open[t] = struct{}{}
	if ts.closed {
		t.end(EndedByShutdown)
	} else if ts.look == nil {
		ts.look = time.AfterFunc(lookEvery, ts.lookAfter)
	}
}

// remove forgets a tunnel that has ended.
func (ts *tunnels) remove(t *tunnel, why TunnelEnd) {
	ts.mu.Lock()
	delete(ts.open, t)
	ts.free(t.holder)
	ts.mu.Unlock()
	if ts.logEnds {
		t.log(why)
	}
	ts.observer.TunnelEnded(why)
}

// close ends all tunnels, and those that are yet to come.
func (ts *tunnels) close() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.closed = true
	if ts.look != nil {
		ts.look.Stop()
	}
	for t := range ts.open {
		t.end(EndedByShutdown)
	}
}

// lookAfter ends the tunnels that must end, has those judged again that have to be, and comes again while there are any.
func (ts *tunnels) lookAfter() {
	now, policy := time.Now(), ts.gate.Policy()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for t := range ts.open {
		if t.ended.Load() {
			continue
		}
		if why := ts.fault(t, now); why != 0 {
			t.end(why)
			continue
		}
		if !t.inLine && (t.policy != policy || t.session != nil && !now.Before(t.due)) {
			t.inLine, t.lined = true, now
			ts.waiting = append(ts.waiting, t)
		}
	}
	for range min(askAtOnce-ts.judges, len(ts.waiting)) {
		ts.judges++
		go ts.judge()
	}
	ts.look = nil
	if len(ts.open) > 0 && !ts.closed {
		ts.look = time.AfterFunc(lookEvery, ts.lookAfter)
	}
}

// fault says why a tunnel must end, or 0.
func (ts *tunnels) fault(t *tunnel, now time.Time) TunnelEnd {
	if t.session != nil {
		if t.revoked() {
			return EndedByRevocation
		}
		if t.session.Expired(now) {
			return EndedByExpiry
		}
	}
	if t.inLine && now.Sub(t.lined) > overdue {
		return EndedByOutage
	}
	limit := ts.cfg.Idle
	if t.halved.Load() && (limit == 0 || limit > halfIdle) {
		limit = halfIdle
	}
	if t.active.Swap(false) {
		t.quiet = now
	}
	if limit > 0 && now.Sub(t.quiet) >= limit {
		return EndedByIdleness
	}
	return 0
}

// revoked reports whether the session has been revoked since somebody last looked.
func (g *grounds) revoked() bool {
	latest := g.service.Revocations.LatestRevocation() // what is revoked meanwhile is looked for the next time
	if latest == g.mark {
		return false
	}
	since := g.mark
	g.mark = latest
	return g.service.Revocations.RevokedSince(since, g.credential.Credential, g.session)
}

// judge judges one tunnel after the other again, until none is waiting.
func (ts *tunnels) judge() {
	for t := ts.next(); t != nil; t = ts.next() {
		d := ts.judgeAgain(t)
		ts.mu.Lock()
		t.settle(&d)
		ts.mu.Unlock()
	}
}

// next returns the tunnel that has waited for the longest, or nil, which ends the goroutine that asks.
func (ts *tunnels) next() *tunnel {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for len(ts.waiting) > 0 {
		t := ts.waiting[0]
		ts.waiting[0] = nil
		ts.waiting = ts.waiting[1:]
		if !t.ended.Load() {
			return t
		}
	}
	ts.judges--
	return nil
}
