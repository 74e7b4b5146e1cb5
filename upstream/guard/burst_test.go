package guard_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/guard"
)

// A thousand clients who come back at once, as when the gateway was restarted, are all asked about, as fast as the service answers. That one answer
// took long some time ago is no matter.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		g := guard.New(fake, guard.Config{})
		fake.Delay(450 * time.Millisecond)
		_ = ask(t.Context(), g)
		fake.Delay(40 * time.Millisecond)
		for range 30 {
			_ = ask(t.Context(), g)
		}
		start := time.Now()
		var clients sync.WaitGroup
		for range 1000 {
			clients.Go(func() {
				if err := ask(t.Context(), g); err != nil {
					t.Error(err)
				}
			})
		}
		clients.Wait()
		if took, want := time.Since(start), 21*40*time.Millisecond; took != want { // 48 at a time
			t.Errorf("it took %v, want %v", took, want)
		}
	})
}

// A service that takes most of the time that there is goes on being asked.
func TestSlowServiceIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		fake.Delay(900 * time.Millisecond)
		g := guard.New(fake, guard.Config{})
		for range 20 {
			if err := ask(t.Context(), g); err != nil {
				t.Error(err)
			}
		}
	})
}

// More questions than the service can answer say nothing about the service. It is asked as many as it can answer, and goes on being asked: it
// does not seem to fail because the time of those that waited long is over before they are answered. Nor do those who are known wait.
func TestOverloadIsNoOutage(t *testing.T) {
	f := func(latency time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			fake := newFake()
			fake.Delay(latency)
			g := guard.New(fake, guard.Config{})
			const strangers, atOnce = 10_000, 48
			var clients sync.WaitGroup
			for i := range strangers { // twice as many as can be answered
				clients.Go(func() {
					_, err := g.Session(t.Context(), from("192.0.2.1", i))
					if !errors.Is(err, upstream.ErrNoSession) && !errors.Is(err, guard.ErrBusy) && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%v: error = %v", latency, err)
					}
				})
				if i%100 == 0 {
					clients.Go(func() {
						start := time.Now()
						if _, err := g.Known().Session(t.Context(), alice); err != nil || time.Since(start) != latency {
							t.Errorf("%v: of somebody known: error = %v after %v", latency, err, time.Since(start))
						}
					})
				}
				time.Sleep(latency / (2 * atOnce))
			}
			clients.Wait()
			if n := fake.Questions() - strangers/100; n < strangers/2 {
				t.Errorf("%v: the service was asked about %d strangers, and could answer %d meanwhile", latency, n, strangers/2)
			}
		})
	}
	for _, milliseconds := range []time.Duration{1, 5, 20, 50, 60, 70, 100, 200, 400} {
		f(milliseconds * time.Millisecond)
	}
}
