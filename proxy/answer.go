package proxy

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// prepare finds out what is to be decided about a plain request. It reports false, and has told nobody, if that is not for the lane to
// find out.
func (r *request) prepare() bool {
	host, ok := canonicalHost(r.head.host, r.scratch.host[:0])
	if !ok || !policy.KnownMethod(r.head.method) || r.beyondHead() != 0 {
		return false
	}
	switch r.face {
	case ForwardAuthFace:
		return r.prepareDescribed()
	case WhoamiFace:
		return r.prepareWhoami()
	case ProxyFace:
		if len(r.path) == 0 || isMove(r.head.method) {
			return false
		}
		r.aim(host)
		return r.prepareTarget()
	default:
		return false
	}
}

// prepareDescribed is prepare for the request that a front proxy describes.
func (r *request) prepareDescribed() bool {
	if !r.conn.trusted || !r.known {
		return false
	}
	r.target, r.fault = dialects[r.dialect].describe(r)
	return r.fault.reason == "" && !isMove(r.target.Method) && r.prepareTarget()
}

// prepareTarget reports whether nothing but the Gate decides on r.target.
func (r *request) prepareTarget() bool {
	m := r.target.Method
	return policy.KnownMethod(m) && string(m) != fasthttp.MethodOptions && (!r.head.early || policy.SafeMethod(m))
}

// prepareWhoami is prepare for a question whose session it is.
func (r *request) prepareWhoami() bool {
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
	c := r.Present(service)
	return !c.Malformed && c.Kind != upstream.NoCredential
}

// recall decides on a request that is prepared by what is remembered. It reports false if that is not enough to let it pass.
func (r *request) recall() (ok bool) {
	if r.face == WhoamiFace {
		answer, ok := recall(r.service.statements(), r.credential.Credential, r.began)
		r.decision = stating(&answer)
		return ok
	}
	r.decision, ok = r.cfg.Gate.Recall(r.target, r, r.began)
	return ok
}

// begin tells the observer of a request that is prepared, as the long way does.
func (r *request) begin() {
	r.cfg.Observer.Began(r.face)
	if r.face == ForwardAuthFace {
		r.tellOfForeign()
	}
}

// ask decides on a request that is prepared, and waits for the session service where it must. The long way does not decide on it again.
func (r *request) ask() {
	r.begin()
	if r.face == WhoamiFace {
		r.askWhoami()
	} else {
		r.decision = r.cfg.Gate.Decide(r.base, r.target, r)
	}
	r.judgedAt(r.now())
}

// complete prepares what the lane does with a request that was decided on. It reports false, and has done nothing, if the request may not pass
// or the lane cannot answer it.
func (r *request) complete() bool {
	if r.decision.Verdict != policy.Allowed || len(r.decision.Renewed) > 0 {
		return false
	}
	switch r.face {
	case WhoamiFace:
		s := r.decision.Session
		_, kept := s.Words() // an id goes into the head, and what a service takes for one may be any text
		return kept && (r.service.WhoamiDialect != nil || onlyText([]byte(s.IdentityID)))
	case ProxyFace:
		return r.completeOwn()
	default:
		return true
	}
}

// completeOwn prepares what goes to the application.
func (r *request) completeOwn() bool {
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
	r.judgedAt(now)
	r.asked = asked{app: app, began: now}
	return true
}

// answer answers a request to one of the gateway's own faces as at that time. It is the last that is done with r.
func (l *lane) answer(r *request, at time.Time) turn {
	last := r.last || r.down.Load()
	l.memory.out = r.appendAnswer(l.memory.out, at, last)
	now := r.now()
	l.answered(now)
	r.conclude(fasthttp.StatusOK, now)
	l.conn.heard.Store(false)
	if last {
		return end
	}
	return stay
}

// goOn goes on with the request that waits or passes, if one does.
func (l *lane) goOn(t turn) turn {
	if t == ask {
		t = l.ask()
	}
	if t == pass {
		t = l.passOn()
	}
	return t
}

// ask has it decided whether the request that waits may pass. Where the lane cannot serve it, it goes on the long way from there.
func (l *lane) ask() (t turn) {
	r := l.current
	l.current = nil
	concluded := false
	defer func() {
		if failure := recover(); failure != nil {
			t = l.failed(r, concluded, failure)
		}
	}()
	r.ask()
	switch {
	case !r.complete():
		l.conn.begun = r
		return leave
	case r.face == ProxyFace:
		l.current = r
		return pass
	}
	t = l.answer(r, r.now())
	concluded = true
	l.consume(l.next.head)
	l.send()
	if l.flush() != nil {
		return end
	}
	return t
}

// drop gives up the request that waits or passes, if one does: earlier answers could not be sent.
func (l *lane) drop() {
	r := l.current
	l.current = nil
	switch {
	case r == nil:
	case r.asked.app == nil: // nobody has been told of it
		r.release()
	default:
		r.asked.app.cfg.Observer.Cut(ByClient)
		r.abandon(policy.Allowed, policy.ClientGone, statusClientGone)
	}
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

// appendAnswer appends the answer to a request of one of the gateway's own faces, as fasthttp would write it at that time.
// last says that the connection ends with it.
func (r *request) appendAnswer(dst []byte, now time.Time, last bool) []byte {
	var body []byte
	dst = append(dst, "HTTP/1.1 200 OK\r\n"...)
	dst = append(dst, r.dates.line(now)...)
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
