//go:build unix

package proxy

import (
	"net"
	"syscall"
)

// A stillness tells whether an idle connection is still open and has nothing to read. An application that closed it would cost a request
// its answer; bytes that nobody asked for would become the answer to somebody else's request (CVE-2026-71324). It is made once a
// connection, so that looking allocates nothing.
type stillness struct {
	raw   syscall.RawConn // nil if it cannot be told
	look  func(fd uintptr) bool
	quiet bool
	b     [1]byte
}

func newStillness(c net.Conn) *stillness {
	s := new(stillness)
	if sc, ok := c.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	s.look = func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), s.b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		s.quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	}
	return s
}

// holds reports whether the connection is open and has nothing to read. What cannot be told is not so.
func (s *stillness) holds() bool {
	s.quiet = false
	return s.raw != nil && s.raw.Read(s.look) == nil && s.quiet
}
