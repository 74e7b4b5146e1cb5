//go:build !race

package sessioncache_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// The race detector allocates on its own account, and with it sync.Pool drops at random, so that ristretto learns nothing of what is asked
// for. All of this runs without it.

func TestP6HitDoesNotAllocate(t *testing.T) {
	f := func(name string, length int) {
		t.Helper()
		c, cred := hot(t, length)
		lookup := func(within time.Duration) func() {
			return func() {
				if a, err := c.Lookup(t.Context(), cred, within); err != nil || a.Source != upstream.Hit {
					t.Error(a.Source, err)
				}
			}
		}
		if n := testing.AllocsPerRun(2000, lookup(upstream.Unlimited)); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if n := testing.AllocsPerRun(2000, lookup(time.Minute)); n != 0 {
			t.Errorf("%s, not older than a minute: %v allocations", name, n)
		}
		c.Degrade(true)
		if n := testing.AllocsPerRun(2000, lookup(upstream.Unlimited)); n != 0 {
			t.Errorf("%s, degraded: %v allocations", name, n)
		}
		c.Degrade(false)
		// Nor does it when the revocation log has to be read, since something else has been revoked.
		again := lookup(upstream.Unlimited)
		if n := testing.AllocsPerRun(2000, func() { c.RevokeSession("unrelated"); again() }); n != 0 {
			t.Errorf("%s, after a revocation: %v allocations", name, n)
		}
	}
	f("token", 39)
	f("Kratos cookie", 428)
	f("long cookie", 600)
}

// The hot table is full of sessions in use and turns newcomers away. They live in the window until it lets them in.
func TestNewcomersLiveInTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		const n = 200
		c := newCache(t, s, sessioncache.Config{Size: n, FreshFor: time.Hour})
		session := func(i int) upstream.Answer {
			t.Helper()
			a, err := c.Session(t.Context(), cookie(fmt.Sprint(i)))
			checkSession(t, a, err, fmt.Sprint("S", i), a.Source)
			synctest.Wait()
			return a
		}
		for i := range n + 20 {
			s.say(fmt.Sprint(i), yes(fmt.Sprint("S", i), "I"))
		}
		for range 8 {
			for i := range n {
				session(i)
			}
		}
		windowHits, admitted := 0, 0
		for i := n; i < n+20; i++ {
			session(i)
			for range 100 {
				if session(i).Source == upstream.WindowHit {
					windowHits++
				}
				time.Sleep(offerEvery)
			}
			if session(i).Source == upstream.Hit {
				admitted++
			}
			wantQuestions(t, s, fmt.Sprint(i), 1)
		}
		if st := c.Stats(); windowHits == 0 || admitted < 15 || st.HotRejections == 0 || st.Hot.Entries != n {
			t.Errorf("%d window hits, %d of 20 admitted, %+v", windowHits, admitted, st)
		}
	})
}

const offerEvery = 100 * time.Millisecond
