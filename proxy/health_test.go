package proxy

import (
	"testing"
	"testing/synctest"
	"time"
)

// An application that cannot be reached is left alone for a while that grows, then one tries while the others go on failing, and the first
// success ends it.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h health
		try := func(failed bool) change {
			t.Helper()
			a, ok := h.begin()
			if !ok {
				t.Fatal("may not try")
			}
			return h.end(a, failed, false)
		}
		rests := func(pause time.Duration) {
			t.Helper()
			if _, ok := h.begin(); ok || !h.down() {
				t.Fatal("it is tried although it is down")
			}
			time.Sleep(pause - time.Nanosecond)
			if _, ok := h.begin(); ok {
				t.Fatalf("it is tried before %s have passed", pause)
			}
			time.Sleep(time.Nanosecond)
			probe, ok := h.begin()
			if !ok {
				t.Fatalf("nobody tries after %s", pause)
			}
			h.end(probe, true, true) // given up, so that it is as before
		}
		for i, want := range []change{nothingNew, nothingNew, wentDown} {
			if got := try(true); got != want {
				t.Errorf("failure %d: %v, want %v", i, got, want)
			}
		}
		for _, pause := range []time.Duration{125, 250, 500, 1000, 1000, 1000} {
			rests(pause * time.Millisecond)
			if got := try(true); got != nothingNew {
				t.Errorf("another failure: %v", got)
			}
		}

		rests(time.Second)
		probe, _ := h.begin()
		if _, ok := h.begin(); ok {
			t.Error("two try at once")
		}
		h.end(probe, true, true) // given up: says nothing, and somebody else may try
		if got := try(false); got != cameUp || h.down() {
			t.Errorf("success: %v, down %v", got, h.down())
		}

		// What began before it went down tells nothing new when it fails, and ends it when it succeeds.
		early, _ := h.begin()
		late, _ := h.begin()
		for range failuresUntilDown {
			try(true)
		}
		h.end(early, true, false)
		rests(125 * time.Millisecond)
		if got := h.end(late, false, false); got != cameUp {
			t.Errorf("late success: %v", got)
		}
		try(true)
		try(true)
		try(false) // only failures in a row count
		try(true)
		if h.down() {
			t.Error("down after failures that were not in a row")
		}
	})
}
