package proxy

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// A look tells whether the peer of a connection has closed it, whatever is still to be read.
type look struct{ raw syscall.RawConn } // nil if it cannot be told

func newLook(c net.Conn) *look {
	l := new(look)
	if sc, ok := c.(syscall.Conn); ok {
		l.raw, _ = sc.SyscallConn()
	}
	return l
}

// gone reports whether the peer has closed at least its side. What cannot be told is not so.
func (l *look) gone() bool {
	if l.raw == nil {
		return false
	}
	closed := false
	err := l.raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(fds, 0)
		closed = err == nil && n > 0
	})
	return err != nil || closed
}
