package sessioncache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// readyTimeout is how long the service may take to say whether it is ready.
const readyTimeout = 3 * time.Second

// readiness asks whether the service is to be believed when it says no, at most once a second for everybody. Only questions that the
// service denies although it knew the session a moment ago come here, so it costs nothing while nobody signs out.
type readiness struct {
	ready func(context.Context) error // nil: always

	mu     sync.Mutex
	latest *probe // never nil
}

// A probe is one question for readiness. The first one, number 0, has been made by nobody.
type probe struct {
	number uint64
	began  time.Time
	done   chan struct{} // closed when err is there
	err    error
}

func newReadiness(ready func(context.Context) error) *readiness {
	return &readiness{ready: ready, latest: &probe{done: make(chan struct{})}}
}

// mark returns the number of the latest probe. A probe with a higher number begins later than now.
func (r *readiness) mark() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest.number
}

// confirm returns nil if the service has said that it is ready, asked after mark. Otherwise the error says why it is not, or why that
// is not known. It waits if the latest probe is too old to tell and too young to be repeated.
func (r *readiness) confirm(ctx context.Context, mark uint64) error {
	for {
		r.mu.Lock()
		p, age := r.latest, time.Since(r.latest.began)
		if p.number <= mark && age >= everySecond {
			p = &probe{number: p.number + 1, began: time.Now(), done: make(chan struct{}), err: errors.New("readiness question did not return")}
			r.latest = p
			r.mu.Unlock()
			r.run(ctx, p)
			return p.err
		}
		r.mu.Unlock()
		if p.number > mark {
			select {
			case <-p.done:
				return p.err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case <-time.After(everySecond - age):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// run asks. The probe is over even if Ready panics or ends the goroutine.
func (r *readiness) run(ctx context.Context, p *probe) {
	defer close(p.done)
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	p.err = guarded(func() error { return r.ready(ctx) })
}

// guarded calls f and turns a panic into an error. The error does not contain the value of the panic, which may contain a credential,
// unless the runtime wrote it.
func guarded(f func() error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("session service client panicked: %s", r.Error())
		default:
			err = fmt.Errorf("session service client panicked with a %T", r)
		}
	}()
	return f()
}
