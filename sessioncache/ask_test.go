package sessioncache_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

var _ upstream.Store = (*sessioncache.Cache)(nil)

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
		var got [][]upstream.Field
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
			if !slices.Equal(lines, upstreamtest.SetCookie("session=new")) {
				t.Errorf("renewed is %q", lines)
			}
			lines[0].Value = "" // what one caller does with them is no concern of the others
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
		if a := wantSession(t, c, "a", "S", upstream.Asked); !slices.Equal(a.Renewed, upstreamtest.SetCookie("session=new")) {
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
