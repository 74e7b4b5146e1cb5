package garbage

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"
)

func TestPercent(t *testing.T) {
	f := func(held uint64, want int) {
		t.Helper()
		if got := percent(held); got != want {
			t.Errorf("%d bytes: %d %%, want %d %%", held, got, want)
		}
	}
	f(0, 100)
	f(4<<20, 100)
	f(64<<20, 100)
	f(80<<20, 80)
	f(128<<20, 50)
	f(512<<20, 12)
	f(1<<30, 12)
	f(1<<40, 12)
}

// The runtime is told as what is held comes and goes, and what was there before is put back.
func TestBound(t *testing.T) {
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	synctest.Test(t, func(t *testing.T) {
		stop := Bound()
		defer stop()
		f := func(least, most uint64) {
			t.Helper()
			runtime.GC()
			time.Sleep(2 * lookEvery)
			if got := inForce(); got < least || got > most {
				t.Errorf("%d %%, want %d to %d", got, least, most)
			}
		}
		f(100, 100)
		held := make([]byte, 256<<20) // whose pages are never touched
		f(20, 25)
		runtime.KeepAlive(held)
		f(100, 100)
		stop()
		stop()
		f(77, 77)
	})
}

// inForce returns the percentage that the runtime goes by.
func inForce() uint64 {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
