package sessioncache_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// As many sessions fit as the operator said, and stay.
func TestSizeSessionsFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		const n = 5000
		c := newCache(t, s, sessioncache.Config{Size: n, FreshFor: time.Hour})
		for i := range n {
			s.say(fmt.Sprint(i), yes(fmt.Sprint("S", i), "I"))
			wantSession(t, c, fmt.Sprint(i), fmt.Sprint("S", i), upstream.Asked)
		}
		synctest.Wait()
		for i := range n {
			wantSession(t, c, fmt.Sprint(i), fmt.Sprint("S", i), upstream.Hit)
		}
		want := sessioncache.Stats{
			Lookups:     sessioncache.Lookups{Hit: n, Miss: n},
			Hot:         sessioncache.Table{Entries: n, Capacity: n},
			Window:      sessioncache.Table{Entries: n / 10, Capacity: n / 10, Evictions: n - n/10},
			Joined:      sessioncache.Table{Capacity: n / 10},
			Negative:    sessioncache.Table{Capacity: n},
			Revocations: sessioncache.Table{Capacity: n},
		}
		if diff := cmp.Diff(want, c.Stats()); diff != "" {
			t.Error(diff)
		}
		// What expires is removed, and does not count as evicted.
		time.Sleep(3 * time.Hour)
		if hot := c.Stats().Hot; hot.Entries != 0 || hot.Evictions != 0 {
			t.Errorf("hot table: %+v", hot)
		}
	})
}

func TestSprayedTokensPushNoSessionOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		const n = 1000
		c := newCache(t, s, sessioncache.Config{Size: n, FreshFor: time.Hour, NegativeFor: time.Minute, Ready: func(context.Context) error {
			t.Error("readiness was asked")
			return nil
		}})
		for i := range n {
			s.say(fmt.Sprint(i), yes(fmt.Sprint("S", i), "I"))
			wantSession(t, c, fmt.Sprint(i), fmt.Sprint("S", i), upstream.Asked)
		}
		synctest.Wait()
		for i := range 100_000 {
			wantError(t, c, fmt.Sprint("sprayed ", i), upstream.ErrNoSession)
		}
		synctest.Wait()
		for i := range n {
			wantSession(t, c, fmt.Sprint(i), fmt.Sprint("S", i), upstream.Hit)
		}
		want := sessioncache.Stats{
			Lookups:     sessioncache.Lookups{Hit: n, Miss: n + 100_000},
			Hot:         sessioncache.Table{Entries: n, Capacity: n},
			Window:      sessioncache.Table{Entries: n / 10, Capacity: n / 10, Evictions: n - n/10},
			Joined:      sessioncache.Table{Capacity: n / 10},
			Negative:    sessioncache.Table{Entries: 1024, Capacity: 1024, Evictions: 100_000 - 1024},
			Revocations: sessioncache.Table{Capacity: 1024},
		}
		if diff := cmp.Diff(want, c.Stats()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFlushGivesMemoryBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{Size: 10, NegativeFor: time.Hour})
		for i := range 100 {
			s.say(fmt.Sprint(i), yes(fmt.Sprint("S", i), "I"))
			wantSession(t, c, fmt.Sprint(i), fmt.Sprint("S", i), upstream.Asked)
			wantError(t, c, fmt.Sprint("unknown ", i), upstream.ErrNoSession)
			synctest.Wait()
		}
		c.RevokeSession("S1")
		before := c.Stats()
		c.Flush()
		want := before
		want.Hot.Entries, want.Window.Entries, want.Negative.Entries, want.Revocations.Entries = 0, 0, 0, 0
		if diff := cmp.Diff(want, c.Stats()); diff != "" {
			t.Error(diff)
		}
		if before.Hot.Evictions+before.HotRejections == 0 {
			t.Errorf("nothing was counted: %+v", before)
		}
		c.Close()
		if diff := cmp.Diff(want, c.Stats()); diff != "" {
			t.Error("after Close:", diff)
		}
	})
}

func TestConfig(t *testing.T) {
	good := sessioncache.Config{Size: 1, FreshFor: 100 * time.Millisecond}
	f := func(change func(*sessioncache.Config), want ...string) {
		t.Helper()
		cfg := good
		change(&cfg)
		c, err := sessioncache.New(newService(t), cfg)
		if err == nil {
			c.Close()
			t.Errorf("%+v: no error, want %q", cfg, want)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: got %q, want %q", cfg, err, w)
			}
		}
	}
	f(func(c *sessioncache.Config) { c.Size = 0 }, "create session cache: size must be between 1 and 100000000 sessions, not 0")
	f(func(c *sessioncache.Config) { c.Size = -1 }, "not -1")
	f(func(c *sessioncache.Config) { c.Size = math.MaxInt }, "size must be")
	f(func(c *sessioncache.Config) { c.FreshFor = 0 }, "fresh_for must be between 100ms and 8760h0m0s, not 0s")
	f(func(c *sessioncache.Config) { c.FreshFor = 99 * time.Millisecond }, "fresh_for", "not 99ms")
	f(func(c *sessioncache.Config) { c.FreshFor = upstream.Unlimited }, "fresh_for")
	f(func(c *sessioncache.Config) { c.StaleFor = -1 }, "stale_for must be between 0s and 8760h0m0s, not -1ns")
	f(func(c *sessioncache.Config) { c.StaleFor = upstream.Unlimited }, "stale_for")
	f(func(c *sessioncache.Config) { c.NegativeFor = -1 }, "negative_for")
	f(func(c *sessioncache.Config) { *c = sessioncache.Config{NegativeFor: -1} }, "size", "fresh_for", "negative_for")
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{Size: 1, FreshFor: 365 * 24 * time.Hour, StaleFor: 365 * 24 * time.Hour})
		wantSession(t, c, "a", "S", upstream.Asked)
		synctest.Wait()
		wantSession(t, c, "a", "S", upstream.Hit)
	})
}
