package proxy

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// recall decides on a plain request by what is remembered. It reports false, and has told nobody, unless the request may pass and the lane
// can answer it.
func (r *request) recall() bool {
	host, ok := canonicalHost(r.head.host, r.scratch.host[:0])
	if !ok || !policy.KnownMethod(r.head.method) || r.beyondHead() != 0 {
		return false
	}
	switch r.face {
	case ForwardAuthFace:
		return r.recallDescribed()
	case WhoamiFace:
		return r.recallWhoami()
	case ProxyFace:
		return r.recallOwn(host)
	default:
		return false
	}
}

// recallDescribed decides on the request that a front proxy describes.
func (r *request) recallDescribed() bool {
	if !r.conn.trusted || !r.known {
		return false
	}
	r.target, r.fault = dialects[r.dialect].describe(r)
	if r.fault.reason != "" || isMove(r.target.Method) || !r.recallTarget() {
		return false
	}
	r.tellOfForeign()
	return true
}

// recallOwn decides on the request by its own request line and its canonical host, and prepares what goes to the application.
func (r *request) recallOwn(host []byte) bool {
	if len(r.path) == 0 || isMove(r.head.method) {
		return false
	}
	if r.aim(host); !r.recallTarget() {
		return false
	}
	app, ok := r.decision.Route.App.(*App)
	if cors := r.decision.Route.CORS; !ok || cors != nil && !cors.Pass || r.head.bindsConnection() {
		return false
	}
	message, err := r.appendHead(r.scratch.head[:0])
	if err != nil || !r.occupy() {
		return false
	}
	r.scratch.head, _, _ = appendBody(message, r, &app.cfg) // which there is none of
	now := r.now()
	r.decided = now.Sub(r.began)
	r.asked = asked{app: app, began: now}
	return true
}

// recallTarget decides on r.target.
func (r *request) recallTarget() (ok bool) {
	m := r.target.Method
	if !policy.KnownMethod(m) || string(m) == fasthttp.MethodOptions || r.head.early && !policy.SafeMethod(m) {
		return false
	}
	r.decision, ok = r.cfg.Gate.Recall(r.target, r, r.began)
	return ok
}

// recallWhoami finds the session that is asked for.
func (r *request) recallWhoami() bool {
	if !r.head.is("GET") && !r.head.is("HEAD") || len(queryOf(r.head.uri)) > 0 || r.head.wantedAge() != upstream.Unlimited {
		return false
	}
	if string(r.path) != r.cfg.WhoamiPath { // a session token is asked for
		return false
	}
	service := r.serviceHere(fasthttp.MethodGet)
	if service == nil {
		return false
	}
	if c := r.Present(service); c.Malformed || c.Kind == upstream.NoCredential {
		return false
	}
	answer, ok := recall(service.statements(), r.credential.Credential, r.began)
	if ok {
		_, ok = answer.Session.Words()
	}
	if ok && r.service.WhoamiDialect == nil {
		ok = onlyText([]byte(answer.Session.IdentityID)) // which goes into the head: what a service takes for an id may be any text
	}
	r.decision = policy.Decision{Verdict: policy.Allowed, Reason: policy.SessionValid, Session: answer.Session, Source: answer.Source}
	return ok
}

// A plainHead is the head of an answer of the lane, to which lines are added as to that of fasthttp.
type plainHead struct{ bytes []byte }

// SetCanonical adds a line.
func (h *plainHead) SetCanonical(name, value []byte) { h.bytes = appendField(h.bytes, name, value) }

// Set adds a line.
func (h *plainHead) Set(name, value string) {
	h.bytes = append(append(h.bytes, name...), ": "...)
	h.bytes = append(append(h.bytes, value...), "\r\n"...)
}

// An answerHead takes the lines of an answer: each once, without a line end in it.
type answerHead interface {
	SetCanonical(name, value []byte)
	Set(name, value string)
}

// appendAnswer appends the answer to a request of one of the gateway's own faces, as fasthttp would write it. last says that the
// connection ends with it.
func (r *request) appendAnswer(dst []byte, last bool) []byte {
	var body []byte
	dst = append(dst, "HTTP/1.1 200 OK\r\n"...)
	dst = append(dst, r.dates.line(r.began)...)
	if r.face == WhoamiFace {
		body, _ = r.decision.Session.Words()
		dst = appendField(dst, []byte(fasthttp.HeaderContentType), r.whoamiType())
	}
	if !r.head.is("HEAD") || len(body) > 0 {
		dst = strconv.AppendInt(append(dst, "Content-Length: "...), int64(len(body)), 10)
		dst = append(dst, "\r\n"...)
	}
	h := &r.scratch.answer
	h.bytes = dst
	if r.face == WhoamiFace {
		r.tellWhoami(h)
	} else {
		r.tellFront(h)
	}
	dst = h.bytes
	h.bytes = nil
	if last {
		dst = append(dst, "Connection: close\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	if r.head.is("HEAD") {
		return dst
	}
	return append(dst, body...)
}

// dates keep the Date line of the second.
type dates struct{ latest atomic.Pointer[dateLine] }

type dateLine struct {
	second int64
	line   []byte
}

// line returns the Date line of a time.
func (d *dates) line(now time.Time) []byte {
	second := now.Unix()
	if latest := d.latest.Load(); latest != nil && latest.second == second {
		return latest.line
	}
	line := append(fasthttp.AppendHTTPDate([]byte("Date: "), now), "\r\n"...)
	d.latest.Store(&dateLine{second, line})
	return line
}
