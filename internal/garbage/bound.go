package garbage

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	room  = 64 << 20 // bytes of garbage there is always room for
	share = 8        // of what is held, this part may be garbage as well
	least = 4 << 20  // bytes that Go takes for held at least
)

// How often it is looked how much is held, which is only known better after a collection, and how many looks long garbage may lie about where
// there is room.
const (
	lookEvery = time.Second
	looks     = 2
)

// Bound keeps garbage within bounds until stop is called, which puts back what was there before. It is about the whole process: whoever has
// chosen a pace of their own, by GOGC or GOMEMLIMIT, should not call it.
func Bound() (stop func()) {
	held, made := look()
	now := percent(held, 0)
	before := debug.SetGCPercent(now)
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-done:
				debug.SetGCPercent(before)
				return
			}
			earlier := made
			held, made = look()
			if want := percent(held, looks*(made-earlier)); want != now {
				debug.SetGCPercent(want) // stops the world for a moment
				now = want
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		running.Wait()
	})
}

// look returns how many bytes of the heap were in use after the last collection, and how many were ever taken.
func look() (held, made uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}

// percent returns how much garbage there may be, in percent of the bytes that are held, when so many bytes will be made before long.
func percent(held, soon uint64) int {
	held = max(held, least)
	garbage := min(max(held, soon), max(room, held/share))
	return int(garbage * 100 / held)
}
