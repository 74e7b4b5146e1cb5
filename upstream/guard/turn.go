package guard

import (
	"context"
	"fmt"
	"sync/atomic"
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
