package sessioncache_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Whoever has one valid cookie can send it with others of the same name, and each time it is another credential. However many there are,
// they push nobody out, neither those with one cookie nor those with two, they stay few, and their end is noted a few times only.
func TestOneSessionInManyCookiesPushesNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, variations = 1000, 100_000
		s := newService(t)
		mallory := yes("mallory", "M")
		c := newCache(t, storeFunc(func(ctx context.Context, cred upstream.Credential) (upstream.Answer, error) {
			if len(cred.Value) > 8 && string(cred.Value[:8]) == "mallory;" {
				return mallory()
			}
			return s.Session(ctx, cred)
		}), sessioncache.Config{Size: n, FreshFor: time.Hour, NegativeFor: time.Minute})
		for i := range n {
			s.say(fmt.Sprint(i), yes(fmt.Sprint("S", i), "I"))
			wantSession(t, c, fmt.Sprint(i), fmt.Sprint("S", i), upstream.Asked)
		}
		for i := range 50 {
			value := fmt.Sprintf("old%d;new%d", i, i)
			s.say(value, yes(fmt.Sprint("J", i), "I"))
			wantSession(t, c, value, fmt.Sprint("J", i), upstream.Asked)
		}
		synctest.Wait()
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range variations {
			wantSession(t, c, fmt.Sprint("mallory;", i), "mallory", upstream.Asked)
		}
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
			t.Errorf("the heap has grown by %d bytes", grown)
		}
		for i := range n {
			wantSession(t, c, fmt.Sprint(i), fmt.Sprint("S", i), upstream.Hit)
		}
		for i := range 50 {
			wantSession(t, c, fmt.Sprintf("old%d;new%d", i, i), fmt.Sprint("J", i), upstream.WindowHit)
		}
		for i := variations - 4; i < variations; i++ {
			wantSession(t, c, fmt.Sprint("mallory;", i), "mallory", upstream.WindowHit)
		}
		if st := c.Stats(); st.Hot.Evictions != 0 || st.Joined.Entries != 54 || st.Joined.Evictions != variations-4 {
			t.Errorf("hot %+v joined %+v", st.Hot, st.Joined)
		}

		// Revoked by its id, the session is gone in every form.
		c.RevokeSession("mallory")
		mallory = no
		for i := range variations {
			wantError(t, c, fmt.Sprint("mallory;", i), upstream.ErrNoSession)
		}
		if r := c.Stats().Revocations; r.Entries != 1 {
			t.Errorf("%d revocations were noted", r.Entries)
		}
	})
}

// When the service ends the session of many cookies, the log of revocations learns of those only that were held.
func TestEndOfOneSessionInManyCookiesIsNotedAFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := yes("mallory", "M")
		c := newCache(t, storeFunc(func(context.Context, upstream.Credential) (upstream.Answer, error) { return answer() }),
			sessioncache.Config{FreshFor: time.Second, StaleFor: time.Hour})
		for i := range 1000 {
			wantSession(t, c, fmt.Sprint("mallory;", i), "mallory", upstream.Asked)
		}
		answer = no
		time.Sleep(time.Minute)
		for range 2 {
			for i := range 1000 {
				_, _ = c.Session(t.Context(), cookie(fmt.Sprint("mallory;", i)))
			}
			synctest.Wait()
			time.Sleep(2 * time.Second)
		}
		for i := range 1000 {
			wantError(t, c, fmt.Sprint("mallory;", i), upstream.ErrNoSession)
		}
		if r := c.Stats().Revocations; r.Entries != 4 {
			t.Errorf("%d ends were noted, want 4", r.Entries)
		}
	})
}

// Several cookies that are one credential are remembered, renewed in the background, and forgotten, like any other.
func TestJoinedCookiesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{FreshFor: time.Minute, StaleFor: time.Hour})
		s.say("a;b", yes("S", "I"))
		wantSession(t, c, "a;b", "S", upstream.Asked)
		for range 10 {
			wantSession(t, c, "a;b", "S", upstream.WindowHit)
		}
		time.Sleep(2 * time.Minute)
		wantSession(t, c, "a;b", "S", upstream.Stale)
		synctest.Wait()
		wantSession(t, c, "a;b", "S", upstream.WindowHit)
		wantQuestions(t, s, "a;b", 2)
		c.Flush()
		wantSession(t, c, "a;b", "S", upstream.Asked)
		c.RevokeIdentity("I")
		wantSession(t, c, "a;b", "S", upstream.Asked)
		if hot := c.Stats().Hot; hot.Entries != 0 {
			t.Errorf("%d are in the hot table", hot.Entries)
		}
	})
}

// Who is known is asked about by a way of their own: renewals and doubts, but not what was never seen, or has been revoked.
func TestKnownSessionsAreAskedAboutApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		strangers, known := newService(t), newService(t)
		c := newCache(t, strangers, sessioncache.Config{FreshFor: time.Minute, StaleFor: time.Hour, Known: known})
		for _, s := range []*service{strangers, known} {
			s.say("alice", yes("S", "I"))
		}
		f := func(source upstream.Source, asked, renewed int) {
			t.Helper()
			wantSession(t, c, "alice", "S", source)
			synctest.Wait()
			wantQuestions(t, strangers, "", asked)
			wantQuestions(t, known, "", renewed)
		}
		f(upstream.Asked, 1, 0)
		f(upstream.Hit, 1, 0)
		time.Sleep(2 * time.Minute)
		f(upstream.Stale, 1, 1)
		time.Sleep(62 * time.Minute) // it can no longer be served, and is still held
		f(upstream.Asked, 1, 2)
		c.RevokeSession("S")
		f(upstream.Asked, 2, 2)
		time.Sleep(3 * time.Hour) // it is not held any more
		f(upstream.Asked, 3, 2)
		wantError(t, c, "mallory", upstream.ErrNoSession)
		wantQuestions(t, strangers, "mallory", 1)
	})
}
