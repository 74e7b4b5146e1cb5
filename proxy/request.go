package proxy

import (
	"log/slog"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A request is one request on its way through a Server. It belongs to its handler, and is used again for another one.
type request struct {
	*Server
	ctx     *fasthttp.RequestCtx
	conn    *conn
	scratch *scratch
	face    Face
	dialect Dialect // of a question of a front proxy; the zero one changes nothing for other requests
	known   bool    // whether there is such a dialect
	began   time.Time
	judged  bool          // expect, the lane or the face itself has judged it: nobody does so again, though what follows may refuse it yet
	decided time.Duration // what the gateway itself took: until it was judged, or the lane passed it on; or else all of it
	last    bool          // the connection ends with the response

	raw, path  []byte // of the request line: path and query, and the canonical path; empty if there is no such thing
	forms      forms
	target     Target
	credential Presented
	service    *Service // that the credential is for; nil if nobody has looked
	decision   policy.Decision
	asked      asked
	head       requestHead
	headErr    error        // why the head cannot be passed on
	fault      fault        // of what a front proxy says of the request
	described  *Description // if it came by Judge, and then ctx has a response only

	panicked *panicked // in the lane, to be answered for on the long way; nil if nothing has

	once      bool   // it must not be sent again, whatever its method
	sent      bool   // something of it may have reached the application
	handshake bool   // it asks for a WebSocket
	mark      uint64 // the latest revocation when it was judged; of a handshake only
}

// scratch is memory that a request has for what it finds out.
type scratch struct {
	path, other, host [256]byte
	cookies           [1024]byte
	lines             headMemory
	head              []byte // of the request to the application
	answer            plainHead
}

var requests = sync.Pool{New: func() any { return &request{scratch: new(scratch)} }}

func (s *Server) newRequest(ctx *fasthttp.RequestCtx, began time.Time) *request {
	r := requests.Get().(*request)
	r.Server, r.ctx, r.conn, r.began = s, ctx, s.connOf(ctx), began
	r.head.reset(&r.scratch.lines)
	r.headErr = r.head.read(&ctx.Request.Header, s.keyring.tokenHeader())
	r.conn.unread.Store(r.head.hasBody())
	r.place()
	return r
}

// place finds out which face the request is for.
func (r *request) place() {
	r.raw = requestTarget(r.head.uri, r.head.host)
	if r.path, r.forms, r.face = r.readPath(r.raw, r.scratch.path[:0]); r.face == ForwardAuthFace {
		r.dialect, r.known = r.dialectOf(r.raw, r.path)
	}
	if r.face == SessionAPIFace {
		if r.service = r.apiAt(r.head.host, r.path, r.head.method); r.service == nil {
			r.face = ProxyFace
		}
	}
	r.last = r.headErr != nil || listedIn(r.head.connection, []byte("close")) // if its end is in doubt, so is where the next one begins
}

// A panicked is what a panic left, and where that was.
type panicked struct {
	failure any
	stack   []byte
}

// finish ends a request that fasthttp answers. It is the last that is done with r. failure is what a panic left, which fasthttp would let
// end the process.
func (r *request) finish(failure any) {
	if failure != nil {
		stack := debug.Stack()
		if r.panicked != nil {
			stack = r.panicked.stack
		}
		r.cfg.Logger.Error("panic while serving a request: nothing was let through", "face", r.face.String(), "panic", failure,
			"stack", string(stack))
		r.ctx.Response.Reset()
		r.decision = policy.Decision{Verdict: policy.Unavailable, Reason: policy.InternalError}
		r.answer(fasthttp.StatusInternalServerError)
		r.conn.settle() // whatever was under way
		r.last = true
	}
	r.conn.heard.Store(false)
	if r.last || r.conn.unread.Load() || r.down.Load() {
		r.ctx.SetConnectionClose()
	}
	if over := limitOf(&r.decision); over != 0 && over != Limit(r.conn.slow.Load()) { // which was told already
		r.limited(over, r.conn)
	}
	r.conclude(r.ctx.Response.StatusCode(), r.now())
}

// now returns the present. It reads one clock, where [time.Now] reads two: each is half a hundredth of what a request costs.
func (r *request) now() time.Time { return r.began.Add(time.Since(r.began)) }

// judgedAt notes that r has been judged, and when.
func (r *request) judgedAt(now time.Time) { r.judged, r.decided = true, now.Sub(r.began) }

// conclude tells the observer and the access log how the request went. It is the last that is done with r.
func (r *request) conclude(status int, now time.Time) {
	total := now.Sub(r.began)
	if !r.judged { // all of it was the gateway's own
		r.decided = total
	}
	r.cfg.Observer.Decided(r.face, &r.decision, r.decided)
	r.cfg.Observer.Ended(r.face, total)
	if r.cfg.AccessLog {
		r.log(status, total)
	}
	r.release()
}

// release gives back what r has. Nothing of it may be used any more.
func (r *request) release() {
	r.head.keep(&r.scratch.lines)
	*r = request{scratch: r.scratch}
	requests.Put(r)
}

// judge decides on the request by its own request line. A head that cannot be passed on matters only if the request may pass.
func (r *request) judge() policy.Decision {
	h := &r.head
	switch {
	case !policy.KnownMethod(h.method):
		return malformed(policy.UnsupportedMethod)
	case len(r.path) == 0:
		return malformedTarget(targetFault(r.raw))
	}
	host, ok := canonicalHost(h.host, r.scratch.host[:0])
	if !ok {
		return malformedTarget(errBadHost)
	}
	r.aim(host)
	if r.handshake = r.isHandshake(); r.handshake {
		r.conn.unread.Store(true) // what comes behind it is no request, whether it is granted or refused (RFC 9931)
	}
	d, announced := r.preflight()
	if !announced {
		d = r.decide()
	}
	switch {
	case d.Verdict != policy.Allowed:
	case r.handshake && !r.origin().allowed(d.Route):
		d.Verdict, d.Reason = policy.Denied, policy.OriginNotAllowed
	case r.tooLong(d.Route.MaxBody):
		d.Verdict, d.Reason = policy.Limited, policy.BodyTooLarge
	case r.headErr != nil:
		d.Verdict, d.Reason = policy.Malformed, policy.MalformedHeaders
	}
	return d
}

// aim makes what the request line asks for the target. host is the canonical one.
func (r *request) aim(host []byte) {
	h := &r.head
	r.target = Target{
		Method: h.method, Host: host, Path: r.path, Raw: r.raw, forms: r.forms, Destination: h.destination(),
		Scheme: r.ownScheme(), Authority: h.host,
	}
}

// tooLong reports whether the request announces a body of more than most bytes. 0 is any number.
func (r *request) tooLong(most int64) bool {
	if most == 0 || r.head.announced == nil {
		return false
	}
	n, err := strconv.ParseInt(string(r.head.announced), 10, 64)
	return err == nil && n > most
}

// decide decides on r.target.
func (r *request) decide() policy.Decision {
	if r.head.early && !policy.SafeMethod(r.target.Method) {
		return policy.Decision{Verdict: policy.Denied, Reason: policy.TooEarly}
	}
	return r.cfg.Gate.Decide(r.base, r.target, r)
}

func malformed(reason policy.Reason) policy.Decision {
	return policy.Decision{Verdict: policy.Malformed, Reason: reason}
}

// proxy judges the request, unless expect or the lane has done so, and passes it on if it may pass.
func (r *request) proxy() {
	if r.asked.app != nil {
		r.goOn()
		return
	}
	if !r.judged {
		r.decision = r.judge()
		r.judgedAt(r.now())
	}
	if r.decision.Verdict != policy.Allowed {
		r.refuse(r.decision)
		return
	}
	if r.decision.Reason == policy.Preflight && !r.decision.Route.CORS.Pass {
		r.answerPreflight()
		return
	}
	app, _ := r.decision.Route.App.(*App)
	if app == nil {
		r.turnAway(policy.Denied, policy.NoApplication)
		return
	}
	head, err := r.appendHead(r.scratch.head[:0])
	if err != nil {
		r.turnAway(policy.Malformed, policy.MalformedHeaders)
		return
	}
	r.scratch.head = head
	r.forward(app, head)
}

// turnAway refuses a request that had been allowed.
func (r *request) turnAway(v policy.Verdict, why policy.Reason) {
	d := r.decision
	d.Verdict, d.Reason = v, why
	r.refuse(d)
}

// appendHead appends the head of the request to the application.
func (r *request) appendHead(dst []byte) ([]byte, error) {
	d := &r.decision
	out := outbound{
		head: &r.head, target: r.target, strip: r.stripFor(d.View.Policy()), keys: r.keyring,
		fields: d.View.Fields, signed: policy.Field{Name: d.View.Policy().TokenHeader(), Value: d.Token},
		peer: r.conn.peer, trusted: r.conn.trusted, tls: r.conn.tls,
		skip: d.Route.StripSegments, prefix: d.Route.Prefix, keeps: r.keeps(), handshake: r.handshake,
	}
	if r.cfg.Explain && d.Session != nil {
		out.source = d.Source.String()
	}
	return out.appendHead(dst)
}

// renew passes a renewed credential on to the client that presented the old one.
func (r *request) renew(fields []upstream.Field) {
	one := dialects[r.dialect].oneCookie
	for i, f := range fields {
		switch {
		case f.Name != fasthttp.HeaderSetCookie:
			r.ctx.Response.Header.Set(f.Name, f.Value)
		case one && slices.ContainsFunc(fields[i+1:], func(later upstream.Field) bool { return later.Name == f.Name }):
			// of several with the same name, browsers keep the last
		default:
			r.ctx.Response.Header.Add(f.Name, f.Value)
		}
	}
}

// log writes the line of the access log. A session appears as the tag of its credential, and the query, which may hold secrets, not at
// all.
func (r *request) log(status int, total time.Duration) {
	if r.target.Raw == nil { // no route is asked about it, or it was refused before that: say what there was
		r.target = r.asWritten()
	}
	attrs := []slog.Attr{
		slog.String("face", r.face.String()),
		slog.String("client", r.conn.RemoteAddr().String()),
		slog.String("method", string(r.target.Method)),
		slog.String("host", string(r.target.Host)),
		slog.String("path", string(r.target.Path)),
		slog.Int("status", status),
		slog.String("verdict", r.decision.Verdict.String()),
		slog.String("reason", string(r.decision.Reason)),
		slog.Float64("took_seconds", total.Seconds()),
	}
	if detail := detailOf(&r.decision); detail != "" {
		attrs = append(attrs, slog.String("detail", detail))
	}
	if r.face == ForwardAuthFace || r.face == ExtAuthzFace {
		attrs = append(attrs, slog.String("dialect", r.dialect.String()))
	}
	if r.decision.Route != nil {
		attrs = append(attrs, slog.String("route", r.decision.Route.Name))
	}
	if r.credential.Kind != upstream.NoCredential {
		attrs = append(attrs, slog.String("credential", r.credential.By.String()), slog.String("session", r.service.Tag(r.credential.Credential)))
	}
	if r.service != nil && r.service.Label != "" {
		attrs = append(attrs, slog.String("upstream", r.service.Label))
	}
	if r.decision.Session != nil {
		attrs = append(attrs, slog.String("identity", r.decision.Session.IdentityID), slog.String("source", r.decision.Source.String()))
	}
	r.cfg.Logger.LogAttrs(r.base, slog.LevelInfo, "request", attrs...)
}

// A throttle lets one message through for a time, so that an outage does not drown the log.
type throttle struct {
	last   atomic.Int64
	missed atomic.Int64
}

// allow is allowEvery second.
func (t *throttle) allow() (ok bool, missed int64) { return t.allowEvery(time.Second) }

// allowEvery reports whether a message may be written now, and how many were not since the last that was.
func (t *throttle) allowEvery(d time.Duration) (ok bool, missed int64) {
	now, last := time.Now().UnixNano(), t.last.Load()
	if now-last < int64(d) || !t.last.CompareAndSwap(last, now) {
		t.missed.Add(1)
		return false, 0
	}
	return true, t.missed.Swap(0)
}
