package sessioncache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Recall answers what a look-up would answer without a question, and asks none itself.
func TestRecall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ends := time.Now().Add(5 * time.Minute)
		s.say("a", yes("S", "I"))
		s.say("b", yes("T", "J").expiring(ends))
		s.say("c", yes("U", "K").renewing("c=d"))
		c := newCache(t, s, sessioncache.Config{FreshFor: time.Hour, StaleFor: time.Hour, NegativeFor: time.Hour})
		recalled := func(value string, want bool) {
			t.Helper()
			a, ok := c.Recall(cookie(value), time.Now())
			if ok != want || ok != (a.Session != nil) || len(a.Renewed) > 0 {
				t.Errorf("%s: %+v, %v", value, a, ok)
			}
			synctest.Wait() // for a question that nobody should have asked
		}
		for _, value := range []string{"a", "b", "c", "nobody", ""} {
			recalled(value, false)
		}
		wantQuestions(t, s, "a", 0)
		for _, value := range []string{"a", "b", "c"} {
			_, _ = c.Session(t.Context(), cookie(value))
		}
		wantError(t, c, "nobody", upstream.ErrNoSession)
		synctest.Wait()
		recalled("a", true)
		recalled("b", true)
		recalled("c", true) // the renewed cookie went to whoever asked
		recalled("nobody", false)

		time.Sleep(time.Until(ends))
		recalled("b", false)
		time.Sleep(time.Hour) // "a" is stale now
		recalled("a", false)
		wantQuestions(t, s, "a", 1)
		_, _ = c.Lookup(t.Context(), cookie("a"), 0)
		recalled("a", true)
		c.RevokeSession("S")
		recalled("a", false)
		wantQuestions(t, s, "a", 2)
	})
}
