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
	stillness *stillness
	lookEvery time.Duration // as in AppConfig
	born      time.Time
	idleSince time.Time
	used      bool // it has served an exchange before
	sole      bool // it is for one exchange only

	// Of the exchange under way:
	r          *bufio.Reader // reads by Read; nil if there is none
	client     *conn         // on whose behalf; nil if nobody need be looked after
	until      atomic.Int64  // when reading is given up, in nanoseconds since born
	connection [][]byte      // the Connection lines of the last head that was read, borrowed from r
}

func newAppConn(nc net.Conn, lookEvery time.Duration) *appConn {
	return &appConn{Conn: nc, lookEvery: lookEvery, stillness: newStillness(innermost(nc)), born: time.Now()}
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

// allowExchange gives an exchange that begins the time in which the request must have been taken, and in which the head of the response
// must be there.
func (c *appConn) allowExchange(d time.Duration) error {
	if err := c.SetWriteDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	return c.allowRead(d)
}

// allowRead says how long reading may take from now on; 0 is for ever. It may be called while another goroutine reads.
func (c *appConn) allowRead(d time.Duration) error {
	until := int64(math.MaxInt64)
	if d > 0 {
		until = int64(time.Since(c.born) + d)
	}
	c.until.Store(until)
	return c.setReadDeadline()
}

// setReadDeadline sets the time of the next look at the client, or of the end of reading if that is before it.
func (c *appConn) setReadDeadline() error {
	now := time.Now()
	return c.SetReadDeadline(now.Add(min(c.lookEvery, time.Duration(c.until.Load())-now.Sub(c.born))))
}

// Read reads from the application until it has something, its time is over, or the client has gone: an application must see that nobody
// waits for it any more, and the connection is not held for nobody.
func (c *appConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 || err == nil || !isTimeout(err) || time.Since(c.born) >= time.Duration(c.until.Load()) {
			return n, err
		}
		if c.client != nil && c.client.gone() {
			return 0, errClientGone
		}
		if err := c.setReadDeadline(); err != nil {
			return 0, err
		}
	}
}

// drained reports whether TLS holds nothing that has been received and not been read, which no look at the socket shows. Without TLS there
// is nothing to hold.
func (c *appConn) drained() bool {
	secured, ok := c.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	if err := secured.SetReadDeadline(time.Unix(1, 0)); err != nil { // reads what is in memory, and no more
		return false
	}
	var b [1]byte
	n, err := secured.Read(b[:])
	return n == 0 && isTimeout(err)
}
