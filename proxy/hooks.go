package proxy

import (
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// Hooks take messages in that say which sessions have ended. header returns the value of a header line that is there exactly once, and else
// nothing. Hooks are safe for concurrent use.
type Hooks interface {
	// Expects reports, by the head of a message alone, whether its body is worth reading.
	Expects(header func(name string) string) bool

	// Receive takes one message in, and returns when what it says is in force. The reason is [policy.MessageReceived], or why not.
	Receive(header func(name string) string, body []byte) policy.Reason
}

// maxMessage is how long a message may be.
const maxMessage = 64 << 10

// message takes in a message to the hooks.
func (r *request) message() {
	if r.decided == 0 {
		r.decision = r.judgeMessage()
	}
	if r.decision.Verdict == policy.Allowed {
		r.decision = r.takeMessage()
	}
	if r.decision.Verdict != policy.Allowed {
		r.refuse(r.decision)
		return
	}
	r.ctx.SetStatusCode(fasthttp.StatusNoContent)
	r.ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	r.explain()
}

// judgeMessage judges a message by its head.
func (r *request) judgeMessage() policy.Decision {
	h := &r.ctx.Request.Header
	r.target = Target{Method: h.Method(), Path: r.path}
	switch {
	case !h.IsPost():
		return malformed(policy.UnsupportedMethod)
	case !r.cfg.Hooks.Expects(headerOf(h)):
		return judgedMessage(policy.MessageUnsigned)
	case r.tooLong(maxMessage):
		return beyond(BodyLimit)
	case r.headErr != nil:
		return malformed(policy.MalformedHeaders)
	default:
		return judgedMessage(policy.MessageReceived)
	}
}

// takesMessage reports whether the body of a message is wanted.
func (s *Server) takesMessage(h *fasthttp.RequestHeader) bool {
	return h.IsPost() && h.ContentLength() <= maxMessage && s.cfg.Hooks.Expects(headerOf(h))
}

// takeMessage reads a message and does what it says.
func (r *request) takeMessage() policy.Decision {
	if !r.occupy() {
		return beyond(RequestsPerClientLimit)
	}
	defer r.conn.settle()
	body, err := r.readMessage()
	if errors.Is(err, errLate) {
		return beyond(BodyTimeLimit)
	}
	if err != nil {
		d, _ := r.clientFault(err)
		return d
	}
	return judgedMessage(r.cfg.Hooks.Receive(headerOf(&r.ctx.Request.Header), body))
}

// errLate says that a message did not come in time.
var errLate = errors.New("message took too long")

// readMessage reads the body of a message to its end. Nobody knows who sends it before that, so that it has no more time than a head has.
func (r *request) readMessage() ([]byte, error) {
	h := &r.ctx.Request.Header
	if !hasRequestBody(h) {
		return nil, nil
	}
	r.conn.stream()
	late := time.AfterFunc(r.limits.HeadTimeout, r.conn.interrupt)
	body, err := io.ReadAll(io.LimitReader(r.ctx.RequestBodyStream(), maxMessage+1))
	length := h.ContentLength()
	switch {
	case !late.Stop():
		return nil, errLate
	case len(body) > maxMessage:
		return nil, errTooLarge
	case err != nil, length == chunkedBody && r.conn.ended, length != chunkedBody && len(body) != length:
		return nil, errAborted
	}
	r.conn.unread.Store(false)
	return body, nil
}

// judgedMessage returns the decision about a message for a reason.
func judgedMessage(why policy.Reason) policy.Decision {
	switch why {
	case policy.MessageReceived:
		return policy.Decision{Verdict: policy.Allowed, Reason: why}
	case policy.MessageUnsigned, policy.MessageOld:
		return policy.Decision{Verdict: policy.Unauthenticated, Reason: why}
	case policy.MessageReplayed:
		return policy.Decision{Verdict: policy.Denied, Reason: why}
	default:
		return malformed(policy.MessageUnread)
	}
}

// headerOf returns a function that returns the value of a header line that is there exactly once, and else nothing.
func headerOf(h *fasthttp.RequestHeader) func(name string) string {
	return func(name string) string {
		value, _ := single(h, name)
		return string(value)
	}
}
