package upstreamtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// ErrDown is an outage, for [Fake.Fail].
var ErrDown = errors.New("service is down")

// A Fake is a Store that knows what it is told. The zero Fake is ready and knows nobody: it says [upstream.ErrNoSession]. It is safe for
// concurrent use, and honours the context while it delays or holds an answer.
type Fake struct {
	desk

	mu     sync.Mutex
	known  map[key]verdict
	asked  map[key]int
	script Script
	fault  error
	delay  time.Duration
}

var _ upstream.Store = (*Fake)(nil)

// A Script answers in place of a [Fake].
type Script func(ctx context.Context, c upstream.Credential) (upstream.Answer, error)

// A key is a credential in memory of its own.
type key struct {
	kind  upstream.Kind
	name  string
	value string
}

func keyOf(c upstream.Credential) key { return key{c.Kind, c.Name, string(c.Value)} }

type verdict struct {
	answer upstream.Answer
	err    error
}

// Know makes a the answer to c until c is forgotten.
func (f *Fake) Know(c upstream.Credential, a upstream.Answer) { f.tell(c, verdict{answer: a}) }

// Deny makes err the answer to c until c is forgotten.
func (f *Fake) Deny(c upstream.Credential, err error) { f.tell(c, verdict{err: err}) }

func (f *Fake) tell(c upstream.Credential, v verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = make(map[key]verdict)
	}
	f.known[keyOf(c)] = v
}

// Forget makes c a credential that nobody knows.
func (f *Fake) Forget(c upstream.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, keyOf(c))
}

// Fail makes err the answer to every question. Nil ends that.
func (f *Fake) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = err
}

// Delay makes every answer take d.
func (f *Fake) Delay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// Follow makes script give all the answers, whatever else the Fake was told. Nil ends that. Several goroutines may call it at once.
func (f *Fake) Follow(script Script) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = script
}

// Asked returns how many questions were about c.
func (f *Fake) Asked(c upstream.Credential) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[keyOf(c)]
}

// Session answers as the Fake was told. A credential of no kind is denied without being counted.
func (f *Fake) Session(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
	if c.Kind == upstream.NoCredential {
		return upstream.Answer{}, upstream.ErrNoSession
	}
	v, script, delay := f.decide(c)
	f.arrive()
	if script != nil {
		return script(ctx, c)
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := f.wait(ctx); err != nil {
		return upstream.Answer{}, fmt.Errorf("ask fake: %w", err)
	}
	return v.answer, v.err
}

// decide settles the answer to a question. That comes before the question is counted, so that nobody who awaited it can change the
// answer any more.
func (f *Fake) decide(c upstream.Credential) (verdict, Script, time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked == nil {
		f.asked = make(map[key]int)
	}
	k := keyOf(c)
	f.asked[k]++
	v, known := f.known[k]
	switch {
	case f.fault != nil:
		v = verdict{err: f.fault}
	case !known:
		v = verdict{err: upstream.ErrNoSession}
	}
	return v, f.script, f.delay
}
