package guard_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/guard"
)

// A service that wants to be asked nothing for a while is asked nothing for that while, and for a minute at most. What it refuses says
// nothing of the breaker, since it is not asked.
func TestPause(t *testing.T) {
	f := func(wanted, want time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s := newSwitchboard()
			pause := fmt.Errorf("ask fake: %w", &upstream.Pause{For: wanted})
			s.fake.Fail(pause)
			s.want(t, pause, true)
			s.fake.Fail(nil)
			if want > 0 {
				time.Sleep(want - time.Nanosecond)
				for range 5 {
					s.want(t, guard.ErrPaused, false)
				}
				if _, err := s.Known().Session(t.Context(), alice); err == nil || upstream.Definite(err) {
					t.Errorf("error about a known credential = %v, want an outage", err)
				}
				s.wantOpen(t, false)
				time.Sleep(time.Nanosecond)
			}
			s.want(t, nil, true)
		})
	}
	f(time.Second, time.Second)
	f(time.Minute, time.Minute)
	f(24*time.Hour, time.Minute)
	f(0, 0)
	f(-time.Hour, 0)
}

// Of two wishes that come at the same time the longer one counts.
func TestPauseIsNotShortened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwitchboard()
		wish := func(pause, after time.Duration) func(context.Context) error {
			return func(context.Context) error {
				time.Sleep(after)
				return &upstream.Pause{For: pause}
			}
		}
		var both sync.WaitGroup
		both.Go(func() { _ = s.Do(t.Context(), netip.Addr{}, wish(30*time.Second, time.Millisecond)) })
		both.Go(func() { _ = s.Do(t.Context(), netip.Addr{}, wish(time.Second, 2*time.Millisecond)) })
		both.Wait()
		time.Sleep(2 * time.Second)
		s.want(t, guard.ErrPaused, false)
	})
}
