package proxy

import (
	"bytes"
	"net/http/httputil"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// passOn sends the request that passes to the application, and the answer to the client. Where there is none, or none that is plain, the
// request goes on the long way from there.
func (l *lane) passOn() (t turn) {
	r := l.current
	l.current = nil
	concluded, app := false, r.asked.app
	var held *appConn // which nobody else gives back yet
	defer func() {
		if failure := recover(); failure != nil {
			t = l.failed(r, concluded, failure)
			if held != nil {
				app.drop(held)
				l.conn.settle()
			}
		}
	}()
	c, err := app.ask(r.base, r, r.scratch.head, nil)
	r.asked.conn, r.asked.err = c, err
	var p reply
	if err != nil || !p.parse(l, c.head(), r) {
		l.conn.begun = r
		return leave
	}
	now := r.now()
	last := r.last || r.down.Load()
	l.memory.out = p.end(l.memory.out, r, now, last)
	app.cfg.Observer.Answered(p.status, now.Sub(r.asked.began))
	concluded, held = true, c
	r.conclude(p.status, now)
	held = nil
	l.answered(now)
	l.conn.heard.Store(false)
	l.consume(l.next.head)
	if !l.deliver(app, c, &p) || last {
		return end
	}
	return stay
}

// failed goes on after a panic. If nothing has been sent, fasthttp's way is to answer for it.
func (l *lane) failed(r *request, concluded bool, failure any) turn {
	if concluded {
		l.conn.server.cfg.Logger.Error("panic while passing a response on: it was cut off", "panic", failure, "stack", string(debug.Stack()))
		return end
	}
	if c := r.asked.conn; c != nil {
		r.asked.app.drop(c)
	}
	l.memory.out = l.memory.out[:0]
	r.asked.conn, r.panicked = nil, &panicked{failure, debug.Stack()}
	l.conn.begun = r
	return leave
}

// abandon ends a request that the lane has begun, and that nobody answers.
func (r *request) abandon(v policy.Verdict, why policy.Reason, status int) {
	if c := r.asked.conn; c != nil {
		r.asked.app.drop(c)
	}
	r.conn.settle()
	r.decision.Verdict, r.decision.Reason = v, why
	r.conclude(status, time.Now())
}

// deliver sends the client the head that is in the memory, and what follows it. It reports false if the response is cut off.
func (l *lane) deliver(app *App, c *appConn, p *reply) bool {
	_, _ = c.r.Discard(c.headSize)
	if p.length >= 0 && p.length <= c.r.Buffered() { // all of it is here
		body, _ := c.r.Peek(p.length)
		l.memory.out = append(l.memory.out, body...)
		_, _ = c.r.Discard(p.length)
		app.end(c, nil, p.reusable)
		l.conn.settle()
		l.send()
		return l.flush() == nil
	}
	return l.stream(app, c, p)
}

// stream is deliver for a body that is still to come.
func (l *lane) stream(app *App, c *appConn, p *reply) bool {
	l.conn.stream()
	d := &download{app: app, client: l.conn, c: c, left: p.length, reusable: p.reusable}
	defer func() { _ = d.Close() }()
	if p.length == chunkedBody {
		d.chunks = httputil.NewChunkedReader(c.r)
	}
	w := &bodyWriter{lane: l, chunked: p.length == chunkedBody}
	if c.r.Buffered() == 0 && w.Flush() != nil {
		return false
	}
	if _, err := d.WriteTo(w); err != nil {
		return false
	}
	if w.chunked {
		l.memory.out = append(l.memory.out, "0\r\n\r\n"...)
	}
	ok := w.Flush() == nil
	l.now = time.Now()
	return ok
}

// A bodyWriter writes the body of a response behind what is in the memory of the lane.
type bodyWriter struct {
	lane    *lane
	chunked bool
}

// gathered is how much of a body is gathered before it is sent: what is read from the application at once. For more, the client would wait.
const gathered = appBuffer

// Write keeps p until there is much to be sent, or Flush is called.
func (w *bodyWriter) Write(p []byte) (int, error) {
	m := w.lane.memory
	switch {
	case w.chunked:
		m.out = append(strconv.AppendInt(m.out, int64(len(p)), 16), "\r\n"...)
		m.out = append(append(m.out, p...), "\r\n"...)
	case len(m.out) == 0:
		return w.lane.conn.Write(p)
	default:
		m.out = append(m.out, p...)
	}
	if len(m.out) < gathered {
		return len(p), nil
	}
	return len(p), w.Flush()
}

// Flush sends what is kept.
func (w *bodyWriter) Flush() error {
	m := w.lane.memory
	if len(m.out) == 0 {
		return nil
	}
	_, err := w.lane.conn.Write(m.out)
	m.out = m.out[:0]
	return err
}

// A reply is the head of a response that is as plain as the requests of a lane, so that it can be passed on line by line, as it came. Every
// other is fasthttp's to read.
type reply struct {
	status   int
	length   int  // of the body; chunkedBody if only its end tells
	reusable bool // the application leaves the connection open
	dated    bool // it says when it was made

	framed, typed, encoded, named bool // there is a line about the length, the type, the encoding, and the server
}

// parse reads a head, and appends it to what is to be sent, without the lines that are between the application and the gateway. It reports
// false, and appends nothing, if the head is not plain.
func (p *reply) parse(l *lane, head []byte, r *request) bool {
	const version = "HTTP/1.1 "
	end := bytes.IndexByte(head, '\n')
	if end < len(version)+len("200 O\r") || string(head[:len(version)]) != version || head[end-1] != '\r' {
		return false
	}
	status, reason := head[len(version):len(version)+3], head[len(version)+3:end-1]
	n, err := strconv.ParseUint(string(status), 10, 16)
	if err != nil || n < 200 || n == fasthttp.StatusUnauthorized || reason[0] != ' ' || reason[1] == ' ' || !onlyText(reason) {
		return false
	}
	p.status, p.reusable = int(n), true
	out := append(l.memory.out, head[:end+1]...)
	for rest := head[end+1:]; ; rest = rest[end+1:] {
		end = bytes.IndexByte(rest, '\n')
		if end == 1 && rest[0] == '\r' {
			break
		}
		if end < 1 || rest[end-1] != '\r' {
			return false
		}
		colon := bytes.IndexByte(rest[:end], ':')
		if colon < 1 || !isToken(rest[:colon]) {
			return false
		}
		name, value := rest[:colon], trimBlanks(rest[colon+1:end-1])
		if !onlyText(value) {
			return false
		}
		switch p.take(name, value) {
		case drops:
		case keeps:
			out = appendField(out, name, value)
		case odd:
			return false
		}
	}
	if !p.fits(r) {
		return false
	}
	l.memory.out = out
	return true
}

// A fate is what becomes of a line.
type fate uint8

const (
	keeps fate = iota // it reaches the client
	drops             // it does not
	odd               // the response is not plain
)

// take takes a line in, and says what becomes of it.
func (p *reply) take(name, value []byte) fate {
	once := func(seen *bool) fate {
		if *seen || len(value) == 0 {
			return odd
		}
		*seen = true
		return keeps
	}
	switch len(name) {
	case len("Date"):
		p.dated = p.dated || named(name, fasthttp.HeaderDate)
	case len("Server"):
		if named(name, fasthttp.HeaderServer) {
			return once(&p.named)
		}
	case len("Trailer"): // and Upgrade
		if named(name, fasthttp.HeaderTrailer) || named(name, fasthttp.HeaderUpgrade) {
			return odd
		}
	case len("Connection"): // and Keep-Alive
		if named(name, fasthttp.HeaderConnection) {
			last := bytes.EqualFold(value, []byte("close"))
			if !last && !bytes.EqualFold(value, []byte("keep-alive")) {
				return odd
			}
			p.reusable = p.reusable && !last
			return drops
		}
	case len("Content-Type"):
		if named(name, fasthttp.HeaderContentType) {
			return once(&p.typed)
		}
	case len("Content-Length"):
		if named(name, fasthttp.HeaderContentLength) {
			return p.frame(value)
		}
	case len("Content-Encoding"):
		if named(name, fasthttp.HeaderContentEncoding) {
			return once(&p.encoded)
		}
	case len("Transfer-Encoding"):
		if named(name, fasthttp.HeaderTransferEncoding) {
			if p.framed || !bytes.EqualFold(value, []byte("chunked")) {
				return odd
			}
			p.framed, p.length = true, chunkedBody
			return keeps
		}
	}
	if isOwnField(name) || isOursToSay(name) {
		return drops
	}
	return keeps
}

// frame takes in the length of the body.
func (p *reply) frame(length []byte) fate {
	n, err := strconv.ParseUint(string(length), 10, 48)
	if p.framed || err != nil {
		return odd
	}
	p.framed, p.length = true, int(n)
	return keeps
}

// fits reports whether it is plain which body follows as the answer to r, if one does.
func (p *reply) fits(r *request) bool {
	switch {
	case p.status == fasthttp.StatusNoContent:
		return !p.framed
	case p.status == fasthttp.StatusNotModified, r.head.is("HEAD"):
		plain := p.framed && p.length != chunkedBody
		p.length = 0
		return plain
	default:
		return p.framed
	}
}

// end appends what the gateway adds to a head, and its end.
func (p *reply) end(dst []byte, r *request, now time.Time, last bool) []byte {
	if !p.dated {
		dst = append(dst, r.dates.line(now)...)
	}
	if last {
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(dst, "\r\n"...)
}
