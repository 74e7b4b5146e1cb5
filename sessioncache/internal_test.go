package sessioncache

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// echo is a store in which every credential has a session of its own name.
type echo struct{ asked int }

func (s *echo) Session(_ context.Context, c upstream.Credential) (upstream.Answer, error) {
	s.asked++
	return upstream.Answer{Session: &upstream.Session{ID: string(c.Value), IdentityID: "I"}, BelieveFor: upstream.Unlimited}, nil
}

func token(value string) upstream.Credential {
	return upstream.Credential{Kind: upstream.Bearer, Value: []byte(value)}
}

func newEchoCache(t *testing.T, s *echo) *Cache {
	t.Helper()
	c, err := New(s, Config{Size: 100, FreshFor: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Ristretto is asked for the first half of a digest only. Whoever could make two of these collide must gain nothing.
func TestP2CollisionInTheHotTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(echo)
		c := newEchoCache(t, s)
		mallory := token("mallory")
		d := c.digests.credential(mallory)
		d[15]++ // the same first half
		now := c.now()
		alice := upstream.Answer{Session: &upstream.Session{ID: "alice", IdentityID: "I"}, BelieveFor: upstream.Unlimited}
		c.hot.offer(c.keep(newEntry(d, alice, 0, now.mono, &c.cfg)), now)
		synctest.Wait()
		if e := c.hot.get(d); e == nil || e.session.ID != "alice" {
			t.Fatal("alice is not in the hot table")
		}
		for range 3 {
			a, err := c.Session(t.Context(), mallory)
			if err != nil || a.Session.ID != "mallory" {
				t.Errorf("got %v, %v", a.Session, err)
			}
			synctest.Wait()
		}
		if e := c.hot.get(d); e != nil {
			t.Errorf("%s is found under a digest that is not hers", e.session.ID)
		}
	})
}

// A hot table that loses everything, as if every write were dropped, changes nothing but the number of questions.
func TestP7WithoutTheHotTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(echo)
		c := newEchoCache(t, s)
		c.hot.close()
		ask := func(n int) {
			for i := range 1000 {
				value := fmt.Sprint(i % n)
				a, err := c.Session(t.Context(), token(value))
				if err != nil || a.Session.ID != value {
					t.Errorf("got %v, %v", a.Session, err)
				}
			}
		}
		ask(100) // more than the window holds
		s.asked = 0
		c.Flush()
		ask(64)
		if s.asked != 64 {
			t.Errorf("asked %d times about 64 newcomers, for whom there is room in the window", s.asked)
		}
		c.RevokeIdentity("I")
		if a, err := c.Session(t.Context(), token("0")); err != nil || a.Source != upstream.Asked {
			t.Errorf("got %v, %v", a.Source, err)
		}
	})
}

// The hot table lost the second of two writes, and holds an older answer than the window. The newer answer wins as soon as the older
// is not fresh, and takes its place.
func TestP7NewerWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(echo)
		c := newEchoCache(t, s)
		first, _ := c.Session(t.Context(), token("a"))
		synctest.Wait()
		time.Sleep(30 * time.Second)
		d := c.digests.credential(token("a"))
		at := c.now()
		newer := upstream.Answer{Session: &upstream.Session{ID: "a", IdentityID: "newer"}, BelieveFor: upstream.Unlimited}
		c.window.add(d, c.keep(newEntry(d, newer, 0, at.mono, &c.cfg)))

		want := func(session *upstream.Session, src upstream.Source, within time.Duration) {
			t.Helper()
			a, err := c.Lookup(t.Context(), token("a"), within)
			if err != nil || a.Session.IdentityID != session.IdentityID || a.Source != src {
				t.Errorf("got the newer one: %v, from %v, error %v", a.Session.IdentityID == "newer", a.Source, err)
			}
			synctest.Wait()
		}
		want(first.Session, upstream.Hit, upstream.Unlimited)
		want(newer.Session, upstream.WindowHit, 10*time.Second)
		time.Sleep(30 * time.Second)
		want(newer.Session, upstream.WindowHit, upstream.Unlimited) // and it is offered
		want(newer.Session, upstream.Hit, upstream.Unlimited)
		if s.asked != 1 {
			t.Errorf("asked %d times", s.asked)
		}
	})
}

// A machine that was suspended has a monotonic clock that stood still and a wall clock that did not.
func TestP1SuspendedMachine(t *testing.T) {
	now := time.Now()
	// ExpiresAt carries a monotonic reading here, which must not be what it is compared by.
	a := upstream.Answer{Session: &upstream.Session{ID: "S", IdentityID: "I", ExpiresAt: now.Add(time.Minute)}, BelieveFor: upstream.Unlimited}
	e := newEntry(digest{}, a, 0, 0, &Config{FreshFor: time.Hour, StaleFor: time.Hour})
	f := func(mono, wall time.Duration, want bool) {
		t.Helper()
		at := moment{mono, now.Add(wall).UnixMilli(), time.Hour}
		if e.fresh(at) != want || e.servable(at) != want || e.held(at) != want {
			t.Errorf("%v later, by the wall clock %v: fresh %v, servable %v, held %v", mono, wall, e.fresh(at), e.servable(at), e.held(at))
		}
	}
	f(time.Second, 59*time.Second, true)
	f(time.Second, time.Minute, false)
	f(time.Second, time.Hour, false)
}

// The digest of long values is built on the heap, and is one of all of their bytes.
func TestDigestOfLongValues(t *testing.T) {
	h := newHasher("service")
	seen := make(map[digest]int)
	value := make([]byte, 0, 3000)
	for i := range 3000 {
		value = append(value, 'x')
		d := h.credential(upstream.Credential{Kind: upstream.Cookie, Name: "session", Value: value})
		if j, ok := seen[d]; ok {
			t.Fatalf("values of %d and %d bytes have one digest", j+1, i+1)
		}
		seen[d] = i
	}
	other := newHasher("another service")
	other.k0, other.k1 = h.k0, h.k1
	if h.session("a") == other.session("a") || h.session("a") == h.identity("a") || h.session("") == h.identity("") {
		t.Error("service and kind must be part of the digest")
	}
}

// Ristretto panics when it is read or written while it closes.
func TestHotTableClosesWhileInUse(t *testing.T) {
	for range 5 {
		h, err := newHotTable(10, newReferences())
		if err != nil {
			t.Fatal(err)
		}
		session := upstream.Answer{Session: &upstream.Session{ID: "S", IdentityID: "I"}, BelieveFor: upstream.Unlimited}
		var users, started sync.WaitGroup
		var stop atomic.Bool
		for i := range 4 {
			d := digest{byte(i)}
			started.Add(1)
			users.Go(func() {
				e := newRecord(newEntry(d, session, 0, 0, &Config{FreshFor: time.Minute}), h.refs, true).wake(h.refs)
				h.get(d)
				started.Done()
				for !stop.Load() {
					h.offer(e, moment{})
					h.get(d)
				}
			})
		}
		started.Wait()
		h.clear()
		h.close()
		stop.Store(true)
		users.Wait()
		h.clear()
		if e := h.get(digest{}); e != nil {
			t.Error("the table is not empty after it was closed")
		}
	}
}

// An entry that is awake gives way to what is remembered now, also if it was woken too late to be that.
func TestHotTableWakesTheLatest(t *testing.T) {
	h, err := newHotTable(10, newReferences())
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	d := digest{1}
	remember := func(identity string) *entry {
		a := upstream.Answer{Session: &upstream.Session{ID: "S", IdentityID: identity}, BelieveFor: upstream.Unlimited}
		e := newRecord(newEntry(d, a, 0, 0, &Config{FreshFor: time.Minute}), h.refs, true).wake(h.refs)
		h.offer(e, moment{})
		h.cache.Wait()
		return e
	}
	old := remember("old")
	remember("new")
	h.place(d).Store(old)
	if e := h.get(d); e == nil || e.session.IdentityID != "new" {
		t.Error("what was remembered before is still given out")
	}
}
