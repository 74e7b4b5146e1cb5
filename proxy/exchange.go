package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// errUnanswered says that the application closed the connection before the first byte of an answer.
var errUnanswered = errors.New("application closed the connection without an answer")

// exchange sends one request to the application and begins the response: its head is in rc when exchange returns nil, and its body
// follows while fasthttp writes the response. head is the head of the request without the lines that frame the body.
//
// A request is sent once. It is sent again, once, only if it came by a kept connection that the application closed without a byte of an
// answer, has no body, and has a method that changes nothing (RFC 9110 sections 9.2.1 and 9.2.2).
func (a *App) exchange(ctx context.Context, rc *fasthttp.RequestCtx, client *conn, head []byte) error {
	up := newUpload(rc, client)
	head = append(up.appendFraming(head, &rc.Request.Header), "\r\n"...)
	safe := up.body == nil && (rc.IsGet() || rc.IsHead() || rc.IsOptions())
	for fresh := false; ; fresh = true {
		c, err := a.get(ctx, fresh)
		if err != nil {
			return err
		}
		if err = a.send(c, up, head); err == nil {
			a.receive(rc, c, up)
			return nil
		}
		_ = c.Close() // unblocks an upload that writes
		up.stop()
		a.drop(c)
		if fresh || !safe || !c.used || !errors.Is(err, errUnanswered) {
			return err
		}
	}
}

// send sends the request by c and reads the head of the response.
func (a *App) send(c *appConn, up *upload, head []byte) error {
	if err := c.SetDeadline(time.Now().Add(a.cfg.HeadTimeout)); err != nil {
		return err
	}
	_, err := c.w.Write(head)
	if up.body != nil {
		up.client.idleLimit = a.cfg.IdleTimeout
	}
	if up.small() {
		if err == nil {
			err = up.send(c)
		}
		if errors.Is(err, errAborted) {
			return err
		}
		if ferr := c.w.Flush(); err == nil {
			err = ferr
		}
	} else if err = c.w.Flush(); err == nil {
		if err = c.SetDeadline(time.Time{}); err == nil { // the time for an answer begins where the body ends
			up.start(c, a.cfg.HeadTimeout)
		}
	}
	// An application may answer, and close, before it has read the request. So there may be an answer even if sending failed.
	herr := readHead(c, up.response)
	if herr == nil {
		return nil
	}
	if up.done != nil { // the answer is missing because the body is: say so
		_ = c.Close()
		up.stop()
		if errors.Is(up.err, errAborted) {
			return errAborted
		}
	}
	if errors.Is(herr, io.EOF) && c.r.Buffered() == 0 {
		return errUnanswered
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return herr
}

// receive makes what follows the head the response of rc.
func (a *App) receive(rc *fasthttp.RequestCtx, c *appConn, up *upload) {
	h := &rc.Response.Header
	length := h.ContentLength()
	d := &download{app: a, c: c, up: up, left: length, reusable: keepsOpen(h)}
	cleanResponse(h)
	if !up.finished() {
		h.SetConnectionClose() // nobody will read the rest of the body
	}
	switch {
	case !hasBody(rc):
		d.end()
	case length == chunkedBody, length == untilCloseBody:
		d.stream(rc)
	case length <= c.r.Buffered(): // all of it is here
		body, _ := c.r.Peek(length)
		rc.Response.SetBody(body)
		_, _ = c.r.Discard(length)
		d.end()
	default:
		up.client.idleLimit = a.cfg.IdleTimeout
		rc.Response.SetBodyStream(d, length)
	}
}

// keepsOpen reports whether the application leaves the connection open after the response.
func keepsOpen(h *fasthttp.ResponseHeader) bool {
	if h.ConnectionClose() || string(h.Protocol()) != "HTTP/1.1" {
		return false
	}
	return !listedIn(h.PeekAll(fasthttp.HeaderConnection), []byte("close"))
}

// cleanResponse removes from the head of a response what belongs to the connection that it came by (RFC 9110 section 7.6.1).
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
		fasthttp.HeaderTrailer, fasthttp.HeaderUpgrade,
	} {
		h.Del(name)
	}
	h.SetProtocol([]byte("HTTP/1.1"))
}
