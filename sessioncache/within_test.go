package sessioncache_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: time.Hour, NegativeFor: time.Hour})
		want := func(within time.Duration, src upstream.Source) upstream.Answer {
			t.Helper()
			a, err := c.Lookup(t.Context(), cookie("a"), within)
			checkSession(t, a, err, "S", src)
			if a.Age > max(within, time.Second) && src != upstream.Asked {
				t.Errorf("age is %v, want at most %v", a.Age, within)
			}
			synctest.Wait()
			return a
		}
		want(0, upstream.Asked)
		want(0, upstream.Hit)
		time.Sleep(999 * time.Millisecond)
		want(0, upstream.Hit) // asked less than a second ago
		time.Sleep(10*time.Second - 999*time.Millisecond)
		want(upstream.Unlimited, upstream.Hit)
		want(10*time.Second, upstream.Hit)
		want(9*time.Second, upstream.Asked)
		want(9*time.Second, upstream.Hit)
		time.Sleep(time.Second)
		want(0, upstream.Asked)
		time.Sleep(time.Second)
		want(-time.Hour, upstream.Asked)
		wantQuestions(t, s, "a", 4)

		// If no answer can be had, an older one does not stand in; but it stays.
		time.Sleep(10 * time.Second)
		s.say("a", down)
		a, err := c.Lookup(t.Context(), cookie("a"), 0)
		checkError(t, a, err, errDown)
		want(upstream.Unlimited, upstream.Hit)

		// What is remembered of unknown credentials has an age, too.
		wantError(t, c, "b", upstream.ErrNoSession)
		s.say("b", yes("T", "J"))
		time.Sleep(time.Second)
		a, err = c.Lookup(t.Context(), cookie("b"), time.Minute)
		checkError(t, a, err, upstream.ErrNoSession)
		a, err = c.Lookup(t.Context(), cookie("b"), 0)
		checkError(t, a, err, upstream.ErrNoSession)
		time.Sleep(time.Millisecond)
		a, err = c.Lookup(t.Context(), cookie("b"), 0)
		checkSession(t, a, err, "T", upstream.Asked)
	})
}

// Who has been told that a session lacks something comes back with a better one, perhaps at once, and is not told the same from memory.
// But that is no way to have the service asked without bound.
func TestWithinBelowZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: time.Hour})
		want := func(src upstream.Source) {
			t.Helper()
			a, err := c.Lookup(t.Context(), cookie("a"), -1)
			checkSession(t, a, err, "S", src)
			synctest.Wait()
		}
		want(upstream.Asked)
		for range 4 {
			want(upstream.Asked)
		}
		want(upstream.Hit)
		time.Sleep(999 * time.Millisecond)
		want(upstream.Hit)
		time.Sleep(time.Millisecond)
		want(upstream.Asked)
		want(upstream.Hit)
		wantQuestions(t, s, "a", 6)
	})
}

// However many insist on an answer about one session, and through however many cookies, the service is asked once a second.
func TestForcedQuestionsOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{FreshFor: time.Hour})
		for i := range 10 {
			s.say(fmt.Sprint(i), yes("S", "I"))
			wantSession(t, c, fmt.Sprint(i), "S", upstream.Asked)
		}
		s.say("other", yes("T", "J"))
		wantSession(t, c, "other", "T", upstream.Asked)
		time.Sleep(10 * time.Second)
		before := s.questions("")
		for range 1000 { // ten seconds
			for range 10 {
				go func() {
					a, err := c.Lookup(t.Context(), cookie(fmt.Sprint(rand.IntN(10))), 0)
					checkSession(t, a, err, "S", a.Source)
				}()
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := s.questions("") - before; n != 10 {
			t.Errorf("the service was asked %d times in 10 seconds", n)
		}
		a, err := c.Lookup(t.Context(), cookie("other"), 0)
		checkSession(t, a, err, "T", upstream.Asked)
	})
}

// Who insists joins a question that is under way, rather than getting an old answer because he may not ask.
func TestForcedJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: time.Hour})
		wantSession(t, c, "a", "S", upstream.Asked)
		time.Sleep(time.Minute)
		s.set(func(s *service) { s.delay = 500 * time.Millisecond })
		sources := make(chan upstream.Source)
		for range 10 {
			go func() {
				a, err := c.Lookup(t.Context(), cookie("a"), 0)
				checkSession(t, a, err, "S", a.Source)
				sources <- a.Source
			}()
		}
		count := map[upstream.Source]int{}
		for range 10 {
			count[<-sources]++
		}
		if count[upstream.Asked] != 1 || count[upstream.Coalesced] != 9 {
			t.Errorf("sources: %v", count)
		}
		wantQuestions(t, s, "a", 2)
	})
}

// A question that has been under way for long is not news to someone who wants to know now.
func TestForcedDoesNotAcceptAnOldQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.delay = 5 * time.Second
		s.say("a", yes("before", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: time.Hour})
		go wantSession(t, c, "a", "before", upstream.Asked)
		time.Sleep(3 * time.Second)
		s.say("a", yes("after", "I"))
		go wantSession(t, c, "a", "before", upstream.Coalesced)
		a, err := c.Lookup(t.Context(), cookie("a"), 0)
		checkSession(t, a, err, "after", upstream.Asked)
		wantQuestions(t, s, "a", 2)
		if got := c.Stats().Lookups.Revoked; got != 0 {
			t.Errorf("%d look-ups counted as revoked", got)
		}
	})
}

// Who insisted, waited, and found the session revoked does not get the old answer because of the rate limit.
func TestForcedAndRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: time.Hour, StaleFor: time.Hour})
		wantSession(t, c, "a", "S", upstream.Asked)
		time.Sleep(time.Minute)
		s.set(func(s *service) { s.delay = 500 * time.Millisecond })
		for range 10 {
			go func() {
				a, err := c.Lookup(t.Context(), cookie("a"), 0)
				checkError(t, a, err, upstream.ErrNoSession)
			}()
		}
		synctest.Wait()
		s.say("a", no)
		c.RevokeSession("S")
		time.Sleep(time.Minute)
		wantQuestions(t, s, "a", 3)
	})
}

// The service insists that an answer is for the moment only. It must not bring back what was remembered before.
func TestForTheMomentOnlyReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: time.Hour})
		wantSession(t, c, "a", "S", upstream.Asked)
		time.Sleep(time.Minute)
		s.say("a", yes("S", "I").believedFor(0))
		a, err := c.Lookup(t.Context(), cookie("a"), 0)
		checkSession(t, a, err, "S", upstream.Asked)
		for range 3 {
			wantSession(t, c, "a", "S", upstream.Asked)
		}
	})
}

// TestNothingOlderIsRemembered holds that when an answer cannot be remembered, what was known before it is not served any more.
func TestNothingOlderIsRemembered(t *testing.T) {
	f := func(before, after reply) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s := newService(t)
			broken := false
			c := newCache(t, s, sessioncache.Config{FreshFor: time.Hour, NegativeFor: time.Hour, Prepare: func(s *upstream.Session) {
				if broken {
					s.SetMemo(explosive{})
				}
			}})
			s.say("a", before)
			_, _ = c.Lookup(t.Context(), cookie("a"), upstream.Unlimited)
			time.Sleep(2 * time.Second)
			_, _ = c.Lookup(t.Context(), cookie("a"), upstream.Unlimited)
			synctest.Wait()
			s.say("a", after)
			broken = true
			for range 2 {
				a, err := c.Lookup(t.Context(), cookie("a"), 0)
				checkSession(t, a, err, "T", upstream.Asked)
				synctest.Wait()
			}
			a, err := c.Lookup(t.Context(), cookie("a"), upstream.Unlimited)
			checkSession(t, a, err, "T", upstream.Asked)
		})
	}
	f(yes("S", "I"), yes("T", "I"))
	f(no, yes("T", "I"))
}

// An explosive memo cannot be remembered.
type explosive struct{}

func (explosive) AppendFolded([]byte) []byte { panic("no") }
