package sessioncache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A database is what the service's readiness depends on.
type database struct {
	mu    sync.Mutex
	is    func(context.Context) error // nil: good
	asked []time.Time
}

func (d *database) set(is func(context.Context) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.is = is
}

func (d *database) questions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asked)
}

func (d *database) Ready(ctx context.Context) error {
	d.mu.Lock()
	is := d.is
	d.asked = append(d.asked, time.Now())
	d.mu.Unlock()
	if is == nil {
		return nil
	}
	return is(ctx)
}

var errDatabase = errors.New("database is gone")

func gone(context.Context) error { return errDatabase }

// freshForTen is what most tests of readiness need.
var freshForTen = sessioncache.Config{FreshFor: 10 * time.Second}

func bubbleWithDatabase(t *testing.T, cfg sessioncache.Config, f func(t *testing.T, s *service, db *database, c *sessioncache.Cache)) {
	synctest.Test(t, func(t *testing.T) {
		s, db := newService(t), new(database)
		cfg.Ready = db.Ready
		f(t, s, db, newCache(t, s, cfg))
		for i := range db.asked[min(1, len(db.asked)):] {
			if d := db.asked[i+1].Sub(db.asked[i]); d < time.Second {
				t.Errorf("readiness was asked twice within %v", d)
			}
		}
	})
}

// Kratos answers a failure of its database with the same 401 as a missing session.
func TestP4NoIsDoubtedWhileTheServiceIsNotReady(t *testing.T) {
	f := func(name string, is func(context.Context) error) {
		t.Run(name, func(t *testing.T) {
			cfg := sessioncache.Config{FreshFor: 10 * time.Second, StaleFor: 30 * time.Second, NegativeFor: time.Hour}
			bubbleWithDatabase(t, cfg, func(t *testing.T, s *service, db *database, c *sessioncache.Cache) {
				s.say("a", yes("S", "I"))
				wantSession(t, c, "a", "S", upstream.Asked)
				synctest.Wait()
				s.say("a", no)
				db.set(is)
				time.Sleep(10 * time.Second)
				for range 25 {
					wantSession(t, c, "a", "S", upstream.Stale)
					time.Sleep(time.Second)
				}
				time.Sleep(20 * time.Second)
				// It is not stale any more. But it was there a moment ago, so this is an outage still.
				a, err := c.Session(t.Context(), cookie("a"))
				if err == nil || upstream.Definite(err) {
					t.Errorf("got %v, %v; want an outage", a.Session, err)
				}
				if st := c.Stats(); st.UnbelievedNos == 0 || st.Negative.Entries != 0 || st.Revocations.Entries != 0 {
					t.Errorf("stats: %+v", st)
				}
				// The database comes back, and the session with it.
				s.say("a", yes("S", "I"))
				wantSession(t, c, "a", "S", upstream.Asked)
				// Or it comes back without: then the no is believed.
				time.Sleep(20 * time.Second)
				s.say("a", no)
				db.set(nil)
				wantSession(t, c, "a", "S", upstream.Stale)
				time.Sleep(5 * time.Second)
				wantError(t, c, "a", upstream.ErrNoSession)
			})
		})
	}
	f("not ready", gone)
	f("not ready, in the words of a no", func(context.Context) error { return fmt.Errorf("no: %w", upstream.ErrNoSession) })
	f("hangs", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	f("panics", func(context.Context) error { panic("oh") })
	f("ends its goroutine", func(context.Context) error { runtime.Goexit(); return nil })
}

func TestNoIsBelievedWhenReady(t *testing.T) {
	cfg := sessioncache.Config{FreshFor: 10 * time.Second, NegativeFor: time.Second}
	bubbleWithDatabase(t, cfg, func(t *testing.T, s *service, db *database, c *sessioncache.Cache) {
		s.say("a", yes("S", "I"))
		wantSession(t, c, "a", "S", upstream.Asked)
		time.Sleep(time.Minute)
		s.say("a", no)
		wantError(t, c, "a", upstream.ErrNoSession)
		if db.questions() != 1 || c.Stats().UnbelievedNos != 0 {
			t.Errorf("%d questions for readiness, stats %+v", db.questions(), c.Stats())
		}
		// It is believed once and for all: the session is no longer known, so there is nothing to doubt.
		db.set(gone)
		time.Sleep(time.Second)
		wantError(t, c, "a", upstream.ErrNoSession)
		if db.questions() != 1 {
			t.Errorf("%d questions for readiness", db.questions())
		}
	})
}

// Who sprays tokens neither makes us ask for readiness nor fills the revocation log. Nor does a refusal need to be confirmed.
func TestUnknownCredentialsAreNotDoubted(t *testing.T) {
	bubbleWithDatabase(t, sessioncache.Config{}, func(t *testing.T, s *service, db *database, c *sessioncache.Cache) {
		db.set(gone)
		for i := range 100 {
			wantError(t, c, fmt.Sprint(i), upstream.ErrNoSession)
		}
		s.say("b", yes("S", "I"))
		wantSession(t, c, "b", "S", upstream.Asked)
		c.RevokeSession("S")
		s.say("b", no)
		wantError(t, c, "b", upstream.ErrNoSession) // revoked, so not known either
		s.say("c", yes("S", "I").expiring(time.Now().Add(time.Minute)))
		wantSession(t, c, "c", "S", upstream.Asked)
		time.Sleep(time.Minute)
		s.say("c", no)
		wantError(t, c, "c", upstream.ErrNoSession) // expired
		s.say("d", yes("S", "I"))
		wantSession(t, c, "d", "S", upstream.Asked)
		time.Sleep(10 * time.Minute)
		s.say("d", no)
		wantError(t, c, "d", upstream.ErrNoSession) // too long ago
		s.say("e", yes("S", "I"))
		wantSession(t, c, "e", "S", upstream.Asked)
		time.Sleep(time.Minute)
		s.say("e", refuses)
		if _, err := c.Session(t.Context(), cookie("e")); !upstream.Definite(err) {
			t.Errorf("got %v, want a refusal", err)
		}
		s.say("f", yes("U", "I"))
		wantSession(t, c, "f", "U", upstream.Asked)
		time.Sleep(time.Minute)
		s.say("f", no)
		s.set(func(s *service) { s.delay = time.Second })
		go wantError(t, c, "f", upstream.ErrNoSession)
		synctest.Wait()
		c.RevokeSession("U")
		time.Sleep(time.Second)
		synctest.Wait() // known when it was asked about, but not when the answer came
		if db.questions() != 0 || c.Stats().Revocations.Entries != 3 {
			t.Errorf("%d questions for readiness, %+v", db.questions(), c.Stats().Revocations)
		}
	})
}

// Readiness is asked at most once a second for everybody, and always after the question that is in doubt.
func TestReadinessIsShared(t *testing.T) {
	bubbleWithDatabase(t, freshForTen, func(t *testing.T, s *service, db *database, c *sessioncache.Cache) {
		const n = 100
		for i := range n {
			s.say(fmt.Sprint(i), yes(fmt.Sprint("S", i), "I"))
			wantSession(t, c, fmt.Sprint(i), fmt.Sprint("S", i), upstream.Asked)
			s.say(fmt.Sprint(i), no)
		}
		time.Sleep(time.Minute)
		s.set(func(s *service) { s.delay = 100 * time.Millisecond })
		db.set(func(ctx context.Context) error { time.Sleep(100 * time.Millisecond); return nil })

		// A hundred at once: one question for readiness.
		start := time.Now()
		for i := range n / 2 {
			go wantError(t, c, fmt.Sprint(i), upstream.ErrNoSession)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if db.questions() != 1 || c.Stats().Revocations.Entries != n/2 {
			t.Errorf("%d questions for readiness, %+v", db.questions(), c.Stats().Revocations)
		}

		// The next one asked the service after that, so it has to wait until the second is over. Meanwhile the database goes away.
		db.set(gone)
		a, err := c.Session(t.Context(), cookie("90"))
		if err == nil || upstream.Definite(err) {
			t.Errorf("got %v, %v; want an outage", a.Session, err)
		}
		if d := time.Since(start); d != 1100*time.Millisecond || db.questions() != 2 {
			t.Errorf("answered after %v, %d questions for readiness", d, db.questions())
		}

		// Who cannot wait leaves. The question goes on without him, and is believed.
		db.set(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		a, err = c.Session(ctx, cookie("91"))
		checkError(t, a, err, context.DeadlineExceeded)
		time.Sleep(time.Second)
		if st := c.Stats(); st.Revocations.Entries != n/2+1 || st.UnbelievedNos != 1 {
			t.Errorf("stats: %+v", st)
		}
	})
}

// Whoever shares a question for readiness that ended without an answer knows nothing.
func TestReadinessThatEndsIsShared(t *testing.T) {
	bubbleWithDatabase(t, freshForTen, func(t *testing.T, s *service, db *database, c *sessioncache.Cache) {
		for _, value := range []string{"a", "b"} {
			s.say(value, yes("S", "I"))
			wantSession(t, c, value, "S", upstream.Asked)
			s.say(value, no)
		}
		time.Sleep(time.Minute)
		s.set(func(s *service) { s.delay = time.Second })
		db.set(func(context.Context) error { time.Sleep(time.Second); runtime.Goexit(); return nil })
		for _, value := range []string{"a", "b"} {
			go func() {
				a, err := c.Session(t.Context(), cookie(value))
				if err == nil || upstream.Definite(err) {
					t.Errorf("got %v, %v; want an outage", a.Session, err)
				}
			}()
		}
		time.Sleep(time.Minute)
		if db.questions() != 1 || c.Stats().UnbelievedNos != 2 {
			t.Errorf("%d questions for readiness, %d not believed", db.questions(), c.Stats().UnbelievedNos)
		}
	})
}

// Close does not wait for a service that is in doubt.
func TestCloseWhileInDoubt(t *testing.T) {
	bubbleWithDatabase(t, freshForTen, func(t *testing.T, s *service, db *database, c *sessioncache.Cache) {
		for _, value := range []string{"a", "b", "c"} {
			s.say(value, yes("S", "I"))
			wantSession(t, c, value, "S", upstream.Asked)
			s.say(value, no)
		}
		time.Sleep(time.Minute)
		db.set(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		ask := func(value string) {
			a, err := c.Session(t.Context(), cookie(value))
			if err == nil || upstream.Definite(err) {
				t.Errorf("got %v, %v; want an outage", a.Session, err)
			}
		}
		start := time.Now()
		go ask("a") // asks for readiness
		synctest.Wait()
		go ask("b") // waits for its turn
		synctest.Wait()
		c.Close()
		synctest.Wait()
		if d := time.Since(start); d != 0 {
			t.Errorf("Close took %v", d)
		}
	})
}
