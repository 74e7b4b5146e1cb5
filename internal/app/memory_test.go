package app_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A memoryServer is a server whose connections are only memory: no kernel, and so no noise.
type memoryServer struct{ ln *memoryListener }

// inMemory lets s serve until the test ends.
func inMemory(tb testing.TB, s interface{ Serve(net.Listener) error }) memoryServer {
	ln := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	tb.Cleanup(func() {
		_ = ln.Close()
		<-ended
	})
	return memoryServer{ln}
}

// ask sends a request n times over one connection, and returns the last answer. All of them must be 200, and each comes in one write.
func (m memoryServer) ask(tb testing.TB, request []byte, n int) []byte {
	tb.Helper()
	c := &memoryConn{request: request, left: n, done: make(chan struct{})}
	m.ln.conns <- c
	<-c.done
	if c.answers != n {
		tb.Fatalf("%d of %d answers are 200, the last is %q", c.answers, n, c.answer)
	}
	return c.answer
}

// A memoryListener accepts the connections that are sent to it.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, io.EOF
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// A memoryConn is a client that sends the same request again and again.
type memoryConn struct {
	request       []byte
	each          func() // is called before each request, which it may change; may be nil
	unread        []byte // of the request that is under way
	left, answers int    // requests that are not begun, answers of 200
	answer        []byte
	once          sync.Once
	done          chan struct{} // closed with the connection
}

func (c *memoryConn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		if c.left == 0 {
			return 0, io.EOF
		}
		c.left--
		if c.each != nil {
			c.each()
		}
		c.unread = c.request
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (c *memoryConn) Write(p []byte) (int, error) {
	c.answer = append(c.answer[:0], p...)
	if strings.HasPrefix(string(p[:min(len(p), 32)]), "HTTP/1.1 200 ") {
		c.answers++
	}
	return len(p), nil
}

func (c *memoryConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (c *memoryConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }
