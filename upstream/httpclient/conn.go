package httpclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"time"
)

// A conn is a connection to the service. It serves one question at a time.
type conn struct {
	net.Conn
	socket    net.Conn // beneath TLS, or the connection itself
	hush      *hush    // of TLS; nil without it
	quiet     *quiet   // nil if nobody can tell, and then the connection serves one question only
	r         *bufio.Reader
	interrupt func()
	idleSince time.Time
	kept      bool // it has been idle

	// Of the question that it serves, or served last:
	message  []byte
	left     int  // bytes that may still be read
	sent     bool // a byte of it may have reached the service
	answered bool // a byte has come back
	fit      bool // the connection can serve another one
}

// newConn returns a connection over a socket.
func newConn(socket net.Conn) *conn {
	c := &conn{Conn: socket, socket: socket, quiet: newQuiet(socket)}
	c.fit = c.quiet != nil
	c.r = bufio.NewReader(c)
	c.interrupt = func() { _ = c.SetDeadline(longAgo) }
	return c
}

var longAgo = time.Unix(1, 0)

// inTime is for how long before its deadline an answer that has come gives way to nothing: it was given in time, and is to be read in time.
const inTime = 100 * time.Millisecond

// errTooMuch ends what has no end.
var errTooMuch = errors.New("head of the answer is too large")

// Read reads what the service says, as far as it is bearable.
func (c *conn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	c.answered = c.answered || n > 0
	return n, err
}

// ask puts a question and reads the reply, and calls giveWay before the work that follows from it. The connection is not fit for another one if
// anything about it is in doubt.
func (c *conn) ask(ctx context.Context, lines string, q *Question, giveWay func()) (r Reply, err error) {
	c.left, c.sent, c.answered, c.fit = maxHeaders, false, false, false
	stop := context.AfterFunc(ctx, c.interrupt)
	defer func() { c.fit = stop() && c.fit }()
	if err := c.write(lines, q); err != nil {
		return Reply{}, cause(ctx, err)
	}
	if _, err := c.r.Peek(1); err != nil {
		return Reply{}, cause(ctx, err)
	}
	if ends, bounded := ctx.Deadline(); !bounded || time.Until(ends) > inTime {
		giveWay()
	}
	resp, err := c.readHead(q)
	if err != nil {
		return Reply{}, cause(ctx, err)
	}
	r = Reply{Status: resp.StatusCode, Header: resp.Header}
	if r.Status == http.StatusSwitchingProtocols {
		r.BodyErr = errors.New("it speaks another protocol")
		return r, nil
	}
	c.left = math.MaxInt
	r.Body, r.BodyErr = readBody(ctx, resp)
	// What came with the answer and is not of it would become the answer to the next question.
	c.fit = r.BodyErr == nil && !resp.Close && r.Status >= 200 && c.r.Buffered() == 0 && c.quiet != nil
	return r, nil
}

// write sends the question. Of what it carries nothing is kept.
func (c *conn) write(lines string, q *Question) error {
	c.message = q.append(c.message[:0], lines)
	defer clear(c.message)
	n, err := c.Write(c.message)
	c.sent = n > 0
	return err
}

// readHead reads the head of the reply, and those of the informational ones before it.
func (c *conn) readHead(q *Question) (resp *http.Response, err error) {
	var asked *http.Request // nil is a GET; only HEAD is answered otherwise
	if q.Method == http.MethodHead {
		asked = &http.Request{Method: q.Method}
	}
	for {
		resp, err = http.ReadResponse(c.r, asked)
		if err != nil || resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
}

// isQuiet reports whether the connection is open and has nothing to read, which would be taken for the answer to the next question.
func (c *conn) isQuiet() bool {
	if c.hush == nil {
		return c.quiet.now()
	}
	// What has come may be tickets for sessions of TLS (RFC 8446 section 4.6.1), which nobody asks for and everybody gets.
	c.hush.on = true
	defer func() { c.hush.on = false }()
	var b [1]byte
	_, err := c.Conn.Read(b[:])
	return errors.Is(err, os.ErrDeadlineExceeded) && c.hush.between()
}

// cut closes the connection without a word, and so without waiting: TLS would say goodbye, which takes seconds where nobody reads it.
func (c *conn) cut() { _ = c.socket.Close() }

// readBody reads the body whatever the status, since a connection can be used again only after that. The result may be kept for long: it
// takes no more memory than the body needs.
func readBody(ctx context.Context, resp *http.Response) (body []byte, err error) {
	switch n := resp.ContentLength; {
	case resp.Body == http.NoBody: // as with HEAD, whatever length is told
		body = []byte{}
	case n > maxBody:
		return nil, errLargeBody
	case n >= 0:
		body = make([]byte, n)
		_, err = io.ReadFull(resp.Body, body)
	default:
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	}
	if err != nil {
		return nil, cause(ctx, err)
	}
	if len(body) > maxBody {
		return nil, errLargeBody
	}
	return body, nil
}

var errLargeBody = fmt.Errorf("body is larger than %d bytes", maxBody)

// cause says why a question that went out has no answer. The errors of net/http quote what they cannot parse, so only those of known
// content are passed on.
func cause(ctx context.Context, err error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err, ok := errors.AsType[*net.OpError](err); ok {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) {
		return errors.New("connection was closed before the answer was complete")
	}
	return fmt.Errorf("answer is not HTTP/1.1, or its headers are larger than %d bytes", maxHeaders)
}
