package load

import (
	"math/rand/v2"
	"time"
)

// arrivals are when requests are due, since the beginning.
type arrivals struct {
	rate   float64
	length time.Duration
	random *rand.Rand
	due    time.Duration // the next one
}

func newArrivals(rate float64, length time.Duration, seed uint64) *arrivals {
	a := &arrivals{rate: rate, length: length, random: rand.New(rand.NewPCG(seed, 0))}
	a.advance()
	return a
}

// next returns when the next request is due. There is none after length.
func (a *arrivals) next() (due time.Duration, more bool) { return a.due, a.due < a.length }

// advance goes on to the one after it. In a closed loop every request is due at once.
func (a *arrivals) advance() {
	if a.rate > 0 {
		a.due += time.Duration(a.random.ExpFloat64() / a.rate * float64(time.Second))
	}
}
