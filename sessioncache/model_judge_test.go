package sessioncache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func (r *revocation) concerns(of int) bool {
	return r.all || r.session == owners[of].session || r.identity == owners[of].identity || r.of == of
}

func (w *world) failf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (st *statement) yes() bool { return st.err == nil && st.kind != "expired" }

// denies reports whether st is a no, believed or not.
func (st *statement) denies() bool {
	return st.kind == "no" || st.kind == "refused" || st.kind == "expired"
}

// freshUntil is when the cache must have stopped to call st fresh.
func (w *world) freshUntil(st *statement) time.Time {
	freshFor := w.cfg.FreshFor
	if w.degraded {
		freshFor = min(freshFor, w.cfg.FreshForDegraded)
	}
	return st.began.Add(max(0, min(freshFor, st.answer.BelieveFor)))
}

func (w *world) servableUntil(st *statement) time.Time {
	if st.answer.BelieveFor <= 0 {
		return st.began
	}
	return w.freshUntil(st).Add(w.cfg.StaleFor)
}

// revokedSince reports whether something that concerns st was revoked between its question and tick.
func (w *world) revokedSince(st *statement, tick int) bool {
	for _, r := range w.revocations {
		if r.concerns(st.of) && r.tick > st.beganTick && r.tick < tick {
			return true
		}
	}
	return false
}

// deniedSince reports whether the service has said a no that must be believed, to a question later than st's, before t.
func (w *world) deniedSince(st *statement, t time.Time) bool {
	for _, n := range w.statements {
		if n.of != st.of || n.landed.IsZero() || n.beganTick < st.beganTick || !n.landed.Before(t) {
			continue
		}
		switch {
		case n.kind == "refused" || n.kind == "expired":
			return true
		case n.kind == "no" && !w.databaseBad && w.goodSince.Before(n.began) && t.Sub(n.landed) > time.Second:
			return true
		}
	}
	return false
}

// known is the newest session that the cache must still hold for a credential, or nil.
func (w *world) known(of int) *statement {
	var known *statement
	for _, st := range w.statements {
		if st.of == of && !st.landed.IsZero() && st.yes() {
			known = st
		}
	}
	if known == nil || !known.landed.After(w.evicted) || w.revokedSince(known, math.MaxInt) {
		return nil
	}
	for _, n := range w.statements {
		if n.of == of && n.beganTick > known.beganTick && n.denies() {
			return nil // may have ended it
		}
	}
	return known
}

// lookup asks the cache and judges what it says.
func (w *world) lookup(ctx context.Context, c *sessioncache.Cache, of int, within time.Duration) {
	w.mu.Lock()
	began, beganTick, questions := time.Now(), w.next(), w.questions(of)
	must := w.known(of)
	if must != nil {
		hit := began.Before(w.freshUntil(must)) && !must.answer.Session.Expired(began) && began.Sub(must.began) <= within &&
			must.kind != "renewed" && must.landedTick < w.settled
		if !hit {
			must = nil
		}
	}
	w.mu.Unlock()

	a, err := c.Lookup(ctx, upstream.Credential{Kind: upstream.Cookie, Name: "session", Value: []byte{byte(of)}}, within)

	w.mu.Lock()
	defer w.mu.Unlock()
	now, tick := time.Now(), w.next()
	name := fmt.Sprintf("look-up of %d within %v: %v, %v", of, within, a.Source, err)
	if must != nil && (err != nil || a.Source == upstream.Stale || w.questions(of) != questions) {
		w.failf("%s: it is remembered and fresh", name)
	}
	switch {
	case err == nil:
		w.judgeSession(name, of, a, within, now, tick)
	case errors.Is(err, upstream.ErrNoSession):
		w.judgeNo(name, of, began, now)
	case upstream.Definite(err):
		if !w.landedSince(of, began, "refused") {
			w.failf("%s: nobody refused", name)
		}
	case ctx.Err() != nil:
	default:
		if !w.landedSince(of, began, "down", "no") && w.countRevoked(of, beganTick) < 3 {
			w.failf("%s: there was no outage", name)
		}
	}
}

func (w *world) judgeSession(name string, of int, a upstream.Answer, within time.Duration, now time.Time, tick int) {
	var st *statement
	body, kept := a.Session.Statement()
	for _, s := range w.statements {
		if s.yes() && kept && bytes.Equal(s.answer.Session.Body, body) && s.answer.Session.ID == a.Session.ID {
			st = s
		}
	}
	if st == nil || st.of != of {
		w.failf("%s: that is not what the service said about it", name)
		return
	}
	age := now.Sub(st.began)
	if st.answer.Session.Expired(now) {
		w.failf("%s: expired", name)
	}
	if w.revokedSince(st, tick) {
		w.failf("%s: revoked", name)
	}
	fromMemory := a.Source != upstream.Asked && a.Source != upstream.Coalesced
	if !fromMemory {
		if len(a.Renewed) > 0 && st.kind != "renewed" {
			w.failf("%s: renewed out of nothing", name)
		}
		return
	}
	if w.deniedSince(st, now) {
		w.failf("%s: the service has denied it since", name)
	}
	if len(a.Renewed) > 0 {
		w.failf("%s: renewed from memory", name)
	}
	if a.Age != age {
		w.failf("%s: age %v, want %v", name, a.Age, age)
	}
	if !now.Before(w.servableUntil(st)) {
		w.failf("%s: served %v after its question", name, age)
	}
	if fresh := now.Before(w.freshUntil(st)); fresh != (a.Source != upstream.Stale) {
		w.failf("%s: fresh is %v", name, fresh)
	}
	if age > max(within, time.Second) && !w.askedWithinASecond(st.of, now) {
		w.failf("%s: age %v", name, age)
	}
}

func (w *world) judgeNo(name string, of int, began, now time.Time) {
	for _, n := range w.statements {
		if n.of != of || n.landed.IsZero() || n.kind != "no" && n.kind != "expired" {
			continue
		}
		// A no may be in doubt for a second after it landed.
		waitedFor := began.Sub(n.landed) <= time.Second
		remembered := now.Sub(n.landed) < w.cfg.NegativeFor+time.Second && w.cfg.NegativeFor > 0 && !w.flushedSince(n)
		if !waitedFor && !remembered {
			continue
		}
		if w.databaseBad && w.badSince.Before(n.began) && w.heldWhen(n) {
			continue // must not have been believed
		}
		return
	}
	w.failf("%s: the service has not said that, or was not to be believed", name)
}

// heldWhen reports whether the cache must have held a session when the question of n was answered.
func (w *world) heldWhen(n *statement) bool {
	var held *statement
	for _, st := range w.statements {
		if st.of == n.of && st.yes() && !st.landed.IsZero() && st.landedTick < n.beganTick {
			held = st
		}
	}
	if held == nil || !held.landed.After(w.evicted) || w.revokedSince(held, n.landedTick) || held.answer.Session.Expired(n.landed) ||
		n.landed.Sub(w.servableUntil(held)) >= 5*time.Minute {
		return false
	}
	for _, other := range w.statements {
		if other.of == n.of && other != n && other.beganTick > held.beganTick && !other.landed.IsZero() && other.denies() {
			return false // may have ended it
		}
	}
	return true
}

// landedSince reports whether the service has said something of the kinds since t. A no may be in doubt for a second after it landed.
func (w *world) landedSince(of int, t time.Time, kinds ...string) bool {
	for _, st := range w.statements {
		if st.of == of && !st.landed.IsZero() && slices.Contains(kinds, st.kind) &&
			(!st.landed.Before(t) || st.kind == "no" && t.Sub(st.landed) <= time.Second) {
			return true
		}
	}
	return false
}

func (w *world) questions(of int) (n int) {
	for _, st := range w.statements {
		if st.of == of {
			n++
		}
	}
	return n
}

func (w *world) countRevoked(of, from int) (n int) {
	for _, r := range w.revocations {
		if r.concerns(of) && r.tick > from {
			n++
		}
	}
	return n
}

func (w *world) flushedSince(st *statement) bool {
	for _, r := range w.revocations {
		if r.all && r.tick > st.beganTick {
			return true
		}
	}
	return false
}

func (w *world) askedWithinASecond(of int, now time.Time) bool {
	for _, st := range w.statements {
		if owners[st.of].session == owners[of].session && now.Sub(st.began) < time.Second {
			return true
		}
	}
	return false
}
