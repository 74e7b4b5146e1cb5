package sessioncache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// An aliased service has sessions with several cookies each. A cookie is "session/alias". It decides when it is asked, and lets others
// run for a while before it answers, so that answers are overtaken by revocations all the time.
type aliased struct {
	ended [rounds]atomic.Bool
}

const (
	rounds  = 1000
	aliases = 4
)

func (s *aliased) Session(_ context.Context, c upstream.Credential) (upstream.Answer, error) {
	var n, alias int
	if _, err := fmt.Sscanf(string(c.Value), "%d/%d", &n, &alias); err != nil {
		return upstream.Answer{}, err
	}
	ended := n < rounds && s.ended[n].Load()
	for range rand.IntN(10) {
		runtime.Gosched()
	}
	if ended {
		return no()
	}
	return yes(fmt.Sprint("S", n), fmt.Sprint("I", n))()
}

// A thousand times a session ends at the service, the revocation is acknowledged, and the session is asked for through all of its
// cookies, while others never stop asking for it and the cache is full of sessions in use.
func TestP1NeverAfterARevocationReturned(t *testing.T) {
	s := new(aliased)
	c := newCache(t, s, sessioncache.Config{Size: 64, FreshFor: time.Hour, StaleFor: time.Hour})
	value := func(n int) []byte { return fmt.Appendf(nil, "%d/%d", n, rand.IntN(aliases)) }
	lookup := func(b []byte) (upstream.Answer, error) {
		return c.Session(t.Context(), upstream.Credential{Kind: upstream.Cookie, Value: b})
	}
	var current atomic.Int64
	var stop atomic.Bool
	var others sync.WaitGroup
	for range 3 {
		others.Go(func() {
			for !stop.Load() {
				_, _ = lookup(value(int(current.Load())))
				_, _ = lookup(value(rounds + rand.IntN(100))) // others, more than fit
				if rand.IntN(4) == 0 {
					c.RevokeSession(fmt.Sprint("unrelated ", rand.IntN(2000))) // so that entries are checked, and the log overflows
				}
			}
		})
	}
	served := 0
	for n := range rounds {
		current.Store(int64(n))
		for range 5 {
			if a, err := lookup(value(n)); err != nil {
				t.Errorf("round %d: %v before the revocation", n, err)
			} else if a.Source != upstream.Asked {
				served++
			}
		}
		s.ended[n].Store(true)
		switch n % 4 {
		case 0:
			c.RevokeSession(fmt.Sprint("S", n))
		case 1:
			c.RevokeIdentity(fmt.Sprint("I", n))
		case 2:
			for alias := range aliases {
				c.RevokeCredential(upstream.Credential{Kind: upstream.Cookie, Value: fmt.Appendf(nil, "%d/%d", n, alias)})
			}
		case 3:
			c.Flush()
		}
		for alias := range aliases {
			a, err := lookup(fmt.Appendf(nil, "%d/%d", n, alias))
			if !errors.Is(err, upstream.ErrNoSession) {
				t.Fatalf("round %d: got %v (%v), %v after the revocation", n, a.Session, a.Source, err)
			}
		}
	}
	stop.Store(true)
	others.Wait()
	if st := c.Stats(); served == 0 || st.Lookups.Revoked == 0 || st.Hot.Evictions+st.HotRejections == 0 {
		t.Errorf("served from memory %d times, %+v: that is not what was to be tested", served, st)
	}
}

// The log is bounded. When it overflows, the oldest revocations are forgotten, and what was asked before them is asked again, whether
// it was revoked or not. What was asked after them stays.
func TestLogOverflowRaisesTheFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("revoked", yes("S", "I"))
		s.say("before", yes("T", "J"))
		s.say("after", yes("U", "K"))
		c := newCache(t, s, sessioncache.Config{Size: 1, FreshFor: time.Hour})
		wantSession(t, c, "revoked", "S", upstream.Asked)
		wantSession(t, c, "before", "T", upstream.Asked)
		c.RevokeSession("S")
		wantSession(t, c, "after", "U", upstream.Asked)
		s.say("revoked", no)
		size := c.Stats().Revocations.Capacity
		for i := range size - 1 {
			c.RevokeSession(fmt.Sprint("unknown ", i))
		}
		wantCached(t, c, s, "before", "T") // the log is full, nothing is forgotten yet
		c.RevokeSession("unknown 0")
		wantCached(t, c, s, "before", "T") // nor by revoking the same again
		c.RevokeSession("one more")
		if st := c.Stats().Revocations; st.Entries != size || st.Evictions != 1 {
			t.Errorf("revocations: %+v", st)
		}
		wantSession(t, c, "before", "T", upstream.Asked)
		wantCached(t, c, s, "after", "U")
		wantError(t, c, "revoked", upstream.ErrNoSession)
	})
}

// Revoking again makes a revocation the newest, and so the last to be forgotten.
func TestLogForgetsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		s.say("b", yes("T", "J"))
		c := newCache(t, s, sessioncache.Config{Size: 1, FreshFor: time.Hour})
		size := c.Stats().Revocations.Capacity
		c.RevokeSession("X")
		wantSession(t, c, "a", "S", upstream.Asked)
		for i := range size - 1 {
			c.RevokeSession(fmt.Sprint("unknown ", i))
		}
		c.RevokeSession("X")
		wantSession(t, c, "b", "T", upstream.Asked)
		c.RevokeSession("one more") // "unknown 0" is forgotten, which was revoked after a was asked
		wantSession(t, c, "a", "S", upstream.Asked)
		wantCached(t, c, s, "b", "T")
	})
}

// Looking a revocation up does not make it newer: it is forgotten in its turn, and takes nothing along that was asked after it.
func TestLogForgetsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{Size: 1, FreshFor: time.Hour})
		c.RevokeSession("S")
		wantSession(t, c, "a", "S", upstream.Asked)
		for i := range c.Stats().Revocations.Capacity {
			c.RevokeSession(fmt.Sprint("unknown ", i))
			wantCached(t, c, s, "a", "S") // looks for S in the log each time
		}
		c.RevokeSession("one more") // "unknown 0" is forgotten
		wantSession(t, c, "a", "S", upstream.Asked)
	})
}

// wantCached looks up value and fails the test unless the session is served without a question.
func wantCached(t *testing.T, c *sessioncache.Cache, s *service, value, id string) {
	t.Helper()
	n := s.questions(value)
	a, err := c.Session(t.Context(), cookie(value))
	checkSession(t, a, err, id, a.Source)
	wantQuestions(t, s, value, n)
}

// An id is an id of something: of a session, or of an identity.
func TestRevocationsHaveATarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("X", "Y"))
		c := newCache(t, s, sessioncache.Config{})
		wantSession(t, c, "a", "X", upstream.Asked)
		synctest.Wait()
		c.RevokeIdentity("X")
		c.RevokeSession("Y")
		c.RevokeSession("")
		c.RevokeCredential(upstream.Credential{Kind: upstream.Bearer, Name: "session", Value: []byte("a")})
		c.RevokeCredential(cookie("X"))
		wantSession(t, c, "a", "X", upstream.Hit)
	})
}
