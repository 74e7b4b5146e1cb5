package sessioncache_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func TestP2NoTwoCredentialsShareAnEntry(t *testing.T) {
	credential := func(kind upstream.Kind, name, value string) upstream.Credential {
		return upstream.Credential{Kind: kind, Name: name, Value: []byte(value)}
	}
	long := strings.Repeat("x", 5000)
	different := []upstream.Credential{
		credential(upstream.Cookie, "session", "T"),
		credential(upstream.Bearer, "", "T"),
		credential(upstream.Bearer, "session", "T"),
		credential(upstream.SessionToken, "session", "T"),
		credential(upstream.Cookie, "sessionT", "T"),
		credential(upstream.Cookie, "sessio", "nT"),
		credential(upstream.Cookie, "", "sessionT"),
		credential(upstream.Cookie, "session\x01", "T"),
		credential(upstream.Cookie, "session", "\x01T"),
		credential(upstream.Cookie, "session", "T\x00"),
		credential(upstream.Cookie, "session", "t"),
		credential(upstream.Cookie, "session", long),
		credential(upstream.Cookie, "session", long+"x"),
		credential(upstream.Cookie, "session", long[1:]+"y"),
	}
	synctest.Test(t, func(t *testing.T) {
		id := func(c upstream.Credential) string { return c.Kind.String() + "|" + c.Name + "|" + string(c.Value) }
		asked := 0
		c := newCache(t, storeFunc(func(_ context.Context, c upstream.Credential) (upstream.Answer, error) {
			asked++
			return yes(id(c), "I")()
		}), sessioncache.Config{Service: "http://kratos"})
		for range 3 {
			for _, cred := range different {
				a, err := c.Session(t.Context(), cred)
				if err != nil || a.Session.ID != id(cred) {
					t.Errorf("%s: got %v, %v", id(cred), a.Session, err)
				}
			}
			synctest.Wait()
		}
		if asked != len(different) {
			t.Errorf("asked %d times about %d credentials", asked, len(different))
		}
	})
}

func TestP3OneQuestionForTenThousand(t *testing.T) {
	f := func(name string, r reply, check func(upstream.Answer, error) bool, cfg sessioncache.Config) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t)
				s.delay = 100 * time.Millisecond
				s.say("a", r)
				c := newCache(t, s, cfg)
				for range 10_000 {
					go func() {
						if a, err := c.Session(t.Context(), cookie("a")); !check(a, err) {
							t.Errorf("got %v, %v", a.Session, err)
						}
					}()
				}
				time.Sleep(time.Second)
				wantQuestions(t, s, "a", 1)
				if got := c.Stats().Lookups; got.Miss+got.Error+got.Coalesced != 10_000 {
					t.Errorf("look-ups: %+v", got)
				}
			})
		})
	}
	session := func(a upstream.Answer, err error) bool { return err == nil && a.Session.ID == "S" }
	f("session", yes("S", "I"), session, sessioncache.Config{})
	f("session that must not be remembered", yes("S", "I").believedFor(0), session, sessioncache.Config{})
	f("no session", no, func(_ upstream.Answer, err error) bool { return errors.Is(err, upstream.ErrNoSession) }, sessioncache.Config{})
	f("outage", down, func(_ upstream.Answer, err error) bool { return errors.Is(err, errDown) }, sessioncache.Config{})
}

// The same without a delay and without fake time: look-ups that are a little late must find what the first one brought.
func TestP3OneQuestionWithLateComers(t *testing.T) {
	for range 200 {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{NegativeFor: time.Hour})
		done := make(chan struct{})
		const n = 32
		for range n {
			go func() {
				defer func() { done <- struct{}{} }()
				if _, err := c.Session(t.Context(), cookie("a")); err != nil {
					t.Error(err)
				}
				if _, err := c.Session(t.Context(), cookie("unknown")); !errors.Is(err, upstream.ErrNoSession) {
					t.Error(err)
				}
			}()
		}
		for range n {
			<-done
		}
		wantQuestions(t, s, "a", 1)
		wantQuestions(t, s, "unknown", 1)
		c.Close()
	}
}

// A question in the background is a question: while it is under way, no other begins.
func TestP3OneQuestionInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second, StaleFor: time.Hour})
		wantSession(t, c, "a", "S", upstream.Asked)
		time.Sleep(10 * time.Second)
		s.set(func(s *service) { s.delay = 5 * time.Second })
		for range 49 {
			wantSession(t, c, "a", "S", upstream.Stale)
			time.Sleep(100 * time.Millisecond)
		}
		wantQuestions(t, s, "a", 2)
	})
}

func TestP4OutageIsNeverRemembered(t *testing.T) {
	f := func(name string, r reply) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t)
				c := newCache(t, s, sessioncache.Config{StaleFor: time.Hour, NegativeFor: time.Hour})
				s.say("a", r)
				for range 3 {
					if a, err := c.Session(t.Context(), cookie("a")); err == nil || upstream.Definite(err) || a.Session != nil {
						t.Errorf("got %v, %v; want an outage", a.Session, err)
					}
				}
				wantQuestions(t, s, "a", 3)
				s.say("a", yes("S", "I"))
				wantSession(t, c, "a", "S", upstream.Asked)
			})
		})
	}
	f("error", down)
	f("timeout", fails(context.DeadlineExceeded))
	f("nothing at all", func() (upstream.Answer, error) { return upstream.Answer{}, nil })
	f("no id", yes("", "I"))
	f("no identity", yes("S", ""))
	f("panic", func() (upstream.Answer, error) { panic("oh") })
	f("panic of the runtime", func() (upstream.Answer, error) { var s *upstream.Session; _ = s.ID; return upstream.Answer{}, nil })
	f("panic with a no", func() (upstream.Answer, error) { panic(upstream.ErrNoSession) })
	f("end of the goroutine", func() (upstream.Answer, error) { runtime.Goexit(); return upstream.Answer{}, nil })
}

// An outage leaves what is remembered alone, and a stale session stands in.
func TestP4StaleStandsInForAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second, StaleFor: time.Minute})
		wantSession(t, c, "a", "S", upstream.Asked)
		time.Sleep(10 * time.Second)
		s.say("a", down)
		for range 590 { // nearly a minute, ten look-ups a second
			wantSession(t, c, "a", "S", upstream.Stale)
			time.Sleep(100 * time.Millisecond)
		}
		wantQuestions(t, s, "a", 1+59) // one a second in the background
		s.say("a", yes("S", "I"))
		wantSession(t, c, "a", "S", upstream.Stale)
		synctest.Wait()
		wantSession(t, c, "a", "S", upstream.Hit)
	})
}

func TestP4NoIsNeverServedStale(t *testing.T) {
	f := func(name string, r reply, want error) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t)
				s.say("a", yes("S", "I"))
				c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second, StaleFor: time.Hour, NegativeFor: time.Second})
				wantSession(t, c, "a", "S", upstream.Asked)
				synctest.Wait()
				time.Sleep(20 * time.Second)
				s.say("a", r)
				wantSession(t, c, "a", "S", upstream.Stale) // the service has not said no yet
				synctest.Wait()                             // now it has
				_, err := c.Session(t.Context(), cookie("a"))
				if !upstream.Definite(err) {
					t.Errorf("got %v, want a definite no", err)
				}
				time.Sleep(10 * time.Second)
				s.say("a", down)
				wantError(t, c, "a", errDown) // the no is forgotten, and the session does not come back
			})
		})
	}
	f("no session", no, upstream.ErrNoSession)
	f("refusal", refuses, nil)
	f("expired", yes("S", "I").expiring(time.Unix(1, 0)), upstream.ErrNoSession)
}

// The same for a session that is still fresh, when somebody wants to know it now.
func TestP4NoEndsAFreshSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: time.Hour})
		wantSession(t, c, "a", "S", upstream.Asked)
		time.Sleep(time.Minute)
		s.say("a", refuses)
		a, err := c.Lookup(t.Context(), cookie("a"), 0)
		if _, ok := errors.AsType[*upstream.Refusal](err); !ok || a.Session != nil {
			t.Errorf("got %v, %v; want a refusal", a.Session, err)
		}
		s.say("a", down)
		wantError(t, c, "a", errDown)
	})
}

func TestP4RefusalIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{NegativeFor: time.Hour, StaleFor: time.Hour})
		s.say("a", refuses)
		for range 3 {
			_, err := c.Session(t.Context(), cookie("a"))
			if r, ok := errors.AsType[*upstream.Refusal](err); !ok || r.ErrorID != "session_aal2_required" {
				t.Errorf("got %v, want the refusal as it is", err)
			}
		}
		wantQuestions(t, s, "a", 3)
		s.say("a", yes("S", "I")) // the second factor was given; the credential is the same
		wantSession(t, c, "a", "S", upstream.Asked)
	})
}

// A later yes takes back a no that is still remembered, even if the yes itself must not be.
func TestP4YesTakesANoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{NegativeFor: time.Hour})
		wantError(t, c, "a", upstream.ErrNoSession)
		time.Sleep(2 * time.Second)
		s.say("a", yes("S", "I").believedFor(0))
		wantError(t, c, "a", upstream.ErrNoSession)
		a, err := c.Lookup(t.Context(), cookie("a"), 0)
		checkSession(t, a, err, "S", upstream.Asked)
		wantSession(t, c, "a", "S", upstream.Asked)
	})
}

func TestP4NegativeForZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{})
		wantError(t, c, "a", upstream.ErrNoSession)
		wantError(t, c, "a", upstream.ErrNoSession)
		wantQuestions(t, s, "a", 2)
		if n := c.Stats().Negative.Entries; n != 0 {
			t.Errorf("%d are remembered", n)
		}
	})
}

func TestP4NegativeForIsNotProlonged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{NegativeFor: time.Second})
		wantError(t, c, "a", upstream.ErrNoSession)
		for range 9 {
			time.Sleep(100 * time.Millisecond)
			wantError(t, c, "a", upstream.ErrNoSession)
		}
		wantQuestions(t, s, "a", 1)
		s.say("a", yes("S", "I"))
		time.Sleep(100 * time.Millisecond)
		wantSession(t, c, "a", "S", upstream.Asked)
	})
}

type storeFunc func(context.Context, upstream.Credential) (upstream.Answer, error)

func (f storeFunc) Session(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
	return f(ctx, c)
}
