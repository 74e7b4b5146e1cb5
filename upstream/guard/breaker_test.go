package guard_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/guard"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A switchboard is a guard whose breaker opens after three outages for one second, and lets two probes through after that.
type switchboard struct {
	*guard.Guard
	fake *upstreamtest.Fake
}

func newSwitchboard() *switchboard {
	s := &switchboard{fake: newFake()}
	s.Guard = guard.New(s.fake, guard.Config{
		Timeout: time.Minute, TripAfter: 3, OpenFor: time.Second, Probes: 2,
	})
	return s
}

// trip opens the breaker.
func (s *switchboard) trip(t *testing.T) {
	t.Helper()
	s.fake.Fail(upstreamtest.ErrDown)
	for range 3 {
		if err := ask(t.Context(), s.Guard); !errors.Is(err, upstreamtest.ErrDown) {
			t.Fatalf("error = %v, want ErrDown", err)
		}
	}
	s.fake.Fail(nil)
}

// want asks about alice.
func (s *switchboard) want(t *testing.T, wantErr error, wantAsked bool) {
	t.Helper()
	before := s.fake.Questions()
	if err := ask(t.Context(), s.Guard); !errors.Is(err, wantErr) || err != nil && upstream.Definite(err) != upstream.Definite(wantErr) {
		t.Errorf("error = %v, want %v", err, wantErr)
	}
	if asked := s.fake.Questions() > before; asked != wantAsked {
		t.Errorf("service was asked: %v, want %v", asked, wantAsked)
	}
}

func (s *switchboard) wantOpen(t *testing.T, open bool) {
	t.Helper()
	if s.BreakerOpen() != open {
		t.Errorf("breaker open: %v, want %v", s.BreakerOpen(), open)
	}
}

func TestBreakerOpensAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwitchboard()
		s.wantOpen(t, false)
		s.trip(t)
		s.wantOpen(t, true)
		s.want(t, guard.ErrBreakerOpen, false)
		time.Sleep(time.Second)
		s.want(t, guard.ErrBreakerOpen, false)
		time.Sleep(time.Nanosecond)
		s.wantOpen(t, false) // what is asked now are probes
		s.want(t, nil, true)
		s.want(t, nil, true)
		s.want(t, nil, true)
	})
}

func TestBreakerOpensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwitchboard()
		s.trip(t)
		time.Sleep(time.Second + 1)
		s.fake.Fail(upstreamtest.ErrDown)
		s.want(t, upstreamtest.ErrDown, true)
		s.want(t, guard.ErrBreakerOpen, false)
		s.wantOpen(t, true)
		s.fake.Fail(nil)
		time.Sleep(time.Second + 1)
		s.want(t, nil, true)
		s.want(t, nil, true)
		s.wantOpen(t, false)
	})
}

// No more than the probes reach a service that may not be well again.
func TestBreakerProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwitchboard()
		s.trip(t)
		time.Sleep(time.Second + 1)
		release := s.fake.Hold()
		before := s.fake.Questions()
		var wg sync.WaitGroup
		var mu sync.Mutex
		refused := 0
		for range 10 {
			wg.Go(func() {
				if err := ask(t.Context(), s.Guard); errors.Is(err, guard.ErrBreakerOpen) {
					mu.Lock()
					refused++
					mu.Unlock()
				}
			})
		}
		synctest.Wait()
		if asked := s.fake.Questions() - before; asked != 2 || refused != 8 {
			t.Errorf("%d questions were asked and %d refused, want 2 and 8", asked, refused)
		}
		release()
		wg.Wait()
		s.wantOpen(t, false)
	})
}

// A definite no is an answer: it interrupts a row of outages, and is no part of one.
func TestBreakerAndDefiniteAnswers(t *testing.T) {
	f := func(answer error) {
		t.Helper()
		s := newSwitchboard()
		for range 20 {
			s.fake.Fail(answer)
			s.want(t, answer, true)
		}
		for range 20 {
			s.fake.Fail(upstreamtest.ErrDown)
			s.want(t, upstreamtest.ErrDown, true)
			s.want(t, upstreamtest.ErrDown, true)
			s.fake.Fail(answer)
			s.want(t, answer, true)
		}
		s.wantOpen(t, false)
	}
	f(nil)
	f(upstream.ErrNoSession)
	f(upstreamtest.AAL2Refusal())
}

// What is taken for a bad question, for what a client presented, says nothing about the service, however often that comes.
func TestBreakerAndBadQuestions(t *testing.T) {
	for _, answer := range []error{nil, upstream.ErrNoSession} {
		synctest.Test(t, func(t *testing.T) {
			s := newSwitchboard()
			s.fake.Fail(answer)
			s.want(t, answer, true)
			time.Sleep(9 * time.Second)
			s.fake.Fail(fmt.Errorf("status 400: %w", upstream.ErrBadQuestion))
			for range 20 {
				s.want(t, upstream.ErrBadQuestion, true)
			}
			s.wantOpen(t, false)
			s.fake.Fail(nil)
			s.want(t, nil, true)
		})
	}
}

// Where all questions are turned away, as by a firewall that does not know the gateway, none of them is a bad one, and no client is to blame.
func TestAllAreTurnedAway(t *testing.T) {
	f := func(before func(*testing.T, *switchboard)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s := newSwitchboard()
			before(t, s)
			s.fake.Fail(fmt.Errorf("status 403: %w", upstream.ErrBadQuestion))
			for range 3 {
				if err := ask(t.Context(), s.Guard); err == nil || errors.Is(err, upstream.ErrBadQuestion) || upstream.Definite(err) {
					t.Errorf("error = %v, want an outage that blames nobody", err)
				}
			}
			s.wantOpen(t, true)
		})
	}
	f(func(*testing.T, *switchboard) {})
	f(func(t *testing.T, s *switchboard) {
		s.want(t, nil, true)
		time.Sleep(11 * time.Second)
	})
}

// What a caller gives up says nothing about the service: it neither opens the breaker nor interrupts a row of outages.
func TestBreakerAndCancelledQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwitchboard()
		cancelled := func() {
			t.Helper()
			release := s.fake.Hold()
			defer release()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := ask(ctx, s.Guard); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want the caller's deadline", err)
			}
		}
		for range 20 {
			cancelled()
		}
		s.wantOpen(t, false)

		s.fake.Fail(upstreamtest.ErrDown)
		s.want(t, upstreamtest.ErrDown, true)
		s.want(t, upstreamtest.ErrDown, true)
		cancelled()
		s.wantOpen(t, false)
		s.want(t, upstreamtest.ErrDown, true)
		s.wantOpen(t, true)

		// A probe that was given up makes place for another.
		s.fake.Fail(nil)
		time.Sleep(time.Second + 1)
		for range 5 {
			cancelled()
		}
		s.want(t, nil, true)
		s.want(t, nil, true)
		s.wantOpen(t, false)
	})
}

// A service that does not answer in time is out of order.
func TestBreakerAndDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwitchboard()
		s.fake.Delay(time.Hour)
		for range 3 {
			s.want(t, context.DeadlineExceeded, true)
		}
		s.wantOpen(t, true)
	})
}

// What cannot be asked says nothing of the service: it neither closes a row of outages nor is it tried twice.
func TestBreakerAndWhatCannotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwitchboard()
		unfit := fmt.Errorf("%w: %w", upstream.ErrNotSent, upstream.ErrNoSession)
		for range 3 {
			s.fake.Fail(unfit)
			before := s.fake.Questions()
			s.want(t, upstream.ErrNoSession, true)
			if asked := s.fake.Questions() - before; asked != 1 {
				t.Errorf("it was tried %d times, want once", asked)
			}
			s.fake.Fail(upstreamtest.ErrDown)
			s.want(t, upstreamtest.ErrDown, true)
		}
		s.wantOpen(t, true)
	})
}
