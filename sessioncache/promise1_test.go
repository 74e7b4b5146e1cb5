package sessioncache_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func TestP1NeverServedAfterItsTime(t *testing.T) {
	type fact struct {
		after time.Duration
		from  upstream.Source // Asked means: not from memory, and the service is down, so an error
	}
	f := func(name string, r func() reply, fresh, stale time.Duration, facts ...fact) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t)
				c := newCache(t, s, sessioncache.Config{FreshFor: fresh, StaleFor: stale})
				s.say("a", r())
				wantSession(t, c, "a", "S", upstream.Asked)
				s.say("a", down)
				synctest.Wait()
				start := time.Now()
				for _, want := range facts {
					time.Sleep(want.after - time.Since(start))
					if want.from == upstream.Asked {
						wantError(t, c, "a", errDown)
					} else if a := wantSession(t, c, "a", "S", want.from); a.Age != want.after {
						t.Errorf("after %v: age is %v", want.after, a.Age)
					}
				}
			})
		})
	}
	const sec, ns = time.Second, time.Nanosecond
	s := func() reply { return yes("S", "I") }
	in := func(d time.Duration) func() reply {
		return func() reply { return s().expiring(time.Now().Add(d)) }
	}
	believed := func(d time.Duration) func() reply { return func() reply { return s().believedFor(d) } }

	f("fresh", s, 10*sec, 0, fact{10*sec - ns, upstream.Hit}, fact{10 * sec, upstream.Asked})
	f("fresh and stale", s, 10*sec, 20*sec, fact{10*sec - ns, upstream.Hit}, fact{10 * sec, upstream.Stale},
		fact{30*sec - ns, upstream.Stale}, fact{30 * sec, upstream.Asked})
	f("the service allows less", believed(4*sec), 10*sec, 0, fact{4*sec - ns, upstream.Hit}, fact{4 * sec, upstream.Asked})
	f("the service allows less, stale is for outages", believed(4*sec), 10*sec, 2*sec,
		fact{4*sec - ns, upstream.Hit}, fact{6*sec - ns, upstream.Stale}, fact{6 * sec, upstream.Asked})
	f("the service allows more", believed(time.Hour), 10*sec, 0, fact{10*sec - ns, upstream.Hit}, fact{10 * sec, upstream.Asked})
	f("for the moment only", believed(0), 10*sec, time.Hour, fact{0, upstream.Asked}, fact{sec, upstream.Asked})
	f("nonsense", believed(-sec), 10*sec, time.Hour, fact{0, upstream.Asked})
	f("expires while fresh", in(5*sec), 10*sec, time.Hour, fact{5*sec - time.Millisecond, upstream.Hit}, fact{5 * sec, upstream.Asked})
	f("expires while stale", in(15*sec), 10*sec, time.Hour, fact{15*sec - time.Millisecond, upstream.Stale}, fact{15 * sec, upstream.Asked})
	f("long ago", s, 10*sec, 20*sec, fact{time.Hour, upstream.Asked})
}

func TestP1TimeCountsFromTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.delay = 4 * time.Second
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second})
		wantSession(t, c, "a", "S", upstream.Asked)
		s.set(func(s *service) { s.delay = 0 })
		s.say("a", down)
		synctest.Wait()
		if a := wantSession(t, c, "a", "S", upstream.Hit); a.Age != 4*time.Second || a.BelieveFor != 6*time.Second {
			t.Errorf("age %v, believe for %v", a.Age, a.BelieveFor)
		}
		time.Sleep(6 * time.Second)
		wantError(t, c, "a", errDown)
	})
}

// A session that the service calls good, and our clock calls over, is no session. That is not remembered: clocks differ.
func TestP1ExpiredOnArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{NegativeFor: time.Minute})
		s.say("a", yes("S", "I").expiring(time.Now()))
		wantError(t, c, "a", upstream.ErrNoSession)
		wantError(t, c, "a", upstream.ErrNoSession)
		wantQuestions(t, s, "a", 2)
		s.say("a", yes("S", "I").expiring(time.Now().Add(time.Second)))
		wantSession(t, c, "a", "S", upstream.Asked)
	})
}

func TestP1Revoked(t *testing.T) {
	revocations := map[string]func(*sessioncache.Cache){
		"session":    func(c *sessioncache.Cache) { c.RevokeSession("S") },
		"identity":   func(c *sessioncache.Cache) { c.RevokeIdentity("I") },
		"credential": func(c *sessioncache.Cache) { c.RevokeCredential(cookie("a")) },
		"flush":      (*sessioncache.Cache).Flush,
	}
	for name, revoke := range revocations {
		f := func(state string, settle func(), src upstream.Source) {
			t.Run(name+" "+state, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newService(t)
					s.say("a", yes("S", "I"))
					s.say("other", yes("T", "J"))
					c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second, StaleFor: time.Hour})
					wantSession(t, c, "a", "S", upstream.Asked)
					wantSession(t, c, "other", "T", upstream.Asked)
					settle()
					s.say("a", down) // so that a session can only come from memory
					s.say("other", down)
					wantSession(t, c, "a", "S", src)
					wantSession(t, c, "other", "T", src)
					revoke(c)
					wantError(t, c, "a", errDown)
					if name != "flush" {
						wantSession(t, c, "other", "T", src)
					}
					s.say("a", yes("S", "I"))
					wantSession(t, c, "a", "S", upstream.Asked) // the service says anew that it is good
					synctest.Wait()
					wantSession(t, c, "a", "S", upstream.Hit)
					c.RevokeSession("unrelated")
					wantSession(t, c, "a", "S", upstream.Hit)
				})
			})
		}
		f("hit", synctest.Wait, upstream.Hit)
		f("stale", func() { synctest.Wait(); time.Sleep(20 * time.Second) }, upstream.Stale)
	}
}

// Kratos issues new cookies for old sessions: one session has many credentials.
func TestP1RevokedUnderEveryCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{})
		for i := range 10 {
			s.say(fmt.Sprint(i), yes("S", "I"))
			wantSession(t, c, fmt.Sprint(i), "S", upstream.Asked)
			s.say(fmt.Sprint(i), no)
		}
		synctest.Wait()
		wantSession(t, c, "3", "S", upstream.Hit)
		c.RevokeCredential(cookie("3"))
		wantError(t, c, "3", upstream.ErrNoSession)
		wantSession(t, c, "4", "S", upstream.Hit)
		c.RevokeSession("S")
		for i := range 10 {
			wantError(t, c, fmt.Sprint(i), upstream.ErrNoSession)
		}
	})
}

// The answer to a question that began before the revocation is used for nothing: not for those who asked, not for those who come
// later, and not to fill the cache.
func TestP1RevokedInFlight(t *testing.T) {
	revocations := map[string]func(*sessioncache.Cache){
		"session":    func(c *sessioncache.Cache) { c.RevokeSession("S") },
		"identity":   func(c *sessioncache.Cache) { c.RevokeIdentity("I") },
		"credential": func(c *sessioncache.Cache) { c.RevokeCredential(cookie("a")) },
		"flush":      (*sessioncache.Cache).Flush,
	}
	for name, revoke := range revocations {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t)
				s.delay = time.Second
				s.say("a", yes("S", "I"))
				c := newCache(t, s, sessioncache.Config{NegativeFor: time.Minute})
				for range 10 {
					go wantError(t, c, "a", upstream.ErrNoSession)
				}
				synctest.Wait()
				s.say("a", no)
				revoke(c)
				for range 10 {
					go wantError(t, c, "a", upstream.ErrNoSession)
				}
				time.Sleep(10 * time.Second)
				wantQuestions(t, s, "a", 2)
				wantError(t, c, "a", upstream.ErrNoSession)
				if got := c.Stats().Lookups; got.Revoked != 20 || got.Negative != 1 {
					t.Errorf("look-ups: %+v", got)
				}
			})
		})
	}
}

// A no is overtaken by a flush as well: whoever flushes wants everything asked anew.
func TestFlushOvertakesANo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{NegativeFor: time.Minute})
		wantError(t, c, "a", upstream.ErrNoSession)
		s.say("a", yes("S", "I"))
		wantError(t, c, "a", upstream.ErrNoSession) // remembered
		c.Flush()
		wantSession(t, c, "a", "S", upstream.Asked)

		s.delay = time.Second
		ask := func() {
			a, err := c.Session(t.Context(), cookie("b"))
			checkSession(t, a, err, "T", a.Source) // whoever is first asks for the other
		}
		go ask()
		synctest.Wait()
		s.say("b", yes("T", "J"))
		c.Flush()
		go ask()
		time.Sleep(10 * time.Second)
		wantQuestions(t, s, "b", 2)
	})
}

// When each answer is revoked before it arrives, a look-up gives up in the end, and not with a no.
func TestP1RevokedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		var c *sessioncache.Cache
		s.say("a", func() (upstream.Answer, error) {
			c.RevokeIdentity("I")
			return yes("S", "I")()
		})
		c = newCache(t, s, sessioncache.Config{})
		a, err := c.Session(t.Context(), cookie("a"))
		if a.Session != nil || err == nil || upstream.Definite(err) {
			t.Errorf("got %v, %v", a.Session, err)
		}
		wantQuestions(t, s, "a", 3)
	})
}
