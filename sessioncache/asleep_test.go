//go:build !race

package sessioncache

import (
	"runtime"
	"testing"
)

// A hit of a session that sleeps makes what waking makes, and one copy of the record, whose place another may have soon. The race detector
// drops what ristretto would use again, which is why this runs without it.
func TestP6AHitOfOneThatSleepsCopiesItOnce(t *testing.T) {
	refs, r := asleep()
	h, err := newHotTable(100, refs)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	e := r.wake(refs)
	h.offer(e, moment{mono: e.askedAt})
	h.cache.Wait()
	hit := func() {
		h.sleep()
		if got := h.get(e.digest); got == nil || got.record != r {
			t.Fatal("it is not in the hot table")
		}
	}
	if n := testing.AllocsPerRun(1000, hit); n > 3 { // the entry, its ids, the copy
		t.Errorf("a hit takes %v allocations", n)
	}
	const times, most = 1000, 720 // bytes; 240 of the 680 that it takes are the copy
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		hit()
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / times; n > most {
		t.Errorf("a hit takes %d bytes, of which the record is %d, want %d at most", n, len(r), most)
	}
}
