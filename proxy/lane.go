package proxy

import (
	"errors"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// A lane is the short way of a connection's requests: that of the plainest ones, when they may pass. It knows nothing of what is hard about
// HTTP. What is not plain goes the long way, which is fasthttp's, as if there were no lane: the bytes that were read so far are handed over,
// and nobody has been told of the request. What is plain is decided on in the lane, by what is remembered or as the session service says, and
// goes the long way together with the decision if that is anything but a plain permission. So nothing is asked or told twice, the lane never
// refuses anything, and it cannot disagree with the long way about what it does not serve.
type lane struct {
	conn       *conn
	memory     *laneMemory // nil while nothing has been read: an idle connection holds none
	begin, end int         // of what was read and has not been served
	now        time.Time   // when the last request was answered, or when the connection began
	brisk      bool        // that was soon after the one before
	unsure     bool        // it has not been looked whether the client has ended its side
	partial    bool        // the head of a request is there in part, and its time is running
	next       extent      // of the request that leaves, waits or passes
	current    *request    // which waits or passes
	failure    error       // why nothing more can be read
	socket     socket
}

// laneMemory is what a lane holds while it serves.
type laneMemory struct {
	in  [16 << 10]byte
	out []byte // what is to be sent
}

var laneMemories = sync.Pool{New: func() any { return &laneMemory{out: make([]byte, 0, 4<<10)} }}

// Of clients that go on asking: how soon after an answer they ask again, and after which time it is looked whether they have gone.
const (
	briskly   = 10 * time.Millisecond
	lookAfter = 100 * time.Millisecond
)

// A turn is where a connection goes from here.
type turn uint8

const (
	stay  turn = iota // the next request is to be read, or the rest of this one
	ask               // this request waits for the session service
	pass              // this request goes on to the application
	leave             // this request goes the long way
	end               // the connection ends
)

// serve serves the requests of the connection until it ends, or belongs to somebody else. A panic that nobody else has stopped ends the
// connection, and no other.
func (c *conn) serve() {
	l := &c.lane
	defer func() {
		if failure := recover(); failure != nil {
			c.server.cfg.Logger.Error("panic while serving a connection: it was cut off", "panic", failure, "stack", string(debug.Stack()))
			l.memory = nil // whoever has it now
			c.ours.Store(false)
			l.giveUp()
			_ = c.Close()
		}
	}()
	l.conn, l.now = c, c.born
	l.openSocket()
	c.ours.Store(true)
	for {
		switch l.goOn(l.run()) {
		case leave:
			if !l.handOver() {
				return
			}
		case end:
			l.drop()
			l.release()
			c.ours.Store(false)
			_ = c.Close()
			return
		}
	}
}

// giveUp ends what a panic has left under way, so that it takes up nobody's place. Observers are told of it, unless that panics, too.
func (l *lane) giveUp() {
	c := l.conn
	defer func() {
		_ = recover()
		c.settle()
	}()
	if r := c.takeBegun(); r != nil {
		r.abandon(policy.Unavailable, policy.InternalError, fasthttp.StatusInternalServerError)
	}
	l.drop()
}

// run serves requests until one leaves, or the connection ends.
func (l *lane) run() turn {
	if t := l.serve(); t != stay || l.unsent() { // what came behind a request that has gone the long way
		if l.flush() != nil {
			return end
		}
		if t != stay {
			return t
		}
	}
	if l.socket.opened() {
		return l.runOnSocket()
	}
	for {
		if !l.await() {
			return end
		}
		if t := l.receive(); t != stay {
			return t
		}
		t := l.serve()
		if l.flush() != nil {
			return end
		}
		if t != stay {
			return t
		}
	}
}

// receive reads what there is, by the ordinary way. Nothing is held while there is nothing.
func (l *lane) receive() turn {
	var first [1]byte
	into := first[:]
	if l.memory != nil {
		into = l.memory.in[l.end:]
	}
	n, err := l.conn.Conn.Read(into)
	if n > 0 && l.memory == nil {
		l.acquire()
		l.memory.in[0] = first[0]
		if t := l.received(n, nil); err != nil || t != stay {
			return t
		}
		if !l.await() {
			return end
		}
		n, err = l.conn.Conn.Read(l.memory.in[l.end:])
	}
	return l.received(n, err)
}

// received takes in that n more bytes were read, or that nothing more can be read.
func (l *lane) received(n int, err error) turn {
	c := l.conn
	switch {
	case n > 0:
		l.end += n
		c.heard.Store(true)
		return stay
	case err == nil:
		return stay
	case l.idle() && (c.answered.Load() || errors.Is(err, io.EOF) || c.server.down.Load()): // nobody is owed an answer
		return end
	}
	l.failure, l.next = err, extent{}
	return leave
}

// await makes the time take effect in which more must have been read: that for the whole head if it has begun, or if it is the first, and
// else the time that a connection may be idle. It reports false if the connection is to end.
func (l *lane) await() bool {
	c := l.conn
	now, d := l.now, c.server.limits.HeadTimeout
	switch idle, answered := l.idle(), c.answered.Load(); {
	case idle && answered:
		if c.server.down.Load() {
			return false
		}
		d = idleTimeout
	case idle: // for the first request it has been running since the connection began
	case l.partial:
		return true
	default:
		if l.partial = true; answered {
			now = time.Now()
		}
	}
	slack := d / 64
	if l.unsure {
		d, slack = lookAfter, lookAfter/2
	}
	by := int64(now.Sub(c.born) + d)
	if set := c.readSet.Load(); set != 0 && set <= by && by-set <= int64(slack) {
		return true
	}
	c.readBy.Store(by)
	c.readSet.Store(by)
	return c.Conn.SetReadDeadline(c.at(by)) == nil
}

// idle reports whether there is nothing left to be served.
func (l *lane) idle() bool { return l.begin == l.end }

// serve serves what has been read, as far as that goes. What is to be sent is in the memory after it.
func (l *lane) serve() turn {
	for !l.idle() {
		size, t := l.request()
		if t != stay {
			return t
		}
		if size == 0 { // more of it is needed
			l.conn.heard.Store(true)
			return l.makeRoom()
		}
		if l.consume(size); len(l.memory.out) >= muchUnsent && l.flush() != nil {
			return end
		}
	}
	return stay
}

// muchUnsent is how much is kept, of the answers to requests that came at once, before it is sent.
const muchUnsent = 32 << 10

// answered notes when a request was answered.
func (l *lane) answered(now time.Time) {
	l.brisk = l.conn.answered.Load() && now.Sub(l.now) < briskly
	l.now = now
}

// consume leaves the first n bytes behind.
func (l *lane) consume(n int) {
	l.begin += n
	l.partial = false
	if !l.conn.answered.Load() {
		l.conn.answered.Store(true)
	}
	if l.idle() {
		l.begin, l.end = 0, 0
	}
}

// makeRoom makes room for more of a request that has begun. Who speaks TLS is not waited for: no request comes of that.
func (l *lane) makeRoom() turn {
	in := &l.memory.in
	if l.conn.speaksTLS(in[l.begin:l.end]) {
		l.failure, l.next = errTLS, extent{}
		return leave
	}
	if l.begin > 0 {
		copy(in[:], in[l.begin:l.end])
		l.begin, l.end = 0, l.end-l.begin
	}
	if l.end == len(in) {
		l.next = extent{}
		return leave
	}
	return stay
}

// request serves the request that the bytes which have been read begin with, and returns its size. The size is 0 if there is more to come
// of it.
func (l *lane) request() (size int, t turn) {
	r := requests.Get().(*request)
	before := len(l.memory.out)
	defer func() {
		if failure := recover(); failure != nil {
			l.memory.out = l.memory.out[:before]
			l.conn.settle()
			l.conn.server.cfg.Logger.Error("panic while serving a request from memory: it is served as if nothing were remembered",
				"face", r.face.String(), "panic", failure, "stack", string(debug.Stack()))
			size, t = 0, leave
		}
	}()
	s, c := l.conn.server, l.conn
	l.next = extent{} // nothing is known of this one yet
	r.head.reset(&r.scratch.lines)
	whole, ok := r.head.parse(l.memory.in[l.begin:l.end], s.keyring.tokenHeader(), s.limits.Head)
	if ok && whole == 0 {
		r.release()
		return 0, stay
	}
	if !ok || !r.head.isPlain() {
		l.next = r.head.extent(whole)
		r.release()
		return 0, leave
	}
	l.next = extent{head: whole}
	r.Server, r.conn, r.began = s, c, time.Now()
	r.place()
	if !r.prepare() {
		r.release()
		return 0, leave
	}
	if !r.recall() {
		l.current = r
		return 0, ask
	}
	if !r.complete() {
		r.release()
		return 0, leave
	}
	if r.begin(); r.face == ProxyFace {
		l.current = r
		return 0, pass
	}
	return whole, l.answer(r, r.began)
}

// acquire gets what the lane needs to serve.
func (l *lane) acquire() {
	if l.memory == nil {
		l.memory = laneMemories.Get().(*laneMemory)
	}
}

// release gives back what the lane needs to serve, and with it all that was read.
func (l *lane) release() {
	if m := l.memory; m != nil {
		l.memory, l.begin, l.end = nil, 0, 0
		if m.out = m.out[:0]; cap(m.out) > 2*muchUnsent {
			m.out = nil
		}
		laneMemories.Put(m)
	}
}

// unsent reports whether there is something to be sent.
func (l *lane) unsent() bool { return l.memory != nil && len(l.memory.out) > 0 }

// flush sends what is to be sent, by the ordinary way. Nothing is held if there is nothing left to be served, either.
func (l *lane) flush() (err error) {
	if l.unsent() {
		m := l.memory
		if err = l.conn.SetWriteDeadline(l.now.Add(writeTimeout)); err == nil {
			_, err = l.conn.Conn.Write(m.out)
		}
		m.out = m.out[:0]
	}
	if l.idle() {
		l.release()
	}
	return err
}
