package sessioncache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// What is held when the cache is degraded is not believed for longer than what comes after.
func TestP1Degraded(t *testing.T) {
	const sec, ns = time.Second, time.Nanosecond
	f := func(name string, cfg sessioncache.Config, degradeAfter, after time.Duration, from upstream.Source) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t)
				c := newCache(t, s, cfg)
				s.say("a", yes("S", "I").believedFor(8*sec))
				wantSession(t, c, "a", "S", upstream.Asked)
				s.say("a", down)
				synctest.Wait()
				start := time.Now()
				time.Sleep(degradeAfter)
				c.Degrade(true)
				time.Sleep(after - time.Since(start))
				if from == upstream.Asked {
					wantError(t, c, "a", errDown)
				} else {
					a := wantSession(t, c, "a", "S", from)
					if left := max(0, min(8*sec, cfg.FreshForDegraded)-after); a.BelieveFor != left {
						t.Errorf("to be believed for %v, want %v", a.BelieveFor, left)
					}
				}
				c.Degrade(false)
				if after < 8*sec {
					if a := wantSession(t, c, "a", "S", upstream.Hit); a.BelieveFor != 8*sec-after {
						t.Errorf("not degraded any more: to be believed for %v", a.BelieveFor)
					}
				}
			})
		})
	}
	plain := sessioncache.Config{FreshFor: 10 * sec, FreshForDegraded: 2 * sec}
	f("fresh", plain, sec, 2*sec-ns, upstream.Hit)
	f("no longer", plain, sec, 2*sec, upstream.Asked)
	f("too old at once", plain, 5*sec, 5*sec, upstream.Asked)
	stale := sessioncache.Config{FreshFor: 10 * sec, FreshForDegraded: 2 * sec, StaleFor: 3 * sec}
	f("stale", stale, sec, 2*sec, upstream.Stale)
	f("stale for as long as ever", stale, sec, 5*sec-ns, upstream.Stale)
	f("and no longer", stale, sec, 5*sec, upstream.Asked)
	f("longer than what the service allows", sessioncache.Config{FreshFor: 10 * sec, FreshForDegraded: time.Hour}, 0, 8*sec-ns, upstream.Hit)
	f("and not beyond it", sessioncache.Config{FreshFor: 10 * sec, FreshForDegraded: time.Hour}, 0, 8*sec, upstream.Asked)
	f("not at all", sessioncache.Config{FreshFor: 10 * sec}, 0, 0, upstream.Asked)
}

// A degraded cache that remembers nothing still asks one question for all who ask together.
func TestP3Degraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.delay = time.Second
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: time.Minute})
		c.Degrade(true)
		for range 10 {
			go func() {
				a, err := c.Session(t.Context(), cookie("a"))
				checkSession(t, a, err, "S", a.Source)
			}()
		}
		time.Sleep(2 * time.Second)
		wantQuestions(t, s, "a", 1)
		wantSession(t, c, "a", "S", upstream.Asked)
		wantQuestions(t, s, "a", 2)
	})
}
