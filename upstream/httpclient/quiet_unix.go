//go:build unix

package httpclient

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// A quiet tells whether a connection is open and has nothing to read. It is made once a connection, so that looking allocates nothing.
type quiet struct {
	raw   syscall.RawConn // nil if the connection is no socket
	look  func(fd uintptr)
	fds   [1]unix.PollFd
	still bool
}

func newQuiet(c net.Conn) *quiet {
	q := new(quiet)
	if sc, ok := c.(syscall.Conn); ok {
		q.raw, _ = sc.SyscallConn()
	}
	q.look = q.poll
	return q
}

// now reports whether it is so now. Of what is no socket, and so in memory, it is said to be so: whoever writes to it is told at once.
func (q *quiet) now() bool {
	if q.raw == nil {
		return true
	}
	q.still = false
	return q.raw.Control(q.look) == nil && q.still
}

func (q *quiet) poll(fd uintptr) {
	q.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} // which also tells of the end, and of errors
	n, err := unix.Poll(q.fds[:], 0)
	q.still = err == nil && n == 0
}
