package giveway

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// perLook is how many go through a Line for each look at the network. A look takes 3 µs, and what is found is in smaller heaps: one for
// each costs a tenth of the work that it is for, and one for four next to nothing.
const perLook = 4

// share is how much time of others lets one more through: where short work takes all of a processor, a thousand go through in a second.
const share = time.Millisecond

// A Line is where goroutines wait before long work, which is some 50 µs. The zero Line is one that nobody has waited in. It is safe for
// concurrent use, and must not be copied.
type Line struct {
	mu     sync.Mutex // held while the network is looked at
	left   int        // who may still go through before the next look
	r, w   *os.File   // a pipe, which is empty but for what looks at the network; nil before the first look
	raw    syscall.RawConn
	closed bool
	mark   [1]byte
}

// Wait lets what the network has brought go first. Callers go on in the order in which they came, some after each look at the network, so Wait
// takes as long as those before it and what they give way to: no time while a processor has nothing to do. It knows no deadline. It waits for
// nothing in a Line that is closed, and where no file descriptors are left.
func (l *Line) Wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 {
		began := time.Now()
		l.look()
		l.left = due(time.Since(began))
	}
	l.left--
}

// due returns how many go through after a look that took so long.
func due(took time.Duration) int { return max(perLook, int(took/share)) }

// look returns when the network was looked at: it waits there for what it sends itself. Where a pipe is not waited for with the network,
// as on Windows, it returns at once.
func (l *Line) look() {
	if l.closed || l.r == nil && !l.open() {
		return
	}
	sent := false
	_ = l.raw.Read(func(uintptr) bool { // which waits when that returns false, and not before, as reading would for what is there already
		if sent {
			return true
		}
		_, err := l.w.Write(l.mark[:])
		sent = err == nil
		return !sent
	})
	if sent {
		_, _ = l.r.Read(l.mark[:])
	}
	runtime.Gosched() // what was found together with that goes first
}

// open opens the pipe.
func (l *Line) open() bool {
	r, w, err := os.Pipe()
	if err != nil {
		return false
	}
	l.r, l.w = r, w
	l.raw, err = r.SyscallConn()
	return err == nil // which it always is: the file is open
}

// Close gives back the two file descriptors that a Line takes.
func (l *Line) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed = true; l.r != nil {
		_ = l.r.Close()
		_ = l.w.Close()
	}
}
