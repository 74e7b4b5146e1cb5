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
// follows while fasthttp writes the response. message is the head of the request without the lines that frame the body.
func (a *App) exchange(ctx context.Context, r *request, message []byte) error {
	message, up, err := appendBody(message, r, &a.cfg)
	if err != nil {
		return err
	}
	return a.deliver(ctx, r, message, up)
}

// deliver is exchange for a message that is made, with the upload that follows it, if any.
func (a *App) deliver(ctx context.Context, r *request, message []byte, up *upload) error {
	c, err := a.ask(ctx, r, message, up)
	if err != nil {
		return err
	}
	return a.answer(r, c, up)
}

// ask sends one request to the application and waits for the head of a response, which is in the connection that it returns. That belongs to
// the caller.
//
// A request is sent once. It is sent again, once, only if it came by a kept connection that the application closed without a byte of an
// answer, has no body, and has a method that changes nothing (RFC 9110 sections 9.2.1 and 9.2.2).
func (a *App) ask(ctx context.Context, r *request, message []byte, up *upload) (*appConn, error) {
	again := !r.once && !r.head.hasBody() && (r.head.is("GET") || r.head.is("HEAD") || r.head.is("OPTIONS"))
	for fresh := false; ; fresh = true {
		c, kept, err := a.attempt(ctx, r, message, up, fresh)
		if err == nil || fresh || !again || !kept || !errors.Is(err, errUnanswered) {
			return c, err
		}
	}
}

// attempt is one try to ask. It reports whether it used a connection that was kept.
func (a *App) attempt(ctx context.Context, r *request, message []byte, up *upload, fresh bool) (_ *appConn, kept bool, err error) {
	first := message
	if up != nil {
		first = nil // the answer is not to be waited for before there is somebody to send the body
	}
	c, sent, err := a.get(ctx, r.conn, fresh, first)
	if err != nil {
		return nil, false, err
	}
	r.sent = true
	answered := false
	defer func() {
		if !answered { // also if something panics: a connection that nobody gives back would be lost for ever
			_ = up.stop(c)
			a.drop(c)
		}
	}()
	kept = c.used
	if err = a.send(c, message[sent:], up); err != nil {
		return nil, kept, err
	}
	answered = true
	return c, kept, nil
}

// send sends the request, or what is left of it, by c and waits for the head of a response.
func (a *App) send(c *appConn, message []byte, up *upload) error {
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
	_, err = c.awaitHead(true)
	return a.unlessUnsent(err, c, up)
}

// answer makes what comes by c the response of r. It takes c over.
func (a *App) answer(r *request, c *appConn, up *upload) error {
	received := false
	defer func() {
		if !received {
			_ = up.stop(c)
			a.drop(c)
		}
	}()
	if err := a.unlessUnsent(c.readHead(&r.ctx.Response.Header, func() { r.relay(c) }), c, up); err != nil {
		return err
	}
	up.answer()
	a.receive(r, c, up)
	received = true
	return nil
}

// unlessUnsent returns err, but for an upload that did not come to its end: then there is no answer because there was no request.
func (a *App) unlessUnsent(err error, c *appConn, up *upload) error {
	if err == nil {
		return nil
	}
	if uerr := up.stop(c); gaveUp(uerr) {
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
