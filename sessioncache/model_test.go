package sessioncache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// The model runs random operations against a cache and judges each answer by what the service has said, to which question, and what
// has been revoked since. It knows nothing of tables. Time is fake, and every operation settles before the next one.

// owners are the credentials, and whose session they stand for: two cookies of one session, another session of the same identity, and
// somebody else.
var owners = []struct{ session, identity string }{{"S0", "I0"}, {"S0", "I0"}, {"S1", "I0"}, {"S2", "I1"}}

// An op is one operation. What of is meant to be depends on the operation.
type op struct {
	Do string
	Of int
	D  time.Duration
}

// A statement is what the service said to one question.
type statement struct {
	of         int
	kind       string // yes, brief, short, renewed, expires: a session; no; refused; down; expired: on the way
	began      time.Time
	beganTick  int
	landed     time.Time // zero: in flight
	landedTick int
	answer     upstream.Answer
	err        error
	gate       chan struct{}
}

// A revocation is of whatever its fields name.
type revocation struct {
	tick              int
	session, identity string
	of                int // -1: none
	all               bool
}

func (r *revocation) concerns(of int) bool {
	return r.all || r.session == owners[of].session || r.identity == owners[of].identity || r.of == of
}

type world struct {
	cfg sessioncache.Config

	mu          sync.Mutex
	tick        int
	says        []string // by credential
	late        bool
	statements  []*statement
	revocations []revocation
	databaseBad bool
	badSince    time.Time
	goodSince   time.Time
	evicted     time.Time // everything landed before may have been lost
	failures    []string
}

func (w *world) failf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *world) next() int { w.tick++; return w.tick }

// Session is the service.
func (w *world) Session(ctx context.Context, cred upstream.Credential) (upstream.Answer, error) {
	of := int(cred.Value[0])
	if of >= len(owners) {
		return yes(fmt.Sprintf("F%x", cred.Value), "F")()
	}
	w.mu.Lock()
	st := &statement{of: of, kind: w.says[of], began: time.Now(), beganTick: w.next()}
	for _, other := range w.statements {
		if other.of == of && other.landed.IsZero() {
			w.failf("two questions at a time for credential %d", of)
		}
	}
	w.statements = append(w.statements, st)
	st.answer, st.err = w.reply(st)
	if w.late {
		st.gate = make(chan struct{})
	}
	w.mu.Unlock()
	if st.gate != nil {
		select {
		case <-st.gate:
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	st.landed, st.landedTick = time.Now(), w.next()
	if st.yes() && st.answer.Session.Expired(st.landed) {
		st.kind = "expired"
	}
	return st.answer, st.err
}

func (w *world) reply(st *statement) (upstream.Answer, error) {
	r := yes(owners[st.of].session, owners[st.of].identity)
	switch st.kind {
	case "brief":
		r = r.believedFor(0)
	case "short":
		r = r.believedFor(4 * time.Second)
	case "renewed":
		r = r.renewing("cookie")
	case "expires":
		r = r.expiring(time.Now().Add(7 * time.Second))
	case "no":
		r = no
	case "refused":
		r = refuses
	case "down":
		r = down
	}
	return r()
}

func (w *world) Ready(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.databaseBad {
		return errDatabase
	}
	return nil
}

func (st *statement) yes() bool { return st.err == nil && st.kind != "expired" }

// denies reports whether st is a no, believed or not.
func (st *statement) denies() bool {
	return st.kind == "no" || st.kind == "refused" || st.kind == "expired"
}

// freshUntil is when the cache must have stopped to call st fresh.
func (w *world) freshUntil(st *statement) time.Time {
	return st.began.Add(max(0, min(w.cfg.FreshFor, st.answer.BelieveFor)))
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
			must.kind != "renewed"
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
	for _, s := range w.statements {
		if s.yes() && s.answer.Session == a.Session {
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

// release lets the oldest held question go, or all.
func (w *world) release(all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, st := range w.statements {
		if st.gate != nil {
			close(st.gate)
			st.gate = nil
			if !all {
				return
			}
		}
	}
}

func (w *world) revoke(c *sessioncache.Cache, r revocation) {
	switch {
	case r.all:
		c.Flush()
	case r.session != "":
		c.RevokeSession(r.session)
	case r.identity != "":
		c.RevokeIdentity(r.identity)
	default:
		c.RevokeCredential(upstream.Credential{Kind: upstream.Cookie, Name: "session", Value: []byte{byte(r.of)}})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r.tick = w.next()
	w.revocations = append(w.revocations, r)
}

func (w *world) do(ctx context.Context, c *sessioncache.Cache, o op, n int) {
	switch o.Do {
	case "look up":
		go w.lookup(ctx, c, o.Of, upstream.Unlimited)
	case "look up now":
		go w.lookup(ctx, c, o.Of, o.D)
	case "look up together":
		for range 3 {
			go w.lookup(ctx, c, o.Of, upstream.Unlimited)
		}
	case "look up and leave":
		ctx, cancel := context.WithCancel(ctx)
		go w.lookup(ctx, c, o.Of, upstream.Unlimited)
		synctest.Wait()
		cancel()
	case "yes", "brief", "short", "renewed", "expires", "no", "refused", "down":
		w.mu.Lock()
		w.says[o.Of] = o.Do
		w.mu.Unlock()
	case "late", "prompt":
		w.mu.Lock()
		w.late = o.Do == "late"
		w.mu.Unlock()
	case "answer one", "answer all":
		w.release(o.Do == "answer all")
	case "revoke session":
		w.revoke(c, revocation{of: -1, session: owners[o.Of].session})
	case "revoke identity":
		w.revoke(c, revocation{of: -1, identity: owners[o.Of].identity})
	case "revoke credential":
		w.revoke(c, revocation{of: o.Of})
	case "flush":
		w.revoke(c, revocation{of: -1, all: true})
	case "database bad", "database good":
		w.mu.Lock()
		bad := o.Do == "database bad"
		if bad && !w.databaseBad {
			w.badSince = time.Now()
		} else if !bad && w.databaseBad {
			w.goodSince = time.Now()
		}
		w.databaseBad = bad
		w.mu.Unlock()
	case "evict":
		w.mu.Lock()
		w.evicted = time.Now()
		w.mu.Unlock()
		for i := range 100 {
			value := []byte{255, byte(n), byte(i)}
			_, _ = c.Session(ctx, upstream.Credential{Kind: upstream.Cookie, Value: value})
		}
	case "wait":
		time.Sleep(o.D)
	}
	synctest.Wait()
}

func TestModel(t *testing.T) {
	ops := rapid.Custom(func(t *rapid.T) op {
		return op{
			Do: rapid.SampledFrom([]string{
				"look up", "look up", "look up", "look up now", "look up together", "look up and leave",
				"yes", "yes", "brief", "short", "renewed", "expires", "no", "no", "refused", "down",
				"late", "prompt", "answer one", "answer all",
				"revoke session", "revoke identity", "revoke credential", "flush",
				"database bad", "database good", "evict", "wait", "wait", "wait",
			}).Draw(t, "do"),
			Of: rapid.IntRange(0, len(owners)-1).Draw(t, "of"),
			D:  rapid.SampledFrom([]time.Duration{0, time.Millisecond, 600 * time.Millisecond, 1100 * time.Millisecond, 3 * time.Second, 8 * time.Second, 25 * time.Second}).Draw(t, "d"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{says: make([]string, len(owners)), cfg: sessioncache.Config{
			Size:        rapid.SampledFrom([]int{1, 1000}).Draw(rt, "size"),
			FreshFor:    10 * time.Second,
			StaleFor:    rapid.SampledFrom([]time.Duration{0, 20 * time.Second}).Draw(rt, "stale for"),
			NegativeFor: rapid.SampledFrom([]time.Duration{0, 2 * time.Second}).Draw(rt, "negative for"),
		}}
		for i := range w.says {
			w.says[i] = "yes"
		}
		script := rapid.SliceOfN(ops, 1, 80).Draw(rt, "ops")
		synctest.Test(t, func(t *testing.T) {
			cfg := w.cfg
			cfg.Ready = w.Ready
			c := newCache(t, w, cfg)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			time.Sleep(time.Second) // so that "never" is before everything
			for i, o := range script {
				if i%3 == 0 { // so that most operations are followed by a look at what they did
					w.do(ctx, c, op{Do: "look up", Of: o.Of}, i)
				}
				w.do(ctx, c, o, i)
			}
			w.release(true)
			time.Sleep(time.Minute)
		})
		if len(w.failures) > 0 {
			rt.Fatalf("%s", w.failures[0])
		}
	})
}
