//go:build unix

package proxy

import (
	"io"
	"net"
	"syscall"
)

// A socket is that of a connection which nothing lies over, neither TLS nor what another proxy has said first. It is read and written by
// system calls of our own.
//
// That is done within one step of [syscall.RawConn], as far as it goes. What is read at the beginning of a step is read after the runtime
// has forgotten what it knew of the socket (pollReset, which RawConn.Read calls once). From then on the runtime notes every event that epoll
// or kqueue tell it of, and they tell of everything that comes after a read has said that there is nothing. So a step that says that it
// is not done is taken again when there is something, also if that came before the runtime began to wait. While a step lasts, the socket can
// be written and asked about, but whoever closes it waits.
//
// A read that fills less than it could has taken all there was. To read again, only to be told so, is worth it for one thing: an end that
// came together with the last bytes is told of once, with them. While requests come briskly that read is left out, and the end is looked
// for lookAfter the last one.
type socket struct {
	raw     syscall.RawConn // nil if there is none
	step    func(fd uintptr) bool
	sending func(fd uintptr)
	turn    turn // what the last step has led to
}

// opened reports whether there is a socket.
func (s *socket) opened() bool { return s.raw != nil }

// openSocket looks for the socket of the connection.
func (l *lane) openSocket() {
	switch c := l.conn.Conn.(type) {
	case *net.TCPConn:
		l.socket.raw, _ = c.SyscallConn()
	case *net.UnixConn:
		l.socket.raw, _ = c.SyscallConn()
	}
	l.socket.step, l.socket.sending = l.stepOnSocket, l.sendNow
}

// runOnSocket is [lane.run] by the socket.
func (l *lane) runOnSocket() turn {
	for {
		if err := l.socket.raw.Read(l.socket.step); err != nil {
			if l.looks(err) {
				continue
			}
			l.socket.turn = l.received(0, err)
		}
		if l.unsent() && l.flush() != nil { // which the socket did not take at once
			return end
		}
		if l.socket.turn != stay {
			return l.socket.turn
		}
	}
}

// looks reports whether a read has failed because it is time to look whether the client has gone. Then another one looks.
func (l *lane) looks(err error) bool {
	if !l.unsure || !isTimeout(err) {
		return false
	}
	l.unsure = false
	return l.await()
}

// stepOnSocket reads, serves and answers until there is nothing more to read. It reports false to be called again when there is.
func (l *lane) stepOnSocket(fd uintptr) (done bool) {
	for {
		l.acquire()
		into := l.memory.in[l.end:]
		n, err := readNow(fd, into)
		l.unsure = false
		switch {
		case err == syscall.EAGAIN:
			return l.pause()
		case err == nil && n == 0:
			err = io.EOF
		}
		if l.socket.turn = l.received(n, err); l.socket.turn != stay {
			return true
		}
		if l.serveOnSocket(fd); l.socket.turn != stay || l.unsent() {
			return true
		}
		if l.brisk && l.idle() && n < len(into) {
			l.unsure = true
			return l.pause()
		}
	}
}

// serveOnSocket serves what has been read, and sends what the socket takes of the answers. Requests that wait or pass do so within the step,
// so that what the client sends meanwhile is noted.
func (l *lane) serveOnSocket(fd uintptr) {
	for {
		l.socket.turn = l.serve()
		if l.unsent() {
			l.sendNow(fd)
		}
		if t := l.socket.turn; t != ask && t != pass || l.unsent() {
			return
		}
		if l.socket.turn = l.goOn(l.socket.turn); l.socket.turn != stay || l.idle() {
			return
		}
	}
}

// sendNow sends what the socket takes of what is to be sent.
func (l *lane) sendNow(fd uintptr) {
	if sent, err := writeNow(fd, l.memory.out); err == nil {
		l.memory.out = append(l.memory.out[:0], l.memory.out[sent:]...)
	}
}

// send sends what the socket takes at once of what is to be sent.
func (l *lane) send() {
	if l.socket.opened() {
		_ = l.socket.raw.Control(l.socket.sending) // whoever writes the rest is told of an error
	}
}

// pause prepares for waiting. It reports true if the connection ends instead.
func (l *lane) pause() (done bool) {
	if l.idle() {
		l.release()
	}
	if l.await() {
		return false
	}
	l.socket.turn = end
	return true
}
