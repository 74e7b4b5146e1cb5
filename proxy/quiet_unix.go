//go:build unix

package proxy

import (
	"io"
	"net"
	"syscall"
)

// A stillness tells whether an idle connection is still open and has nothing to read. An application that closed it would cost a request
// its answer; bytes that nobody asked for would become the answer to somebody else's request (CVE-2026-71324). It is made once a
// connection, so that looking allocates nothing.
type stillness struct {
	raw     syscall.RawConn // nil if it cannot be told
	step    func(fd uintptr) bool
	reading func(fd uintptr) bool
	message []byte // to be sent
	sent    int
	quiet   bool
	into    []byte // what is to be read into
	n       int
	err     error
}

func newStillness(c net.Conn) *stillness {
	s := new(stillness)
	if sc, ok := c.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	s.step, s.reading = s.lookAndSend, s.readInto
	return s
}

// send reports whether the connection is open and has nothing to read. What cannot be told is not so. If it is, send sends what it can of
// message, which may be nil. If that is all of it, it returns when there is something to read or the read deadline has passed, so that
// whoever reads then is not told to wait first.
func (s *stillness) send(message []byte) (sent int, quiet bool) {
	if s.raw == nil {
		return 0, false
	}
	s.message, s.sent, s.quiet = message, 0, false
	_ = s.raw.Read(s.step) // whoever reads next is told of an error
	s.message = nil
	return s.sent, s.quiet
}

// lookAndSend is called again when there is something to read, if it reports false.
func (s *stillness) lookAndSend(fd uintptr) (done bool) {
	if s.quiet {
		return true
	}
	err := peekNow(fd)
	if s.quiet = err == syscall.EAGAIN; !s.quiet || len(s.message) == 0 {
		return true
	}
	if n, err := writeNow(fd, s.message); err == nil {
		s.sent = n
	}
	return s.sent < len(s.message)
}

// reads reports whether read can be called.
func (s *stillness) reads() bool { return s.raw != nil }

// read reads as the connection does, if that is the socket itself.
func (s *stillness) read(p []byte) (int, error) {
	s.into, s.n, s.err = p, 0, nil
	err := s.raw.Read(s.reading)
	s.into = nil
	if err == nil {
		err = s.err
	}
	if s.n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return s.n, err
}

func (s *stillness) readInto(fd uintptr) (done bool) {
	s.n, s.err = readNow(fd, s.into)
	return s.err != syscall.EAGAIN
}
