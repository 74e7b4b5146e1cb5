package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// maxInterim is how many interim responses (RFC 9110 section 15.2) are passed over before the final one.
const maxInterim = 16

// readHead reads the head of the final response into h. If that switches protocols, the error is errSwitched. Each interim response that
// comes before is given to interim, as h.
func (c *appConn) readHead(h *fasthttp.ResponseHeader, interim func()) error {
	h.DisableNormalizing() // names stay as the application spells them
	defer h.EnableNormalizing()
	for n := range maxInterim {
		head, err := c.awaitHead(n == 0)
		if err != nil {
			return err
		}
		switch string(statusOf(head)) {
		case "000":
			return errLowStatus // fasthttp would make 200 of it
		case "101":
			return errSwitched // unread, for whoever asked for it
		}
		final := !bytes.HasPrefix(statusOf(head), []byte("1"))
		if dated := c.scan(head); final && !dated {
			h.Reset() // fasthttp states the date again
			h.SetNoDefaultContentType(true)
			h.DisableNormalizing()
		}
		if err := c.parseHead(h, head); err != nil {
			return errBadHead
		}
		switch status := h.StatusCode(); {
		case status == fasthttp.StatusSwitchingProtocols:
			return errSwitched
		case status >= 200:
			return nil
		case status < 100:
			return errLowStatus
		}
		interim()
	}
	return errInterimFlood
}

// parseHead takes head, which is what comes next, and reads it into h. Lines that end in a line feed alone are read as lines, as RFC 9112
// section 2.2 allows: fasthttp would wait for another end of the head.
func (c *appConn) parseHead(h *fasthttp.ResponseHeader, head []byte) error {
	if !endsLinesOddly(head) {
		return h.Read(c.r)
	}
	usual := bytes.ReplaceAll(bytes.ReplaceAll(head, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	_, _ = c.r.Discard(len(head))
	return h.Read(bufio.NewReaderSize(bytes.NewReader(usual), len(usual)))
}

// endsLinesOddly reports whether a line of head ends in a line feed alone.
func endsLinesOddly(head []byte) bool {
	for line := range bytes.Lines(head) {
		if !bytes.HasSuffix(line, []byte("\r\n")) {
			return true
		}
	}
	return false
}

// awaitHead waits for the head of a response and returns it without taking it. first says that nothing has been answered yet.
func (c *appConn) awaitHead(first bool) ([]byte, error) {
	head, err := peekHead(c.r)
	switch {
	case err == nil:
		c.headSize = len(head)
		return head, nil
	case isTimeout(err):
		return nil, fmt.Errorf("read response of application: %w", os.ErrDeadlineExceeded)
	case errors.Is(err, errClientGone):
		return nil, err
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errLargeHead
	case first && c.r.Buffered() == 0:
		return nil, errUnanswered
	default:
		return nil, errBadHead
	}
}

// head returns the head that was waited for last, which has not been taken.
func (c *appConn) head() []byte {
	head, _ := c.r.Peek(c.headSize)
	return head
}

// statusOf returns the status of a head that is well-formed so far.
func statusOf(head []byte) []byte {
	if len(head) < len("HTTP/1.1 000") {
		return nil
	}
	return head[len("HTTP/1.1 "):len("HTTP/1.1 000")]
}

// peekHead waits for the whole head of a response and returns it, the blank line included, without taking it. If there is none, what came
// of it is left in r.
func peekHead(r *bufio.Reader) ([]byte, error) {
	for {
		all, _ := r.Peek(r.Buffered())
		if end := headEnd(all); end > 0 {
			return all[:end], nil
		}
		if _, err := r.Peek(r.Buffered() + 1); err != nil {
			return nil, err
		}
	}
}

// headEnd returns where the head that b begins with ends, or 0 if there is more to come.
func headEnd(b []byte) int {
	for end := 0; ; {
		n := bytes.IndexByte(b[end:], '\n')
		if n < 0 {
			return 0
		}
		if blank := len(bytes.TrimRight(b[end:end+n], "\r")) == 0; blank && end > 0 {
			return end + n + 1
		}
		end += n + 1
	}
}

// scan looks through the lines of a head for those that are about the connection, and reports whether there is a date. What announces
// trailers, which are not passed on, becomes another line that is not: fasthttp takes a response for broken that announces some of them.
func (c *appConn) scan(head []byte) (dated bool) {
	c.connection = c.connection[:0]
	for line := range bytes.Lines(head) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte(fasthttp.HeaderConnection)):
			c.connection = append(c.connection, bytes.TrimSpace(value))
		case bytes.EqualFold(name, []byte(fasthttp.HeaderDate)):
			dated = true
		case bytes.EqualFold(name, []byte(fasthttp.HeaderTrailer)):
			copy(name, fasthttp.HeaderUpgrade) // as long, and one of ownFields
		}
	}
	return dated
}

// keepsOpen reports whether the application leaves the connection open after the response whose head was read last.
func (c *appConn) keepsOpen(h *fasthttp.ResponseHeader) bool {
	return !h.ConnectionClose() && string(h.Protocol()) == "HTTP/1.1" && !listedIn(c.connection, []byte("close"))
}

// clean removes from the head that was read last what belongs to the connection that it came by (RFC 9110 section 7.6.1), and what only
// the gateway may say.
func (c *appConn) clean(h *fasthttp.ResponseHeader) {
	h.ResetConnectionClose()
	removeFields(h, c.isOwn)
	h.SetProtocol([]byte("HTTP/1.1"))
}

// removeFields removes the fields whose names are chosen, in whatever spelling. Its own Del knows one spelling only.
func removeFields(h *fasthttp.ResponseHeader, chosen func(name []byte) bool) {
	h.DisableNormalizing() // so that a name is removed as it is spelt
	for name := firstField(h, chosen); name != nil; name = firstField(h, chosen) {
		h.DelBytes(name)
	}
	h.EnableNormalizing()
}

// firstField returns the first name that is chosen, or nil.
func firstField(h *fasthttp.ResponseHeader, chosen func(name []byte) bool) []byte {
	for name := range h.All() {
		if chosen(name) {
			return name
		}
	}
	return nil
}

// ownFields are what a response does not keep, besides what its Connection lines name.
var ownFields = [...]string{
	fasthttp.HeaderConnection, "Keep-Alive", "Proxy-Connection", fasthttp.HeaderProxyAuthenticate, fasthttp.HeaderTE,
	fasthttp.HeaderTrailer, fasthttp.HeaderUpgrade,
}

// isOwn reports whether a field of this name stays with the connection, or is no field that anybody may send.
func (c *appConn) isOwn(name []byte) bool {
	return isOursToSay(name) || !isToken(name) || isOwnField(name) || listedIn(c.connection, name)
}

// isOwnField reports whether a field of this name is one of ownFields.
func isOwnField(name []byte) bool {
	for _, own := range ownFields {
		if named(name, own) {
			return true
		}
	}
	return false
}

// relay passes an interim response on, such as 103 Early Hints, as RFC 9110 section 15.2 wants: if the client can understand it, and if
// there is no earlier response that fasthttp still holds back. Nothing came of an expectation of ours, so that 100 is not passed on.
func (r *request) relay(c *appConn) {
	h := &r.ctx.Response.Header
	status := h.StatusCode()
	if status == fasthttp.StatusContinue || !r.head.isHTTP11() || r.head.hasBody() || !r.conn.heard.Load() {
		return
	}
	c.clean(h)
	head := strconv.AppendInt([]byte("HTTP/1.1 "), int64(status), 10)
	head = append(append(append(head, ' '), h.StatusMessage()...), "\r\n"...)
	for name, value := range h.All() {
		if !isFinal(name) {
			head = appendField(head, name, value)
		}
	}
	if r.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) == nil {
		_, _ = r.conn.Write(append(head, "\r\n"...)) // if that fails, so will the response
	}
}

// isFinal reports whether a field means something in a final response only: an interim one has no body (RFC 9110 section 8.6 and RFC 9112
// section 6.1), and is shared with nobody.
func isFinal(name []byte) bool {
	const sharing = "access-control-"
	return bytes.EqualFold(name, []byte(fasthttp.HeaderContentLength)) || bytes.EqualFold(name, []byte(fasthttp.HeaderTransferEncoding)) ||
		len(name) > len(sharing) && bytes.EqualFold(name[:len(sharing)], []byte(sharing))
}

// receive makes what follows the head the response of r.
func (a *App) receive(r *request, c *appConn, up *upload) {
	rc, client := r.ctx, r.conn
	h := &rc.Response.Header
	length, reusable := h.ContentLength(), c.keepsOpen(h) && !bound(r) && !c.sole
	c.clean(h)
	client.unread.Store(!up.taken())
	switch {
	case !r.responseHasBody():
		if h.StatusCode() == fasthttp.StatusNoContent && length != 0 && length != untilCloseBody {
			reusable = false // it announces a body that must not be there (RFC 9110 section 15.3.5): who knows what follows
		}
		unframe(h)
	case length >= 0 && length <= c.r.Buffered(): // all of it is here
		body, _ := c.r.Peek(length)
		rc.Response.SetBody(body)
		_, _ = c.r.Discard(length)
	default:
		client.stream()
		d := &download{app: a, client: client, c: c, up: up, left: length, reusable: reusable}
		d.stream(r)
		return
	}
	a.end(c, up, reusable)
	client.settle()
}

// responseHasBody reports whether the response has a body at all (RFC 9112 section 6.3).
func (r *request) responseHasBody() bool {
	status := r.ctx.Response.StatusCode()
	return !r.head.is("HEAD") && status != fasthttp.StatusNoContent && status != fasthttp.StatusNotModified
}

// unframe removes from the head of a response without a body what would make somebody wait for one. What a HEAD or a 304 says of the
// length that a GET would have is true, and stays.
func unframe(h *fasthttp.ResponseHeader) {
	h.Del(fasthttp.HeaderTransferEncoding)
	if h.StatusCode() == fasthttp.StatusNoContent { // RFC 9110 section 8.6
		h.Del(fasthttp.HeaderContentLength)
	}
}

// isTimeout reports whether err says that something took too long.
func isTimeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}
