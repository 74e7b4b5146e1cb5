package sessioncache_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
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

// The whole heap is written to a file, and the credentials are looked for in it.
func TestP5NothingOfACredentialIsKept(t *testing.T) {
	// The test keeps the credentials in disguise, so that it finds only the copies of others.
	const n, key = 20, 0x55
	disguise := func(b []byte) []byte {
		out := make([]byte, len(b))
		for i := range b {
			out[i] = b[i] ^ key
		}
		return out
	}
	hidden := make([][]byte, n)
	for i := range hidden {
		b := make([]byte, 32)
		for j := range b {
			b[j] = byte('a' + rand.IntN(26))
		}
		hidden[i] = disguise(b)
		clear(b)
	}
	replies := []reply{yes("S", "I"), no, refuses, down, func() (upstream.Answer, error) { panic("oh") }}
	next := 0
	c := newCache(t, storeFunc(func(context.Context, upstream.Credential) (upstream.Answer, error) {
		next++
		return replies[next%len(replies)]()
	}), sessioncache.Config{StaleFor: time.Hour, NegativeFor: time.Hour, Ready: func(context.Context) error { return nil }})
	use := func(value []byte) {
		cred := upstream.Credential{Kind: upstream.Cookie, Name: "session", Value: value}
		_, _ = c.Session(t.Context(), cred)
		_, _ = c.Lookup(t.Context(), cred, 0)
		c.RevokeCredential(cred)
		_ = c.Tag(cred)
		clear(value)
	}
	for _, h := range hidden {
		use(disguise(h))
	}
	dump := func() []byte {
		path := filepath.Join(t.TempDir(), "heap")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		runtime.GC()
		runtime.GC()
		debug.WriteHeapDump(file.Fd())
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	canary := disguise(hidden[0]) // proves that the dump shows what there is
	heap := dump()
	for i, h := range hidden {
		if found := bytes.Contains(heap, disguise(h)); found != (i == 0) {
			t.Errorf("credential %d in memory: %v", i, found)
		}
	}
	runtime.KeepAlive(canary)
	runtime.KeepAlive(c)
}

func TestP5NoErrorTellsACredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "attack-at-dawn"
		cred := cookie(secret)
		for _, panicking := range []any{secret, errors.New(secret), fmt.Errorf("%w: "+secret, upstream.ErrNoSession), cred, &cred, []byte(secret)} {
			c := newCache(t, storeFunc(func(context.Context, upstream.Credential) (upstream.Answer, error) { panic(panicking) }), sessioncache.Config{})
			_, err := c.Session(t.Context(), cred)
			if err == nil || upstream.Definite(err) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other := newCache(t, newService(t), sessioncache.Config{}), newCache(t, newService(t), sessioncache.Config{})
		tag := c.Tag(cookie("a"))
		if b, err := hex.DecodeString(tag); err != nil || len(b) != 4 {
			t.Errorf("tag is %q", tag)
		}
		if c.Tag(cookie("a")) != tag || c.Tag(cookie("b")) == tag {
			t.Error("a tag must stand for one credential")
		}
		if other.Tag(cookie("a")) == tag {
			t.Error("a tag must mean nothing to others, or it could be tried against known tokens")
		}
	})
}

func TestP6HitDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("hit", yes("H", "I"))
		s.say("stale", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second, StaleFor: time.Hour})
		wantSession(t, c, "stale", "S", upstream.Asked)
		time.Sleep(9 * time.Second)
		wantSession(t, c, "hit", "H", upstream.Asked)
		synctest.Wait()
		time.Sleep(time.Second)

		s.set(func(s *service) { s.hold = make(chan struct{}) }) // the service hangs
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 100 {
			go c.Session(ctx, cookie(fmt.Sprint("unknown ", i)))
		}
		synctest.Wait()
		start := time.Now()
		for range 100 {
			wantSession(t, c, "hit", "H", upstream.Hit)
			wantSession(t, c, "stale", "S", upstream.Stale)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("waited for %v", d)
		}
		cancel()
		synctest.Wait()
	})
}

// The cache is far too small, and its tables are emptied at random: everything is asked again and again, and every answer is right.
func TestP7LosingWritesCostsQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{Size: 1, NegativeFor: time.Second})
		const n = 300
		for i := range n {
			switch i % 3 {
			case 0:
				s.say(fmt.Sprint(i), yes(fmt.Sprint("S", i), "I"))
			case 1:
				s.say(fmt.Sprint(i), down)
			}
		}
		for range 5000 {
			i := rand.IntN(n)
			a, err := c.Session(t.Context(), cookie(fmt.Sprint(i)))
			switch i % 3 {
			case 0:
				checkSession(t, a, err, fmt.Sprint("S", i), a.Source)
			case 1:
				checkError(t, a, err, errDown)
			case 2:
				checkError(t, a, err, upstream.ErrNoSession)
			}
			switch rand.IntN(500) {
			case 0:
				c.Flush()
			case 1, 2, 3, 4, 5:
				synctest.Wait() // let the hot table do what it has been told
			}
		}
		if st := c.Stats(); st.Window.Evictions == 0 || st.Hot.Evictions+st.HotRejections == 0 {
			t.Errorf("nothing was lost, so nothing was tested: %+v", st)
		}
	})
}

type storeFunc func(context.Context, upstream.Credential) (upstream.Answer, error)

func (f storeFunc) Session(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
	return f(ctx, c)
}
