//go:build unix

package httpclient

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// A quiet tells whether a connection is open and has nothing to read. It is made once a connection, so that looking allocates nothing.
type quiet struct {
	raw   syscall.RawConn // nil if the connection is in memory
	look  func(fd uintptr)
	fds   [1]unix.PollFd
	still bool
}

// newQuiet returns nil if it cannot be told. What is a socket with something around it is not looked into: that may have read more than it
// has given out.
func newQuiet(c net.Conn) *quiet {
	q := new(quiet)
	if inMemory(c) {
		return q
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	q.raw, q.look = raw, q.poll
	return q
}

// now reports whether it is so now.
func (q *quiet) now() bool {
	if q.raw == nil {
		return true
	}
	q.still = false
	return q.raw.Control(q.look) == nil && q.still
}

func (q *quiet) poll(fd uintptr) {
	for {
		q.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} // which also tells of the end, and of errors
		n, err := unix.Poll(q.fds[:], 0)
		if err != unix.EINTR { // as when the scheduler wants the thread
			q.still = err == nil && n == 0
			return
		}
	}
}
