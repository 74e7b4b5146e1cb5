package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// unreadyTime is how long a client may take until its connection is ready: for the header of the PROXY protocol, and the handshake.
	unreadyTime = 10 * time.Second

	// maxUnready is how many connections may be waited for at one listener. They cost less than those that a server reads a request from.
	maxUnready = 1 << 15
)

// A front is a listener that makes connections ready before it hands them out, all of them at once.
type front struct {
	net.Listener
	cfg   Config
	warn  seldom
	plain seldom // likewise, of clients that speak HTTP where HTTPS is
	ready chan net.Conn
	slots chan struct{} // one for each that is not yet ready

	closing context.Context
	close   context.CancelFunc
	work    sync.WaitGroup
	ended   chan struct{} // closed when nothing is accepted any more
	err     error         // why; set before that
}

func newFront(ln net.Listener, cfg Config, max int) *front {
	f := &front{
		Listener: ln, cfg: cfg,
		ready: make(chan net.Conn), slots: make(chan struct{}, max), ended: make(chan struct{}),
	}
	f.closing, f.close = context.WithCancel(context.Background())
	f.work.Go(f.run)
	return f
}

// Accept returns the next connection that is ready.
func (f *front) Accept() (net.Conn, error) {
	select {
	case c := <-f.ready:
		return c, nil
	case <-f.ended:
		return nil, f.err
	}
}

// Close closes the listener and every connection that it has not handed out.
func (f *front) Close() error {
	err := f.Listener.Close()
	f.close()
	f.work.Wait()
	return err
}

func (f *front) run() {
	defer close(f.ended)
	for {
		c, err := f.Listener.Accept()
		if err != nil {
			f.err = err
			return
		}
		select {
		case f.slots <- struct{}{}:
			f.work.Go(func() {
				f.usher(c)
				<-f.slots
			})
		default:
			f.warned(c, errors.New("too many connections are not yet ready"))
			_ = c.Close()
		}
	}
}

// usher hands out a connection once it is ready, or closes it.
func (f *front) usher(c net.Conn) {
	stop := context.AfterFunc(f.closing, func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(unreadyTime))
	ready, err := f.prepare(c)
	if err != nil || !stop() || c.SetDeadline(time.Time{}) != nil {
		_ = c.Close()
		return
	}
	select {
	case f.ready <- ready:
	case <-f.closing.Done():
		_ = c.Close()
	}
}

// prepare returns the connection as a server shall have it.
func (f *front) prepare(c net.Conn) (net.Conn, error) {
	if f.cfg.Relay != nil {
		relayed, err := f.relayed(c)
		if err != nil {
			return nil, err
		}
		c = relayed
	}
	if f.cfg.TLS == nil {
		return c, nil
	}
	secured := tls.Server(c, f.cfg.TLS)
	if err := secured.Handshake(); err != nil {
		f.cfg.Logger.Debug("handshake failed", "peer", c.RemoteAddr().String(), "error", err)
		f.answerPlain(err)
		return nil, err
	}
	return secured, nil
}

// answerPlain tells a client that speaks HTTP where TLS is spoken what is wrong, and the operator too.
func (f *front) answerPlain(err error) {
	wrong, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || wrong.Conn == nil || wrong.RecordHeader[0] < 'A' || wrong.RecordHeader[0] > 'Z' { // no method
		return
	}
	_, _ = io.WriteString(wrong.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 32\r\n"+
		"Connection: close\r\n\r\nHTTP was spoken where HTTPS is.\n")
	if ok, missed := f.plain.allow(); ok {
		f.cfg.Logger.Warn("client speaks HTTP where HTTPS is: let it use https://, or take tls away from this address of listen",
			"address", f.Addr().String(), "peer", wrong.Conn.RemoteAddr().String(), "not_logged", missed)
	}
}

// warned tells the operator of a connection that was turned away.
func (f *front) warned(c net.Conn, err error) {
	if ok, missed := f.warn.allow(); ok {
		f.cfg.Logger.Warn("connection was turned away",
			"address", f.Addr().String(), "peer", c.RemoteAddr().String(), "error", err, "not_logged", missed)
	}
}
