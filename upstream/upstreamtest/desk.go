package upstreamtest

import (
	"context"
	"sync"
)

// A desk counts questions and may hold their answers back. The zero desk is ready.
type desk struct {
	mu        sync.Mutex
	questions int
	changed   chan struct{} // closed when questions changes
	held      chan struct{} // closed when answers may go; nil if they go at once
}

// Questions returns how many questions have been asked.
func (d *desk) Questions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.questions
}

// Await returns when n questions have been asked since the beginning, answered or not.
func (d *desk) Await(n int) {
	for {
		d.mu.Lock()
		asked := d.questions
		if d.changed == nil {
			d.changed = make(chan struct{})
		}
		changed := d.changed
		d.mu.Unlock()
		if asked >= n {
			return
		}
		<-changed
	}
}

// Hold holds all answers back from now on until release is called. What an answer says is settled when the question arrives, so that an
// answer that was held may be out of date. Calling release again does nothing. There is one hold at a time.
func (d *desk) Hold() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	held := make(chan struct{})
	d.held = held
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		close(held)
		if d.held == held {
			d.held = nil
		}
	})
}

// arrive counts a question and returns its number, from 1.
func (d *desk) arrive() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.questions++
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
	return d.questions
}

// wait returns when an answer may go, or when ctx is done, with its error.
func (d *desk) wait(ctx context.Context) error {
	d.mu.Lock()
	held := d.held
	d.mu.Unlock()
	if held == nil {
		return ctx.Err()
	}
	select {
	case <-held:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
