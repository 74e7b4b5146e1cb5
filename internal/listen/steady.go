package listen

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A steady listener outlasts what goes wrong with accepting a connection. Servers differ in that: fasthttp ends at everything that is not
// a timeout (acceptConn in its server.go).
type steady struct {
	net.Listener
	log    *slog.Logger
	warn   seldom
	closed chan struct{}
	close  func() error
}

// Pauses before it is tried again, as in net/http.
const (
	leastPause = 5 * time.Millisecond
	mostPause  = time.Second
)

func newSteady(ln net.Listener, log *slog.Logger) *steady {
	s := &steady{Listener: ln, log: log, closed: make(chan struct{})}
	s.close = sync.OnceValue(func() error {
		close(s.closed)
		return ln.Close()
	})
	return s
}

func (s *steady) Close() error { return s.close() }

// Accept is called by one goroutine at a time.
func (s *steady) Accept() (net.Conn, error) {
	for pause := time.Duration(0); ; {
		c, err := s.Listener.Accept()
		if err == nil || isPermanent(err) {
			return c, err
		}
		if ok, missed := s.warn.allow(); ok {
			message := "connections cannot be accepted now and have to wait"
			if errors.Is(err, syscall.EMFILE) {
				message += ": raise the limit of open files, which is LimitNOFILE= in a unit of systemd"
			}
			s.log.Error(message, "address", s.Addr().String(), "error", err, "not_logged", missed)
		}
		pause = min(max(2*pause, leastPause), mostPause)
		select {
		case <-time.After(pause):
		case <-s.closed:
			return nil, net.ErrClosed
		}
	}
}

// isPermanent reports whether an error means that the socket is of no use any more, and not only that something is wrong with one
// connection, the network or the machine: see ERRORS in accept(2).
func isPermanent(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	return !ok || slices.Contains([]syscall.Errno{syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK}, errno)
}
