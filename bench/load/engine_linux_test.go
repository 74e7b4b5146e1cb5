package load

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What comes while a load that spins does not run is not known to have taken so long; what comes while it sleeps wakes it.
func TestLook(t *testing.T) {
	runtime.LockOSThread() // whose time is looked at
	defer runtime.UnlockOSThread()
	e := &engine{began: time.Now()}
	look := func(slept bool) {
		t.Helper()
		if err := e.look(slept); err != nil {
			t.Fatal(err)
		}
	}
	look(true)
	pause := unix.NsecToTimespec((20 * mostAway).Nanoseconds())
	if err := unix.Nanosleep(&pause, nil); err != nil {
		t.Fatal(err)
	}
	look(true)
	if e.away != 0 {
		t.Errorf("the load was away until %v, although it slept", e.away)
	}
	if err := unix.Nanosleep(&pause, nil); err != nil {
		t.Fatal(err)
	}
	look(false)
	if e.away != e.looked.wall || e.away < 20*mostAway {
		t.Errorf("the load was away until %v, want until it looked again, %v", e.away, e.looked.wall)
	}
}
