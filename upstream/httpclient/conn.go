package httpclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// A conn is a connection to the service. It serves one question at a time.
type conn struct {
	net.Conn
	r         *bufio.Reader
	quiet     *quiet
	interrupt func()
	idleSince time.Time
	kept      bool // it has served a question before

	// Of the question that it serves, or served last:
	message  []byte
	left     int  // bytes that may still be read
	sent     bool // a byte of it may have reached the service
	answered bool // a byte has come back
	fit      bool // the connection can serve another one
}

// newConn returns a connection over socket, or over TLS that is over socket. It can serve a question.
func newConn(nc, socket net.Conn) *conn {
	c := &conn{Conn: nc, quiet: newQuiet(socket), fit: true}
	c.r = bufio.NewReader(c)
	c.interrupt = func() { _ = c.SetDeadline(longAgo) }
	return c
}

var longAgo = time.Unix(1, 0)

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

// ask puts a question and reads the reply. The connection is not fit for another one if anything about it is in doubt.
func (c *conn) ask(ctx context.Context, lines string, q *Question) (r Reply, err error) {
	c.left, c.sent, c.answered, c.fit = maxHeaders, false, false, false
	stop := context.AfterFunc(ctx, c.interrupt)
	defer func() { c.fit = stop() && c.fit }()
	if err := c.write(lines, q); err != nil {
		return Reply{}, cause(ctx, err)
	}
	resp, err := c.readHead()
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
	c.fit = r.BodyErr == nil && !resp.Close && c.r.Buffered() == 0
	return r, nil
}

// write sends the question. Of what it carries nothing is kept.
func (c *conn) write(lines string, q *Question) error {
	c.message = q.append(c.message[:0], lines)
	n, err := c.Write(c.message)
	clear(c.message)
	c.sent = n > 0
	return err
}

// readHead reads the head of the reply, and those of the informational ones before it.
func (c *conn) readHead() (resp *http.Response, err error) {
	for {
		resp, err = http.ReadResponse(c.r, nil)
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
}

// isQuiet reports whether the connection is open and has nothing to read, which would be taken for the answer to the next question.
func (c *conn) isQuiet() bool {
	if !c.quiet.now() {
		return false
	}
	secured, ok := c.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	if secured.SetReadDeadline(longAgo) != nil { // with which it reads what it holds already, and no more
		return false
	}
	var b [1]byte
	_, err := secured.Read(b[:])
	return errors.Is(err, os.ErrDeadlineExceeded) && secured.SetReadDeadline(time.Time{}) == nil
}

// append appends the request that the question is, which has lines after its target.
func (q *Question) append(b []byte, lines string) []byte {
	if q.Method == "" {
		b = append(b, http.MethodGet...)
	}
	b = append(append(append(b, q.Method...), ' '), q.URL.RequestURI()...)
	b = append(b, lines...)
	if len(q.Body) > 0 {
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(q.Body)), 10), "\r\n"...)
	}
	for name, values := range q.Header {
		for _, value := range values {
			b = appendLine(b, http.CanonicalHeaderKey(name), value)
		}
	}
	if q.Proof.Header != "" {
		b = appendLine(b, q.Proof.Header, q.Proof.Value)
	}
	return append(append(b, "\r\n"...), q.Body...)
}

func appendLine(b []byte, name, value string) []byte {
	return append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
}

// commonLines returns the lines of every question after its target, as net/http writes them.
func commonLines(base *url.URL, userAgent string) (string, error) {
	var text strings.Builder
	req := &http.Request{URL: base, Header: http.Header{"User-Agent": {userAgent}}}
	if err := req.Write(&text); err != nil {
		return "", fmt.Errorf("write question: %w", err)
	}
	_, lines, _ := strings.Cut(text.String(), " HTTP/1.1\r\n")
	return " HTTP/1.1\r\n" + strings.TrimSuffix(lines, "\r\n"), nil
}

// readBody reads the body whatever the status, since a connection can be used again only after that. The result may be kept for long: it
// takes no more memory than the body needs.
func readBody(ctx context.Context, resp *http.Response) (body []byte, err error) {
	if n := resp.ContentLength; n >= 0 && n <= maxBody {
		body = make([]byte, n)
		_, err = io.ReadFull(resp.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	}
	if err != nil {
		return nil, cause(ctx, err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("body is larger than %d bytes", maxBody)
	}
	return body, nil
}

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
