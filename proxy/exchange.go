package proxy

import (
	"context"
	"errors"
	"fmt"
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

// exchange sends one request to the application and begins the response: its head is in r.ctx when exchange returns nil, and its body
// follows while fasthttp writes the response. head is the head of the request without the lines that frame the body.
//
// A request is sent once. It is sent again, once, only if it came by a kept connection that the application closed without a byte of an
// answer, has no body, and has a method that changes nothing (RFC 9110 sections 9.2.1 and 9.2.2).
func (a *App) exchange(ctx context.Context, r *request, head []byte) error {
	message, up, err := appendBody(head, r, &a.cfg)
	if err != nil {
		return err
	}
	again := !r.head.hasBody() && (r.head.is("GET") || r.head.is("HEAD") || r.head.is("OPTIONS"))
	for fresh := false; ; fresh = true {
		kept, err := a.attempt(ctx, r, message, up, fresh)
		if err == nil || fresh || !again || !kept || !errors.Is(err, errUnanswered) {
			return err
		}
	}
}

// attempt is one try of an exchange. It reports whether it used a connection that was kept.
func (a *App) attempt(ctx context.Context, r *request, message []byte, up *upload, fresh bool) (kept bool, err error) {
	first := message
	if up != nil {
		first = nil // the answer is not to be waited for before there is somebody to send the body
	}
	c, sent, err := a.get(ctx, r.conn, fresh, first)
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
	if err = a.send(r, c, message[sent:], up); err == nil {
		a.receive(r, c, up)
		received = true
	}
	return kept, err
}

// send sends the request, or what is left of it, by c and reads the head of the response.
func (a *App) send(r *request, c *appConn, message []byte, up *upload) error {
	var err error
	if len(message) > 0 {
		err = c.write(message, a.cfg.HeadTimeout)
	}
	if isTimeout(err) {
		return fmt.Errorf("send request to application: %w", err)
	}
	if up != nil {
		_ = c.allowRead(0) // the time for an answer begins where the body ends
		up.start(c, a.cfg.HeadTimeout)
	}
	// An application may answer, and close, before it has read the request. So there may be an answer even if sending failed.
	if err = c.readHead(&r.ctx.Response.Header, func() { r.relay(c) }); err == nil {
		up.answer()
		return nil
	}
	if uerr := up.stop(c); gaveUp(uerr) { // there is no answer because there was no request
		return uerr
	}
	return err
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
