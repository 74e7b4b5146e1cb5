package sessioncache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func TestNoCredentialIsNoQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{})
		for _, cred := range []upstream.Credential{{}, {Kind: upstream.Bearer}, {Value: []byte("a")}, cookie("")} {
			a, err := c.Session(t.Context(), cred)
			checkError(t, a, err, upstream.ErrNoSession)
		}
		wantQuestions(t, s, "", 0)
		if got := c.Stats().Lookups; got != (sessioncache.Lookups{}) {
			t.Errorf("look-ups: %+v", got)
		}
	})
}

// The memory of a credential belongs to the request; the question outlives it.
func TestValueIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("aaaa", yes("S", "I"))
		c := newCache(t, storeFunc(func(ctx context.Context, cred upstream.Credential) (upstream.Answer, error) {
			time.Sleep(time.Second)
			return s.Session(ctx, cred)
		}), sessioncache.Config{})
		cred := cookie("aaaa")
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := c.Session(ctx, cred)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		copy(cred.Value, "bbbb")
		time.Sleep(time.Second)
		synctest.Wait()
		wantSession(t, c, "aaaa", "S", upstream.Hit)
		wantQuestions(t, s, "bbbb", 0)
	})
}

// The first of those who wait hangs up: the others get the answer, and it is remembered even if all hang up.
func TestWhoLeavesFailsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.delay = time.Second
		s.say("a", yes("S", "I"))
		s.say("b", yes("T", "I"))
		c := newCache(t, s, sessioncache.Config{})
		first, hangUp := context.WithCancel(t.Context())
		leave := func(value string) {
			a, err := c.Session(first, cookie(value))
			checkError(t, a, err, context.Canceled)
			if upstream.Definite(err) {
				t.Errorf("%v is a definite no", err)
			}
		}
		go leave("a")
		go leave("b")
		synctest.Wait()
		for range 10 {
			go wantSession(t, c, "a", "S", upstream.Coalesced)
		}
		synctest.Wait()
		hangUp()
		time.Sleep(2 * time.Second)
		wantSession(t, c, "a", "S", upstream.Hit)
		wantSession(t, c, "b", "T", upstream.Hit)
		wantQuestions(t, s, "", 2)
		if got := c.Stats().Lookups; got.Coalesced != 10 || got.Error != 2 || got.Hit != 2 {
			t.Errorf("look-ups: %+v", got)
		}
	})
}

// A renewed cookie reaches everybody who waited for the question that brought it, and nobody else.
func TestRenewedReachesTheFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.delay = time.Second
		s.say("a", yes("S", "I").renewing("session=new"))
		c := newCache(t, s, sessioncache.Config{})
		var mu sync.Mutex
		var got [][]string
		for range 10 {
			go func() {
				a, err := c.Session(t.Context(), cookie("a"))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got = append(got, a.Renewed)
			}()
		}
		time.Sleep(2 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(got) != 10 {
			t.Fatalf("%d answers", len(got))
		}
		for _, lines := range got {
			if !slices.Equal(lines, []string{"session=new"}) {
				t.Errorf("renewed is %q", lines)
			}
			lines[0] = "" // what one caller does with them is no concern of the others
		}
		for range 3 {
			if a := wantSession(t, c, "a", "S", upstream.Hit); a.Renewed != nil {
				t.Errorf("renewed is remembered: %q", a.Renewed)
			}
			time.Sleep(5 * time.Second)
		}
		wantQuestions(t, s, "a", 1)
	})
}

// A question in the background has nobody to give a renewed cookie to. So the next caller asks in the foreground.
func TestRenewedInTheBackgroundIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second, StaleFor: time.Minute})
		wantSession(t, c, "a", "S", upstream.Asked)
		time.Sleep(10 * time.Second)
		s.say("a", yes("S", "I").renewing("session=new"))
		wantSession(t, c, "a", "S", upstream.Stale)
		synctest.Wait()
		wantQuestions(t, s, "a", 2)
		wantSession(t, c, "a", "S", upstream.Hit) // within the second
		time.Sleep(time.Second)

		// The service is down just now: the session is good, so it is served, and the cookie waits.
		s.say("a", down)
		wantSession(t, c, "a", "S", upstream.Hit)
		wantSession(t, c, "a", "S", upstream.Hit)
		wantQuestions(t, s, "a", 3)
		time.Sleep(time.Second)

		s.say("a", yes("S", "I").renewing("session=new"))
		if a := wantSession(t, c, "a", "S", upstream.Asked); !slices.Equal(a.Renewed, []string{"session=new"}) {
			t.Errorf("renewed is %q", a.Renewed)
		}
		synctest.Wait()
		time.Sleep(2 * time.Second)
		wantSession(t, c, "a", "S", upstream.Hit)
		wantQuestions(t, s, "a", 4)
	})
}

// The same when the caller hangs up before the answer comes, and when somebody joins a question in the background.
func TestRenewedWhenCallersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.delay = time.Second
		s.say("a", yes("S", "I").renewing("session=new"))
		c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second, StaleFor: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, _ = c.Session(ctx, cookie("a"))
		time.Sleep(2 * time.Second)
		a := wantSession(t, c, "a", "S", upstream.Asked)
		if len(a.Renewed) != 1 {
			t.Errorf("renewed is %q", a.Renewed)
		}

		time.Sleep(20 * time.Second)
		wantSession(t, c, "a", "S", upstream.Stale) // begins a question in the background
		a, err := c.Lookup(t.Context(), cookie("a"), 0)
		checkSession(t, a, err, "S", upstream.Coalesced)
		if len(a.Renewed) != 1 {
			t.Errorf("renewed is %q", a.Renewed)
		}
		time.Sleep(2 * time.Second)
		wantSession(t, c, "a", "S", upstream.Hit)
		wantQuestions(t, s, "a", 3)
	})
}

func TestStaleForZeroNeverServesStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second})
		for range 3 {
			wantSession(t, c, "a", "S", upstream.Asked)
			time.Sleep(10 * time.Second)
		}
		wantQuestions(t, s, "a", 3)
	})
}

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
		want(0, upstream.Hit) // asked less than a second ago
		time.Sleep(10 * time.Second)
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

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second, StaleFor: time.Hour})
		wantSession(t, c, "a", "S", upstream.Asked)
		s.set(func(s *service) { s.hold = make(chan struct{}) })
		for range 10 {
			go func() {
				a, err := c.Session(t.Context(), cookie("b"))
				checkError(t, a, err, context.Canceled)
			}()
		}
		time.Sleep(20 * time.Second)
		wantSession(t, c, "a", "S", upstream.Stale) // a question in the background
		synctest.Wait()
		c.Close()
		c.Close()
		n := s.questions("")
		if a, err := c.Session(t.Context(), cookie("c")); err == nil || upstream.Definite(err) {
			t.Errorf("got %v, %v after Close", a.Session, err)
		}
		time.Sleep(time.Second)
		_, _ = c.Session(t.Context(), cookie("a"))
		c.RevokeSession("S")
		c.Flush()
		_ = c.Stats()
		wantQuestions(t, s, "", n)
	})
}

// For the race detector: everything at once, while the cache is closed.
func TestCloseWhileInUse(t *testing.T) {
	for range 30 {
		s := newService(t)
		for i := range 50 {
			s.say(fmt.Sprint(i), yes(fmt.Sprint("S", i), "I"))
		}
		c := newCache(t, s, sessioncache.Config{Size: 10, FreshFor: 100 * time.Millisecond, StaleFor: time.Hour, NegativeFor: time.Second})
		var users, started sync.WaitGroup
		for range 8 {
			started.Add(1)
			users.Go(func() {
				started.Done()
				for i := range 500 {
					switch value := fmt.Sprint(rand.IntN(60)); rand.IntN(20) {
					case 0:
						c.RevokeSession("S" + value)
					case 1:
						c.RevokeCredential(cookie(value))
					case 2:
						_ = c.Stats()
					case 3:
						if i%50 == 0 {
							c.Flush()
						}
					default:
						_, _ = c.Lookup(t.Context(), cookie(value), time.Duration(rand.IntN(2))*time.Hour)
					}
				}
			})
		}
		started.Wait()
		c.Close()
		users.Wait()
	}
}
