package garbage

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	room  = 64 << 20 // bytes of garbage that are always allowed
	share = 8        // of what is held, this part is allowed as well
	most  = 100      // percent of what is held: as Go has it
)

// lookEvery is how often it is looked how much is held. It is only known better after a collection.
const lookEvery = time.Second

// Bound keeps garbage within bounds until stop is called, which puts back what was there before. It is about the whole process: whoever has
// chosen a pace of their own, by GOGC or GOMEMLIMIT, should not call it.
func Bound() (stop func()) {
	now := percent(held())
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
			if want := percent(held()); want != now {
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

// held returns how many bytes of the heap were in use after the last collection.
func held() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// percent returns how much garbage there may be, in percent of the bytes that are held.
func percent(held uint64) int {
	allowed := max(room, held/share)
	if held <= allowed {
		return most
	}
	return int(allowed * most / held)
}
