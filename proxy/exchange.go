package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/valyala/fasthttp"
)

// The ways in which an application fails to answer. They quote nothing of what it sent, which may hold secrets.
var (
	errUnanswered   = errors.New("application closed the connection without an answer")
	errBadHead      = errors.New("application sent no well-formed response head")
	errLargeHead    = fmt.Errorf("application sent a response head of more than %d bytes", appBuffer)
	errSwitched     = errors.New("application switched protocols unasked")
	errInterimFlood = errors.New("application sent too many interim responses")
	errLowStatus    = errors.New("application sent a status below 100")
)

// exchange sends one request to the application and begins the response: its head is in rc when exchange returns nil, and its body
// follows while fasthttp writes the response. head is the head of the request without the lines that frame the body.
//
// A request is sent once. It is sent again, once, only if it came by a kept connection that the application closed without a byte of an
// answer, has no body, and has a method that changes nothing (RFC 9110 sections 9.2.1 and 9.2.2). A body may have maxBody bytes; 0 is any
// number.
func (a *App) exchange(ctx context.Context, rc *fasthttp.RequestCtx, client *conn, head []byte, maxBody int64) error {
	message, up, err := appendBody(head, rc, client, maxBody, &a.cfg)
	if err != nil {
		return err
	}
	again := !hasRequestBody(&rc.Request.Header) && (rc.IsGet() || rc.IsHead() || rc.IsOptions())
	for fresh := false; ; fresh = true {
		kept, err := a.attempt(ctx, rc, client, message, up, fresh)
		if err == nil || fresh || !again || !kept || !errors.Is(err, errUnanswered) {
			return err
		}
	}
}

// attempt is one try of an exchange. It reports whether it used a connection that was kept.
func (a *App) attempt(ctx context.Context, rc *fasthttp.RequestCtx, client *conn, message []byte, up *upload, fresh bool) (kept bool, err error) {
	c, err := a.get(ctx, fresh)
	if err != nil {
		return false, err
	}
	kept = c.used // now, since nothing of c is ours any more once it is received
	received := false
	defer func() {
		if !received { // also if something panics: a connection that nobody gives back would be lost for ever
			_ = up.stop(c)
			a.drop(c)
		}
	}()
	if err = a.send(c, message, up, &rc.Response.Header); err == nil {
		a.receive(rc, client, c, up)
		received = true
	}
	return kept, err
}

// send sends the request by c and reads the head of the response.
func (a *App) send(c *appConn, message []byte, up *upload, response *fasthttp.ResponseHeader) error {
	_, err := c.Write(message)
	if err != nil && isTimeout(err) {
		return fmt.Errorf("send request to application: %w", err)
	}
	if up != nil {
		_ = c.SetReadDeadline(time.Time{}) // the time for an answer begins where the body ends
		up.start(c, a.cfg.HeadTimeout)
	}
	// An application may answer, and close, before it has read the request. So there may be an answer even if sending failed.
	if err = readHead(c, response); err == nil {
		up.answer()
		return nil
	}
	if uerr := up.stop(c); gaveUp(uerr) { // there is no answer because there was no request
		return uerr
	}
	return err
}

// maxInterim is how many interim responses (RFC 9110 section 15.2) are passed over before the final one. They are not relayed.
const maxInterim = 16

// readHead reads the head of the final response into h. If that switches protocols, the error is errSwitched.
func readHead(c *appConn, h *fasthttp.ResponseHeader) error {
	for interim := range maxInterim {
		switch line, _ := c.r.Peek(len("HTTP/1.1 000")); {
		case bytes.HasSuffix(line, []byte(" 000")):
			return errLowStatus // fasthttp would make 200 of it
		case bytes.HasSuffix(line, []byte(" 101")):
			return errSwitched // unread, for whoever asked for it
		}
		if err := h.Read(c.r); err != nil {
			_, large := errors.AsType[*fasthttp.ErrSmallBuffer](err)
			switch {
			case isTimeout(err):
				return fmt.Errorf("read response of application: %w", os.ErrDeadlineExceeded)
			case large:
				return errLargeHead
			case interim == 0 && errors.Is(err, io.EOF) && c.r.Buffered() == 0:
				return errUnanswered
			default:
				return errBadHead
			}
		}
		switch status := h.StatusCode(); {
		case status == fasthttp.StatusSwitchingProtocols:
			return errSwitched
		case status >= 200:
			return nil
		case status < 100:
			return errLowStatus
		}
	}
	return errInterimFlood
}

// isTimeout reports whether err says that something took too long. [fasthttp.ErrTimeout] is no net.Error.
func isTimeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// receive makes what follows the head the response of rc.
func (a *App) receive(rc *fasthttp.RequestCtx, client *conn, c *appConn, up *upload) {
	h := &rc.Response.Header
	length, reusable := h.ContentLength(), keepsOpen(h) && !bound(rc) && !c.sole
	cleanResponse(h)
	client.unread.Store(!up.taken())
	switch {
	case !hasBody(rc):
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
		d.stream(rc)
		return
	}
	a.end(c, up, reusable)
	client.settle()
}

// end ends an exchange. The connection is kept if the application keeps it and both sides know where the next message begins.
func (a *App) end(c *appConn, up *upload, reusable bool) {
	if reusable && up.finished() {
		a.put(c)
		return
	}
	_ = up.stop(c)
	a.drop(c)
}

// hasBody reports whether a response has a body at all (RFC 9112 section 6.3).
func hasBody(rc *fasthttp.RequestCtx) bool {
	status := rc.Response.StatusCode()
	return !rc.IsHead() && status != fasthttp.StatusNoContent && status != fasthttp.StatusNotModified
}

// unframe removes from the head of a response without a body what would make somebody wait for one. What a HEAD or a 304 says of the
// length that a GET would have is true, and stays.
func unframe(h *fasthttp.ResponseHeader) {
	h.Del(fasthttp.HeaderTransferEncoding)
	if h.StatusCode() == fasthttp.StatusNoContent { // RFC 9110 section 8.6
		h.Del(fasthttp.HeaderContentLength)
	}
}

// keepsOpen reports whether the application leaves the connection open after the response.
func keepsOpen(h *fasthttp.ResponseHeader) bool {
	if h.ConnectionClose() || string(h.Protocol()) != "HTTP/1.1" {
		return false
	}
	return !listedIn(h.PeekAll(fasthttp.HeaderConnection), []byte("close"))
}

// cleanResponse removes from the head of a response what belongs to the connection that it came by (RFC 9110 section 7.6.1), and what
// only the gateway may say.
func cleanResponse(h *fasthttp.ResponseHeader) {
	for _, line := range h.PeekAll(fasthttp.HeaderConnection) {
		for token := range bytes.SplitSeq(bytes.Clone(line), []byte(",")) {
			if token = trimBlanks(token); isToken(token) && !bytes.EqualFold(token, []byte("close")) {
				h.DelBytes(token)
			}
		}
	}
	h.ResetConnectionClose()
	for _, name := range [...]string{
		fasthttp.HeaderConnection, "Keep-Alive", "Proxy-Connection", fasthttp.HeaderProxyAuthenticate, fasthttp.HeaderTE,
		fasthttp.HeaderTrailer, fasthttp.HeaderUpgrade, reasonHeader, cacheHeader,
	} {
		h.Del(name)
	}
	h.SetProtocol([]byte("HTTP/1.1"))
}
