package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// errClientGone says that the client left while the application was waited for.
var errClientGone = errors.New("client left before the application had answered")

const appBuffer = 16 << 10 // of what is read; also the limit on the head of a response

// appReaders are lent to connections for the time of an exchange: most connections are idle, and have nothing to read.
var appReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, appBuffer) }}

// An appConn is a connection to an application. It serves one exchange at a time, in which an upload may write while others read.
type appConn struct {
	net.Conn
	plain     bool // what is written to it is what the socket sends
	stillness *stillness
	lookEvery time.Duration // as in AppConfig
	born      time.Time
	idleSince time.Duration // since born, as are all times here
	used      bool          // it has served an exchange before
	sole      bool          // it is for one exchange only

	// Of the exchange under way:
	r          *bufio.Reader // reads by Read; nil if there is none
	client     *conn         // on whose behalf; nil if nobody need be looked after
	until      atomic.Int64  // when reading is given up, in nanoseconds
	look       atomic.Int64  // when the read deadline is, likewise
	headSize   int           // of the head that was waited for last
	connection [][]byte      // the Connection lines of the last head that was read, borrowed from r
}

func newAppConn(nc net.Conn, lookEvery time.Duration) *appConn {
	socket := innermost(nc)
	return &appConn{Conn: nc, plain: socket == nc, lookEvery: lookEvery, stillness: newStillness(socket), born: time.Now()}
}

// innermost returns the connection below TLS and the like, to which the socket belongs.
func innermost(c net.Conn) net.Conn {
	for {
		outer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = outer.NetConn()
	}
}

// take begins an exchange.
func (c *appConn) take(client *conn) {
	c.r, c.client = appReaders.Get().(*bufio.Reader), client
	c.r.Reset(c)
}

// release ends the exchange, and gives back what it needed.
func (c *appConn) release() {
	r := c.r
	c.r, c.client, c.connection = nil, nil, c.connection[:0]
	if r != nil {
		r.Reset(nil)
		appReaders.Put(r)
	}
}

// age returns how long there has been the connection, which is what time it is for it.
func (c *appConn) age() time.Duration { return time.Since(c.born) }

// allowRead says how long reading may take from now on; 0 is for ever. It may be called while another goroutine reads.
func (c *appConn) allowRead(d time.Duration) error { return c.allowReadFrom(c.age(), d) }

// allowReadFrom is allowRead for who knows what time it is.
func (c *appConn) allowReadFrom(now, d time.Duration) error {
	until := time.Duration(math.MaxInt64)
	if d > 0 {
		until = now + d
	}
	c.until.Store(int64(until))
	// A look that is due before that is as good as one that is due later, and moving it for every exchange would cost.
	if look := time.Duration(c.look.Load()); look > now+c.lookEvery/2 && look <= until {
		return nil
	}
	return c.setLook(now)
}

// setLook sets the read deadline to the time of the next look at the client, or to the end of reading if that is before it.
func (c *appConn) setLook(now time.Duration) error {
	look := min(now+c.lookEvery, time.Duration(c.until.Load()))
	c.look.Store(int64(look))
	return c.SetReadDeadline(c.born.Add(look))
}

// Read reads from the application until it has something, its time is over, or the client has gone: an application must see that nobody
// waits for it any more, and the connection is not held for nobody.
func (c *appConn) Read(p []byte) (int, error) {
	for {
		n, err := c.readOnce(p)
		if n > 0 || err == nil || !isTimeout(err) {
			return n, err
		}
		now := c.age()
		if now >= time.Duration(c.until.Load()) {
			return n, err
		}
		if c.client != nil && c.client.gone() {
			return 0, errClientGone
		}
		if err := c.setLook(now); err != nil {
			return 0, err
		}
	}
}

// readOnce reads until the read deadline.
func (c *appConn) readOnce(p []byte) (int, error) {
	if c.plain && c.stillness.reads() {
		return c.stillness.read(p)
	}
	return c.Conn.Read(p)
}

// write sends p within d.
func (c *appConn) write(p []byte, d time.Duration) error {
	if err := c.SetWriteDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	_, err := c.Write(p)
	return err
}

// drained reports whether TLS holds nothing that has been received and not been read, which no look at the socket shows. Without TLS there
// is nothing to hold.
func (c *appConn) drained() bool {
	secured, ok := c.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	c.look.Store(0)
	if err := secured.SetReadDeadline(time.Unix(1, 0)); err != nil { // reads what is in memory, and no more
		return false
	}
	var b [1]byte
	n, err := secured.Read(b[:])
	return n == 0 && isTimeout(err)
}
