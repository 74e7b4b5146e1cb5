package guard_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/guard"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// from returns a credential that nobody knows, presented by the client at addr.
func from(addr string, n int) upstream.Credential {
	c := upstreamtest.Token(fmt.Sprint("unknown ", n))
	if addr != "" {
		c.From = netip.MustParseAddr(addr)
	}
	return c
}

// A client that tries tokens is stopped at its share, gets it back in the course of a minute, and takes nothing from others.
func TestUnknownCredentialsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		g := guard.New(fake, guard.Config{UnknownPerClient: 60})
		f := func(addr string, tries, asked int) {
			t.Helper()
			before := fake.Questions()
			for i := range tries {
				_, err := g.Session(t.Context(), from(addr, i))
				want := upstream.ErrNoSession
				if i >= asked {
					want = upstream.ErrLimited
				}
				if !errors.Is(err, want) || errors.Is(want, upstream.ErrLimited) && upstream.Definite(err) {
					t.Fatalf("%s: try %d: error %v, want %v", addr, i, err, want)
				}
			}
			if n := fake.Questions() - before; n != asked {
				t.Errorf("%s: %d questions were asked, want %d", addr, n, asked)
			}
		}
		f("192.0.2.1", 100, 60)
		f("192.0.2.1", 10, 0)
		f("192.0.2.2", 60, 60)
		f("2001:db8:1:2::", 60, 60)
		f("2001:db8:1:3::", 60, 60)
		f("", 60, 60) // who has no address
		f("", 10, 0)

		time.Sleep(10 * time.Second)
		f("192.0.2.1", 20, 10)
		time.Sleep(time.Hour)
		f("192.0.2.1", 100, 60)
	})
}

// Questions that are taken for bad ones cost like those that end in a no: who presents what no server takes soon has to wait.
func TestBadQuestionsCost(t *testing.T) {
	fake := newFake()
	g := guard.New(fake, guard.Config{UnknownPerClient: 10})
	if err := ask(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	fake.Fail(upstream.ErrBadQuestion)
	for i := range 20 {
		want := upstream.ErrBadQuestion
		if i >= 10 {
			want = upstream.ErrLimited
		}
		if _, err := g.Session(t.Context(), from("192.0.2.1", i)); !errors.Is(err, want) {
			t.Errorf("question %d: error %v, want %v", i, err, want)
		}
	}
}

// An office behind one address signs in at nine: as many as there are, and again and again, if no more than the share are asked about at
// once. Refusals and outages cost nothing either.
func TestOnlyANoCosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		g := guard.New(fake, guard.Config{UnknownPerClient: 10, TripAfter: 1_000_000})
		ask := func(want error) {
			t.Helper()
			c := alice
			c.From = netip.MustParseAddr("192.0.2.1")
			for range 100 {
				if _, err := g.Session(t.Context(), c); !errors.Is(err, want) {
					t.Fatalf("error %v, want %v", err, want)
				}
			}
		}
		ask(nil)
		fake.Fail(upstreamtest.ErrDown)
		ask(upstreamtest.ErrDown)
		refusal := upstreamtest.AAL2Refusal()
		fake.Fail(refusal)
		ask(refusal)
		fake.Fail(nil)
		fake.Follow(func(context.Context, upstream.Credential) (upstream.Answer, error) { panic("broken") })
		for i := range 100 {
			if _, err := g.Session(t.Context(), from("192.0.2.1", i)); errors.Is(err, upstream.ErrLimited) {
				t.Fatal("a panic cost something")
			}
		}
		fake.Follow(nil)

		// What is under way costs until it is answered.
		release := fake.Hold()
		results := make(chan error, 11)
		for i := range cap(results) {
			go func() {
				_, err := g.Session(t.Context(), from("192.0.2.1", i))
				results <- err
			}()
		}
		synctest.Wait()
		if len(results) != 1 || !errors.Is(<-results, upstream.ErrLimited) {
			t.Errorf("%d of 11 questions at once were refused, want 1", len(results))
		}
		release()
		synctest.Wait()
	})
}

// Whatever strangers present, there is room to ask about those who are known: at once, and on nobody's share.
func TestKnownAreAskedAboutInAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		g := guard.New(fake, guard.Config{Timeout: time.Minute, MaxInFlight: 8, MaxWaiting: 100, UnknownPerClient: 1000})
		release := fake.Hold()
		flood := make(chan error, 200)
		for i := range cap(flood) {
			go func() {
				_, err := g.Session(t.Context(), from("192.0.2.1", i))
				flood <- err
			}()
		}
		synctest.Wait()
		if g.InFlight() != 6 || len(flood) != 200-6-100 {
			t.Fatalf("%d strangers are asked about and %d were refused, want 6 and 94", g.InFlight(), len(flood))
		}
		known := make(chan error, 12)
		for range cap(known) {
			go func() {
				_, err := g.Known().Session(t.Context(), alice)
				known <- err
			}()
		}
		synctest.Wait()
		if g.InFlight() != 8 || len(known) != 0 {
			t.Fatalf("%d in flight and %d ended, want 8 and 0", g.InFlight(), len(known))
		}
		release()
		synctest.Wait()
		if len(known) != cap(known) {
			t.Fatalf("%d were answered, want %d", len(known), cap(known))
		}
		for range cap(known) {
			if err := <-known; err != nil {
				t.Error(err)
			}
		}
	})
}

// However few places there are, one is for those who are known, if there is a second.
func TestPlacesForTheKnown(t *testing.T) {
	f := func(places, wantStrangers int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			fake := newFake()
			g := guard.New(fake, guard.Config{Timeout: time.Minute, MaxInFlight: places})
			release := fake.Hold()
			for i := range 2 * places {
				go func() { _, _ = g.Session(t.Context(), from("192.0.2.1", i)) }()
			}
			synctest.Wait()
			if n := g.InFlight(); n != wantStrangers {
				t.Errorf("of %d places strangers have %d, want %d", places, n, wantStrangers)
			}
			release()
			synctest.Wait()
		})
	}
	f(1, 1)
	f(2, 1)
	f(3, 2)
	f(4, 3)
	f(7, 6)
	f(8, 6)
	f(64, 48)
}

func TestKnownIsAStoreWithinTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		observed := 0
		g := guard.New(fake, guard.Config{UnknownPerClient: 1, Observe: func(guard.Result, time.Duration) { observed++ }})
		for i := range 10 {
			if _, err := g.Known().Session(t.Context(), from("192.0.2.1", i)); !errors.Is(err, upstream.ErrNoSession) {
				t.Errorf("error %v", err)
			}
		}
		fake.Follow(func(context.Context, upstream.Credential) (upstream.Answer, error) { return upstream.Answer{}, nil })
		if a, err := g.Known().Session(t.Context(), alice); err == nil || upstream.Definite(err) || a.Session != nil {
			t.Errorf("an empty answer: %v, %v", a, err)
		}
		fake.Follow(nil)
		fake.Hold()
		start := time.Now()
		if _, err := g.Known().Session(t.Context(), alice); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		if observed != 12 {
			t.Errorf("observed %d questions, want 12", observed)
		}
	})
}
