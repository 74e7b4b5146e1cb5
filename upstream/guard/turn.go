package guard

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// A turnstile lets a number of questions through at once, and another number wait for their turn.
type turnstile struct {
	slots   chan struct{} // holds one element for each question that is through
	waiting atomic.Int64
	most    int64 // that may wait
}

func newTurnstile(atOnce, waiting int) *turnstile {
	return &turnstile{slots: make(chan struct{}, atOnce), most: int64(waiting)}
}

// enter waits until it is let through.
func (t *turnstile) enter(ctx context.Context) error {
	select {
	case t.slots <- struct{}{}:
		return nil
	default:
	}
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > t.most {
		return ErrBusy
	}
	select {
	case t.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a turn to ask the session service: %w", ctx.Err())
	}
}

func (t *turnstile) leave() { <-t.slots }

// A pace is how long a service takes for its answers. It is that of the slowest one of late: older ones count for less with each that follows.
type pace struct{ slowest atomic.Int64 }

// note takes in an answer. Of two at the same time one may be lost, which is no matter.
func (p *pace) note(took time.Duration) {
	slowest := p.slowest.Load()
	p.slowest.Store(max(int64(took), slowest-slowest/16))
}

// needed returns how much time the next question should have: twice as much, since no answer is the slowest of all.
func (p *pace) needed() time.Duration { return 2 * time.Duration(p.slowest.Load()) }
