package proxy

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// Hooks take messages in that say which sessions have ended. header returns the value of a header line that is there exactly once, and else
// nothing. Hooks are safe for concurrent use.
type Hooks interface {
	// Expects reports, by the head of a message alone, whether its body is worth reading.
	Expects(header func(name string) string) bool

	// Receive takes one message in, and returns when what it says is in force. It is about the sessions of the service of that name only, or
	// of all services if there is none. The reason is [policy.MessageReceived], or why not.
	Receive(service string, header func(name string) string, body []byte) policy.Reason
}

// maxMessage is how long a message may be.
const maxMessage = 64 << 10

// message takes in a message to the hooks.
func (r *request) message() {
	if !r.judged {
		r.decision = r.judgeMessage()
		r.judgedAt(r.now())
	}
	if r.decision.Verdict == policy.Allowed {
		r.decision = r.takeMessage()
	}
	if r.decision.Verdict != policy.Allowed {
		r.tellOfMessage()
		r.refuse(r.decision)
		return
	}
	r.ctx.SetStatusCode(fasthttp.StatusNoContent)
	r.ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	r.explain()
}

// tellOfMessage tells the operator, at most once a minute, of a message that was refused, and nothing of what came. Strangers, who can send
// any number, keep nothing out of the log about those whose messages are expected.
func (r *request) tellOfMessage() {
	t := &r.unheeded
	if why := r.decision.Reason; why == policy.MessageUnsigned || why == policy.UnsupportedMethod {
		t = &r.unsigned
	}
	if ok, missed := t.allowEvery(time.Minute); ok {
		r.cfg.Logger.Warn("message to hooks was refused: look at what its sender sends, and by which secret or key",
			"reason", string(r.decision.Reason), "peer", r.conn.RemoteAddr().String(), "not_logged", missed)
	}
}

// judgeMessage judges a message by its head.
func (r *request) judgeMessage() policy.Decision {
	r.target = Target{Method: r.head.method, Path: r.path}
	switch {
	case !r.head.is("POST"):
		return malformed(policy.UnsupportedMethod)
	case !r.cfg.Hooks.Expects(r.head.line):
		return judgedMessage(policy.MessageUnsigned)
	case !r.knownHook(r.path):
		return policy.Decision{Verdict: policy.Denied, Reason: policy.NoService}
	case r.tooLong(maxMessage):
		return beyond(BodyLimit)
	case r.headErr != nil:
		return malformed(policy.MalformedHeaders)
	default:
		return judgedMessage(policy.MessageReceived)
	}
}

// isHook reports whether a path is one of the hooks': theirs and, if there are several services, what is below it.
func (s *Server) isHook(path []byte) bool {
	return s.cfg.Hooks != nil && (string(path) == s.cfg.HooksPath || s.cfg.Gate.only == nil && isBelow(path, s.cfg.HooksPath))
}

// hookedService returns the name of the service that messages to a path of the hooks are about, or nothing for all.
func (s *Server) hookedService(path []byte) string {
	return strings.TrimPrefix(string(path[len(s.cfg.HooksPath):]), "/")
}

// knownHook reports whether there is the service that messages to a path of the hooks are about.
func (s *Server) knownHook(path []byte) bool {
	return len(path) == len(s.cfg.HooksPath) ||
		slices.ContainsFunc(s.cfg.Services, func(service *Service) bool { return service.Label == s.hookedService(path) })
}

// takesMessage reports whether the body of a message is wanted.
func (s *Server) takesMessage(h *requestHead) bool {
	return h.is("POST") && h.length <= maxMessage && s.cfg.Hooks.Expects(h.line)
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
	return judgedMessage(r.cfg.Hooks.Receive(r.hookedService(r.path), r.head.line, body))
}

// errLate says that a message did not come in time.
var errLate = errors.New("message took too long")

// readMessage reads the body of a message to its end. Nobody knows who sends it before that, so that it has no more time than a head has.
func (r *request) readMessage() ([]byte, error) {
	if !r.head.hasBody() {
		return nil, nil
	}
	r.conn.stream()
	late := time.AfterFunc(r.limits.HeadTimeout, r.conn.interrupt)
	body, err := io.ReadAll(io.LimitReader(r.ctx.RequestBodyStream(), maxMessage+1))
	length := r.head.length
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

// line returns the value of a header line that is there exactly once, and else nothing.
func (h *requestHead) line(name string) string {
	if value, ok := h.single(name); ok {
		return string(value)
	}
	return ""
}
