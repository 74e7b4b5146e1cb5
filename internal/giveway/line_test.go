package giveway_test

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/internal/giveway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// One goroutine waits for the network, and fifty others for their turn on the one processor, without end. What comes is served after few turns.
func TestWhatComesGoesFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var l giveway.Line
	defer l.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()

	var turns, served atomic.Int64 // work that was done, and when what came was served
	came := make(chan struct{})
	var workers sync.WaitGroup
	workers.Go(func() {
		defer close(came)
		var b [1]byte
		if _, err := far.Read(b[:]); err == nil {
			served.Store(turns.Load())
		}
	})
	warm, done := make(chan struct{}), make(chan struct{})
	for range 50 {
		workers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					l.Wait()
					if turns.Add(1) == 1000 {
						close(warm)
					}
				}
			}
		})
	}
	<-warm
	sent := turns.Load()
	if _, err := near.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-came
	close(done)
	workers.Wait()
	late := served.Load() - sent
	if late > 50 {
		t.Errorf("served after %d turns of others", late)
	}
}

// Nobody is left in a line that nobody else is in, nor in one that is closed.
func TestLineMovesOn(t *testing.T) {
	var l giveway.Line
	defer l.Close()
	var workers sync.WaitGroup
	for range 20 {
		workers.Go(func() {
			for range 200 {
				l.Wait()
			}
		})
	}
	workers.Wait()
	for range 20 {
		workers.Go(func() {
			for range 200 {
				l.Wait()
			}
		})
	}
	l.Close()
	workers.Wait()
	l.Wait()
}

// One in four looks at the network.
func BenchmarkWait(b *testing.B) {
	var l giveway.Line
	defer l.Close()
	for b.Loop() {
		l.Wait()
	}
}
