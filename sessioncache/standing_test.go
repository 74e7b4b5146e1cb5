package sessioncache_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// Who goes on relying on an answer learns of the revocations that concern it, and of no others, without a question.
func TestRevokedSince(t *testing.T) {
	f := func(name string, want bool, revoke func(*sessioncache.Cache)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.say("a", yes("S", "I"))
			c := newCache(t, s, sessioncache.Config{})
			c.RevokeSession("S") // before it began
			mark := c.LatestRevocation()
			session := wantSession(t, c, "a", "S", upstream.Asked).Session
			if c.RevokedSince(mark, cookie("a"), session) {
				t.Error("revoked from the beginning")
			}
			revoke(c)
			if c.LatestRevocation() == mark {
				t.Error("the revocation has no number")
			}
			if got := c.RevokedSince(mark, cookie("a"), session); got != want {
				t.Errorf("revoked: %v, want %v", got, want)
			}
			if c.RevokedSince(c.LatestRevocation(), cookie("a"), session) {
				t.Error("revoked since the latest revocation")
			}
			wantQuestions(t, s, "a", 1)
		})
	}
	f("session", true, func(c *sessioncache.Cache) { c.RevokeSession("S") })
	f("identity", true, func(c *sessioncache.Cache) { c.RevokeIdentity("I") })
	f("credential", true, func(c *sessioncache.Cache) { c.RevokeCredential(cookie("a")) })
	f("everything", true, func(c *sessioncache.Cache) { c.Flush() })
	f("another session", false, func(c *sessioncache.Cache) { c.RevokeSession("T") })
	f("another identity", false, func(c *sessioncache.Cache) { c.RevokeIdentity("S") })
	f("another credential", false, func(c *sessioncache.Cache) { c.RevokeCredential(cookie("S")) })
}

// An answer says how long it may be believed, wherever it comes from: as long as it stays fresh.
func TestBelieveForIsWhatIsLeft(t *testing.T) {
	f := func(name string, service, fresh, want time.Duration) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t)
				s.delay = time.Second
				s.say("a", yes("S", "I").believedFor(service))
				c := newCache(t, s, sessioncache.Config{FreshFor: fresh})
				if a := wantSession(t, c, "a", "S", upstream.Asked); a.BelieveFor != want {
					t.Errorf("believe for %v, want %v", a.BelieveFor, want)
				}
			})
		})
	}
	f("no bound", upstream.Unlimited, 30*time.Second, 29*time.Second)
	f("less than we would", 5*time.Second, 30*time.Second, 4*time.Second)
	f("more than we would", time.Hour, 30*time.Second, 29*time.Second)
	f("over on arrival", 100*time.Millisecond, 30*time.Second, 0)
	f("for the moment only", 0, 30*time.Second, 0)
}

// A renewed cookie is never spent on a caller who cannot pass it on: not when that caller began the question, and not when the answer is
// remembered. The next one who can gets it.
func TestUnattendedLeavesTheRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I").renewing("session=new"))
		c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second})
		unattended := func(src upstream.Source) {
			t.Helper()
			a, err := c.Unattended().Lookup(t.Context(), cookie("a"), upstream.Unlimited)
			checkSession(t, a, err, "S", src)
			if a.Renewed != nil {
				t.Errorf("renewed is %q", a.Renewed)
			}
		}
		unattended(upstream.Asked)
		for range 5 { // nor does it insist on an answer that has no use for it
			time.Sleep(time.Second)
			unattended(upstream.Hit)
		}
		wantQuestions(t, s, "a", 1)
		if a := wantSession(t, c, "a", "S", upstream.Asked); !slices.Equal(a.Renewed, upstreamtest.SetCookie("session=new")) {
			t.Errorf("renewed is %q", a.Renewed)
		}
		wantQuestions(t, s, "a", 2)

		time.Sleep(10 * time.Second)
		s.set(func(s *service) { s.delay = time.Second })
		go func() {
			time.Sleep(time.Millisecond)
			if a := wantSession(t, c, "a", "S", upstream.Coalesced); len(a.Renewed) != 1 {
				t.Errorf("renewed is %q", a.Renewed)
			}
		}()
		unattended(upstream.Asked)
		synctest.Wait()
		time.Sleep(2 * time.Second)
		wantSession(t, c, "a", "S", upstream.Hit)
		wantQuestions(t, s, "a", 3)
	})
}
