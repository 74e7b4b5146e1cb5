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
	f := func(held, soon uint64, want int) {
		t.Helper()
		if got := percent(held, soon); got != want {
			t.Errorf("%d bytes and %d soon: %d %%, want %d %%", held, soon, got, want)
		}
	}
	f(0, 0, 100)
	f(4<<20, 0, 100)
	f(64<<20, 0, 100)
	f(80<<20, 0, 80)
	f(128<<20, 0, 50)
	f(512<<20, 0, 12)
	f(1<<30, 0, 12)
	f(1<<40, 0, 12)

	f(0, 8<<20, 200)
	f(0, 1<<40, 1600)
	f(4<<20, 1<<40, 1600)
	f(16<<20, 8<<20, 100)
	f(16<<20, 48<<20, 300)
	f(16<<20, 1<<40, 400)
	f(128<<20, 1<<40, 50)
	f(1<<30, 1<<40, 12)
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
		for range 1 << 14 {
			sink = make([]byte, 4<<10)
		}
		runtime.GC()
		time.Sleep(lookEvery)
		synctest.Wait()
		if got := inForce(); got < 800 || got > 1600 {
			t.Errorf("%d %% while much garbage is made", got)
		}
		f(100, 100)
		stop()
		stop()
		f(77, 77)
	})
}

var sink []byte // so that what is made is taken from the heap

// inForce returns the percentage that the runtime goes by.
func inForce() uint64 {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
