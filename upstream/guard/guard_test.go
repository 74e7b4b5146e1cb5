package guard_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/guard"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var alice = upstreamtest.Token("alice")

// newFake returns a service that knows alice.
func newFake() *upstreamtest.Fake {
	fake := new(upstreamtest.Fake)
	fake.Know(alice, upstream.Answer{Session: upstreamtest.Session("s1", "i1"), BelieveFor: time.Minute, Renewed: upstreamtest.SetCookie("a=b")})
	return fake
}

// ask asks g about alice and returns the error.
func ask(ctx context.Context, g *guard.Guard) error {
	_, err := g.Session(ctx, alice)
	return err
}

func TestGuardIsAStore(t *testing.T) {
	upstreamtest.TestStore(t, func(*testing.T) upstreamtest.Subject {
		fake := new(upstreamtest.Fake)
		people := 0
		release := func() {}
		return upstreamtest.Subject{
			Store: guard.New(fake, guard.Config{Timeout: time.Minute}),
			Kinds: []upstream.Kind{upstream.Bearer},
			SignIn: func(upstream.Kind) (upstream.Credential, *upstream.Session) {
				people++
				c, s := upstreamtest.Bearer(fmt.Sprintf("secret-%d", people)), upstreamtest.Session(fmt.Sprintf("session-%d", people), "i")
				fake.Know(c, upstream.Answer{Session: s})
				return c, s
			},
			Stranger: func(upstream.Kind) upstream.Credential { return upstreamtest.Bearer("secret-0") },
			Refused: func(upstream.Kind) upstream.Credential {
				c := upstreamtest.Bearer("secret-x")
				fake.Deny(c, upstreamtest.AAL2Refusal())
				return c
			},
			Outages: map[string]func(){
				"down":     func() { fake.Fail(upstreamtest.ErrDown) },
				"not sent": func() { fake.Fail(upstream.ErrNotSent) },
				"panic": func() {
					fake.Follow(func(_ context.Context, c upstream.Credential) (upstream.Answer, error) { panic(string(c.Value)) })
				},
			},
			Hang:      func() { release = fake.Hold() },
			Repair:    func() { release(); fake.Fail(nil); fake.Follow(nil) },
			Questions: fake.Questions,
		}
	})
}

// TestResults tests what becomes of the store's answers, and what is told of them.
func TestResults(t *testing.T) {
	f := func(answer error, want guard.Result, wantName string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			fake := newFake()
			fake.Fail(answer)
			fake.Delay(time.Second)
			var results []guard.Result
			var took time.Duration
			g := guard.New(fake, guard.Config{
				Timeout: time.Minute,
				Observe: func(r guard.Result, d time.Duration) { results, took = append(results, r), d },
			})
			a, err := g.Session(t.Context(), alice)
			if !errors.Is(err, answer) || (err == nil) != (a.Session != nil) {
				t.Errorf("session %v, error %v, want error %v", a.Session, err, answer)
			}
			if err == nil && (a.Session.ID != "s1" || a.BelieveFor != time.Minute || len(a.Renewed) != 1) {
				t.Errorf("answer became %+v", a)
			}
			if !slices.Equal(results, []guard.Result{want}) || took != time.Second || want.String() != wantName {
				t.Errorf("observed %v after %v, want %s after 1s", results, took, wantName)
			}
			if g.InFlight() != 0 {
				t.Errorf("%d questions are still in flight", g.InFlight())
			}
		})
	}
	f(nil, guard.OK, "ok")
	f(fmt.Errorf("ask: %w", upstream.ErrNoSession), guard.NoSession, "no_session")
	f(fmt.Errorf("ask: %w", upstreamtest.AAL2Refusal()), guard.Refused, "refused")
	f(fmt.Errorf("ask: %w", context.DeadlineExceeded), guard.Timeout, "timeout")
	f(upstreamtest.ErrDown, guard.Unavailable, "unavailable")
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		fake.Delay(time.Hour)
		var result guard.Result
		g := guard.New(fake, guard.Config{Timeout: time.Minute, Observe: func(r guard.Result, _ time.Duration) { result = r }})
		f := func(ctx context.Context, want time.Duration) {
			t.Helper()
			start := time.Now()
			err := ask(ctx, g)
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || upstream.Definite(err) || took != want {
				t.Errorf("error = %v after %v, want an outage by deadline after %v", err, took, want)
			}
			if result != guard.Timeout {
				t.Errorf("observed %v, want timeout", result)
			}
		}
		f(t.Context(), time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f(ctx, time.Second)
	})
}

func TestDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		release := fake.Hold()
		defer release()
		g := guard.New(fake, guard.Config{})
		start := time.Now()
		errs := make(chan error, 1200)
		for range cap(errs) {
			go func() { errs <- ask(t.Context(), g) }()
		}
		synctest.Wait()
		if g.InFlight() != 48 || fake.Questions() != 48 || len(errs) != 1200-48-16*64 {
			t.Errorf("%d in flight, %d asked, %d refused, want 48, 48 and %d", g.InFlight(), fake.Questions(), len(errs), 1200-48-16*64)
		}
		for range cap(errs) {
			err := <-errs
			if !errors.Is(err, guard.ErrBusy) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, guard.ErrBreakerOpen) {
				t.Errorf("error = %v", err)
			}
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("the last question ended after %v, want 1s", took)
		}
		if !g.BreakerOpen() {
			t.Error("the breaker is closed after 48 questions that came to nothing")
		}
	})
}

// TestLimits tests that few are asked at once, that few wait, and that those who wait are asked in the end.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		g := guard.New(fake, guard.Config{Timeout: time.Minute, MaxInFlight: 3, MaxWaiting: 3}) // two of them for strangers
		for round := range 3 {
			asked := 5 * round
			release := fake.Hold()
			errs := make(chan error, 5)
			for range 5 {
				go func() { errs <- ask(t.Context(), g) }()
			}
			synctest.Wait()
			if g.InFlight() != 2 || fake.Questions() != asked+2 || len(errs) != 0 {
				t.Fatalf("%d in flight, %d asked, %d ended, want 2, %d and 0", g.InFlight(), fake.Questions(), len(errs), asked+2)
			}
			start := time.Now()
			if err := ask(t.Context(), g); !errors.Is(err, guard.ErrBusy) || upstream.Definite(err) || time.Since(start) != 0 {
				t.Errorf("error = %v after %v, want ErrBusy at once", err, time.Since(start))
			}
			release()
			for range 5 {
				if err := <-errs; err != nil {
					t.Errorf("error = %v", err)
				}
			}
			if fake.Questions() != asked+5 || g.InFlight() != 0 {
				t.Errorf("%d asked, %d in flight, want %d and 0", fake.Questions(), g.InFlight(), asked+5)
			}
		}
	})
}

func TestNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		g := guard.New(fake, guard.Config{MaxInFlight: 1, MaxWaiting: -1})
		release := fake.Hold()
		go func() { _ = ask(t.Context(), g) }()
		fake.Await(1)
		if err := ask(t.Context(), g); !errors.Is(err, guard.ErrBusy) {
			t.Errorf("error = %v, want ErrBusy", err)
		}
		release()
	})
}

// Waiting counts against the deadline, and a question that was never asked says nothing about the service.
func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		g := guard.New(fake, guard.Config{Timeout: time.Minute, MaxInFlight: 1, MaxWaiting: 100, TripAfter: 2})
		release := fake.Hold()
		go func() { _ = ask(t.Context(), g) }()
		fake.Await(1)
		time.Sleep(30 * time.Second)
		var wg sync.WaitGroup
		f := func(ctx context.Context, cause error, after time.Duration) {
			start := time.Now()
			wg.Go(func() {
				err := ask(ctx, g)
				if !errors.Is(err, cause) || upstream.Definite(err) || time.Since(start) != after {
					t.Errorf("error = %v after %v, want %v after %v", err, time.Since(start), cause, after)
				}
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		for range 10 {
			f(ctx, context.Canceled, time.Second)
		}
		wg.Wait()
		if fake.Questions() != 1 || g.BreakerOpen() {
			t.Errorf("%d questions were asked, breaker open: %v", fake.Questions(), g.BreakerOpen())
		}
		release()
		synctest.Wait()

		fake.Follow(func(context.Context, upstream.Credential) (upstream.Answer, error) {
			time.Sleep(2 * time.Minute) // longer than it may
			return upstream.Answer{}, upstream.ErrNoSession
		})
		go func() { _ = ask(t.Context(), g) }()
		synctest.Wait()
		for range 10 {
			f(t.Context(), context.DeadlineExceeded, time.Minute)
		}
		wg.Wait()
		if fake.Questions() != 2 || g.BreakerOpen() {
			t.Errorf("%d questions were asked, breaker open: %v", fake.Questions(), g.BreakerOpen())
		}
		time.Sleep(time.Minute)
	})
}

// A question is repeated once, and only if it cannot have been heard.
func TestRetry(t *testing.T) {
	notSent := fmt.Errorf("dial: %w", upstream.ErrNotSent)
	f := func(wantErr error, wantAsked int, answers ...error) {
		t.Helper()
		fake := newFake()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		fake.Follow(func(context.Context, upstream.Credential) (upstream.Answer, error) {
			err := answers[fake.Questions()-1]
			if errors.Is(err, context.Canceled) {
				cancel()
			}
			return upstream.Answer{Session: upstreamtest.Session("s1", "i1")}, err
		})
		observed := 0
		g := guard.New(fake, guard.Config{Observe: func(guard.Result, time.Duration) { observed++ }})
		if err := ask(ctx, g); !errors.Is(err, wantErr) || fake.Questions() != wantAsked || observed != 1 {
			t.Errorf("%v: error = %v after %d attempts, observed %d times, want %v after %d",
				answers, err, fake.Questions(), observed, wantErr, wantAsked)
		}
	}
	f(nil, 1, nil)
	f(nil, 2, notSent, nil)
	f(upstream.ErrNoSession, 2, notSent, upstream.ErrNoSession)
	f(upstreamtest.ErrDown, 2, notSent, upstreamtest.ErrDown)
	f(upstream.ErrNotSent, 2, notSent, notSent)
	f(upstreamtest.ErrDown, 1, upstreamtest.ErrDown)
	f(upstream.ErrNoSession, 1, upstream.ErrNoSession)
	f(context.DeadlineExceeded, 1, context.DeadlineExceeded)
	f(upstream.ErrNotSent, 1, fmt.Errorf("%w: %w", upstream.ErrNotSent, context.Canceled)) // no time is left
}

// Whatever a store does, its place is free afterwards, and the process lives.
func TestPanic(t *testing.T) {
	f := func(misbehave func(), wants ...string) {
		t.Helper()
		fake := newFake()
		var result guard.Result
		g := guard.New(fake, guard.Config{
			MaxInFlight: 1, MaxWaiting: -1, TripAfter: 2,
			Observe: func(r guard.Result, _ time.Duration) { result = r },
		})
		fake.Follow(func(context.Context, upstream.Credential) (upstream.Answer, error) {
			misbehave()
			return upstream.Answer{}, nil
		})
		for range 2 {
			err := ask(t.Context(), g)
			if err == nil || upstream.Definite(err) || result != guard.Unavailable {
				t.Fatalf("error = %v, observed %v, want an outage", err, result)
			}
			for _, want := range wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error is %q, want it to say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error tells what the panic was about: %v", err)
			}
		}
		if g.InFlight() != 0 || !g.BreakerOpen() {
			t.Errorf("%d questions in flight, breaker open: %v, want none, and an open breaker", g.InFlight(), g.BreakerOpen())
		}
	}
	f(func() {}, "neither a session nor an error")
	f(func() { panic("secret") }, "panic at guard_test.go:", "with a string")
	f(func() { panic(errors.New("secret")) }, "panic at guard_test.go:", "with a *errors.errorString")
	f(func() { var s *upstream.Session; _ = s.ID }, "panic at guard_test.go:", "nil pointer dereference")
	f(func() { _ = "secret"[len(alice.Value)+2:] }, "panic at guard_test.go:", "slice bounds out of range")
}

// A goroutine that ends inside the store takes nothing with it.
func TestGoexit(t *testing.T) {
	fake := newFake()
	g := guard.New(fake, guard.Config{MaxInFlight: 1, MaxWaiting: -1, TripAfter: 1})
	fake.Follow(func(context.Context, upstream.Credential) (upstream.Answer, error) {
		runtime.Goexit()
		return upstream.Answer{}, nil
	})
	var wg sync.WaitGroup
	wg.Go(func() { _ = ask(t.Context(), g) })
	wg.Wait()
	if g.InFlight() != 0 || !g.BreakerOpen() {
		t.Errorf("%d questions in flight, breaker open: %v, want none, and an open breaker", g.InFlight(), g.BreakerOpen())
	}
}

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var results []guard.Result
		g := guard.New(newFake(), guard.Config{
			Timeout: time.Minute, MaxInFlight: 1, MaxWaiting: -1, TripAfter: 1,
			Observe: func(r guard.Result, _ time.Duration) { results = append(results, r) },
		})
		err := g.Do(t.Context(), netip.Addr{}, func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			if !ok || time.Until(deadline) != time.Minute || g.InFlight() != 1 {
				t.Errorf("deadline %v, %d in flight, want a minute, and 1", deadline, g.InFlight())
			}
			if err := ask(t.Context(), g); !errors.Is(err, guard.ErrBusy) {
				t.Errorf("a question beside it: error = %v, want ErrBusy", err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("Do = %v", err)
		}
		if err := g.Do(t.Context(), netip.Addr{}, func(context.Context) error { return upstreamtest.ErrDown }); !errors.Is(err, upstreamtest.ErrDown) {
			t.Errorf("Do = %v, want ErrDown", err)
		}
		if err := ask(t.Context(), g); !errors.Is(err, guard.ErrBreakerOpen) {
			t.Errorf("after an outage of Do: error = %v, want ErrBreakerOpen", err)
		}
		if want := []guard.Result{guard.Unavailable, guard.OK, guard.Unavailable, guard.Unavailable}; !slices.Equal(results, want) {
			t.Errorf("observed %v, want %v", results, want)
		}
	})
}
