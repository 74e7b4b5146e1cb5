package sessioncache_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func everySession(*upstream.Session) bool { return true }

// TestRemembered tests that exactly what would be served is told, once, whatever tables it is in.
func TestRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second, StaleFor: 10 * time.Second})
		for name, r := range map[string]reply{
			"one": yes("S1", "I1"), "another": yes("S1", "I1"), "other": yes("S2", "I2"), "ended": yes("S3", "I1").expiring(time.Now().Add(time.Second)),
			"revoked": yes("S4", "I4"), "brief": yes("S5", "I1").believedFor(0), "nobody": no,
		} {
			s.say(name, r)
			_, _ = c.Session(t.Context(), cookie(name))
		}
		synctest.Wait()
		c.RevokeSession("S4")
		time.Sleep(2 * time.Second)
		want := func(fresh bool, age time.Duration) {
			t.Helper()
			list, more := c.Remembered(100, everySession)
			var got []string
			for _, r := range list {
				got = append(got, fmt.Sprint(r.Session.ID, " ", r.Tag))
				if r.Age != age || r.Fresh != fresh || r.Table == "" {
					t.Errorf("%+v", r)
				}
			}
			first, second := c.Tag(cookie("one")), c.Tag(cookie("another"))
			all := []string{"S1 " + min(first, second), "S1 " + max(first, second), "S2 " + c.Tag(cookie("other"))}
			if diff := cmp.Diff(all, got); diff != "" || more {
				t.Errorf("remembered (-want +got), more %v:\n%s", more, diff)
			}
		}
		want(true, 2*time.Second)
		time.Sleep(10 * time.Second)
		want(false, 12*time.Second)
		if list, _ := c.Remembered(100, func(s *upstream.Session) bool { return s.IdentityID == "I2" }); len(list) != 1 {
			t.Errorf("of one identity: %v", list)
		}
		before := c.Stats().Lookups
		for limit := range 4 {
			if list, more := c.Remembered(limit, everySession); len(list) != limit || more != (limit < 3) {
				t.Errorf("limit %d: %d, more %v", limit, len(list), more)
			}
		}
		if after := c.Stats().Lookups; after != before {
			t.Error("it was counted as look-ups")
		}
		time.Sleep(10 * time.Second)
		if list, _ := c.Remembered(100, everySession); len(list) != 0 {
			t.Errorf("at the end: %v", list)
		}
	})
}

// TestRememberedWhileInUse is for the race detector.
func TestRememberedWhileInUse(t *testing.T) {
	s := newService(t)
	c := newCache(t, s, sessioncache.Config{Size: 100})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 2000 {
			name := fmt.Sprint(i % 300)
			s.say(name, yes("S"+name, "I"))
			_, _ = c.Session(t.Context(), cookie(name))
			if i%100 == 0 {
				c.Flush()
			}
		}
		c.Close()
	}()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		c.Remembered(10, everySession)
	}
}
