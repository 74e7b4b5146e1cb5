package giveway

import (
	"os"
	"runtime"
	"sync"
	"syscall"
)

// atOnce is how many go through a Line for each look at the network. A look takes 3 µs, and what is found is in smaller heaps: one for
// each costs a tenth of the work that it is for, and one for four next to nothing.
const atOnce = 4

// A Line is where goroutines wait before long work. The zero Line is one that nobody has waited in. It is safe for concurrent use, and must
// not be copied.
type Line struct {
	mu      sync.Mutex // held while the network is looked at
	through int        // so many
	in, out *os.File   // a pipe, which is empty but for what looks at the network; nil before the first look
	raw     syscall.RawConn
	closed  bool
	mark    [1]byte
}

// Wait returns when whatever the network has brought until now is under way, or a few others at most are ahead of it. While a processor
// has nothing to do it returns at once. It waits for nothing in a Line that is closed, and where no file descriptors are left.
func (l *Line) Wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.through%atOnce == 0 {
		l.look()
	}
	l.through++
}

// look returns when the network was looked at: it waits there for what it sends itself. Where a pipe is not waited for with the network,
// as on Windows, it returns at once.
func (l *Line) look() {
	if l.closed || l.in == nil && !l.open() {
		return
	}
	sent := false
	_ = l.raw.Read(func(uintptr) bool { // which waits when that returns false, and not before, as reading would for what is there already
		if sent {
			return true
		}
		_, err := l.in.Write(l.mark[:])
		sent = err == nil
		return !sent
	})
	if sent {
		_, _ = l.out.Read(l.mark[:])
	}
	runtime.Gosched() // what was found together with that goes first
}

// open opens the pipe.
func (l *Line) open() bool {
	out, in, err := os.Pipe()
	if err != nil {
		return false
	}
	l.in, l.out = in, out
	l.raw, err = out.SyscallConn()
	return err == nil // which it always is: the file is open
}

// Close gives back the two file descriptors that a Line takes.
func (l *Line) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed = true; l.in != nil {
		_ = l.in.Close()
		_ = l.out.Close()
	}
}
