package giveway

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// atOnce is how many go through a Line for each look at the network. A look takes 3 µs, and what is found is in smaller heaps: one for
// each costs a tenth of the work that it is for, and one for four next to nothing.
const atOnce = 4

// A Line is where goroutines wait before long work. It is safe for concurrent use.
type Line struct {
	mu      sync.Mutex // held while the network is looked at
	through int        // since then
	in, out *os.File   // a pipe, which is empty but for what looks at the network
	raw     syscall.RawConn
	mark    [1]byte
}

// New returns a Line. It takes two file descriptors. The caller closes it.
func New() (*Line, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open pipe: %w", err)
	}
	l := &Line{in: in, out: out}
	if l.raw, err = out.SyscallConn(); err != nil {
		l.Close()
		return nil, fmt.Errorf("use pipe: %w", err)
	}
	return l, nil
}

// Wait returns when whatever the network has brought until now is under way, or a few others at most are ahead of it. While a processor
// has nothing to do it returns at once. It waits for nothing in a Line that is closed.
func (l *Line) Wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.through++; l.through >= atOnce {
		l.through = 0
		l.look()
		runtime.Gosched() // those who were found with us go first
	}
}

// look returns when the network was looked at: it waits there for what it sends itself. Where a pipe is not waited for with the network,
// as on Windows, it returns at once.
func (l *Line) look() {
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
}

// Close lets all go on. Nobody is held up after that.
func (l *Line) Close() {
	_ = l.in.Close()
	_ = l.out.Close()
}
