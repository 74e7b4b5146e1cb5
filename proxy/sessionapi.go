package proxy

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A SessionAPI is the session service's own API, served beside the other faces: requests are passed on to the service as those to an
// application are, with the credentials that they present, and what they end is forgotten before the client has its answer.
type SessionAPI struct {
	Service *App
	Calls   APICalls
	Takes   Credentials // all that the service takes, whatever is looked at elsewhere
	Host    string      // that the service is asked for; empty for the one that the client asks for
	Base    string      // what is before the client's path at the service; empty, or with a slash before and none behind
}

// APICalls know the calls to a session service's API. They are safe for concurrent use.
type APICalls interface {
	// Has reports whether a canonical path is one of the API. It is called for every request, so that it must not allocate.
	Has(path []byte) bool

	// Traits reports whether a call may change anything, so that it must not be sent twice, and whether its body says what.
	Traits(method, path []byte) (changes, bodied bool)

	// Begin is called before a call is passed on. If it fails, the call is not. Its errors are those of [upstream.Store].
	Begin(ctx context.Context, c APICall) (APIEnding, error)
}

// An APICall is a call to a session service's API. It borrows the memory of its request.
type APICall struct {
	Method, Path []byte                // the path is canonical
	Body         []byte                // only if it says what the call changes
	Presented    []upstream.Credential // all that it presents, of every kind
	From         netip.Addr            // as in [upstream.Credential]
}

// An APIEnding is told how a call that was sent has ended: the status of the answer, or 0 if none came, and the credentials that it hands
// out. The client gets the answer when End has returned.
type APIEnding interface {
	End(ctx context.Context, status int, issued []upstream.Credential)
}

// maxAPIBody is how long the body of a call may be: what Kratos itself takes. One that says what the call changes may have maxMessage.
//
// https://github.com/ory/kratos/blob/v26.2.0/cmd/daemon/serve.go#L107
const maxAPIBody = 5 << 20

// isAPI reports whether a canonical path is one of a session service's API.
func (s *Server) isAPI(path []byte) bool {
	for _, service := range s.cfg.Services {
		if service.API != nil && service.API.Calls.Has(path) {
			return true
		}
	}
	return false
}

// apiAt returns the session service whose API a request is for: the only one, or that of the route which it would take. It returns nil if
// that service does not serve the path.
func (s *Server) apiAt(host, path, method []byte) *Service {
	service := s.cfg.Gate.only
	if service == nil {
		name, ok := canonicalHost(host, nil)
		if !ok {
			return nil
		}
		if route := s.cfg.Gate.Policy().Route(name, path, method); route != nil {
			service = s.cfg.Gate.serviceOf(route)
		}
	}
	if service == nil || service.API == nil || !service.API.Calls.Has(path) {
		return nil
	}
	return service
}

// callAPI passes a call on to the session service, unless it cannot be.
func (r *request) callAPI() {
	if !r.judged {
		r.decision = r.judgeCall()
		r.judgedAt(r.now())
	}
	if r.decision.Verdict == policy.Allowed {
		r.passCall()
		return
	}
	r.refuse(r.decision)
}

// judgeCall judges a call by its head. It may be made without a session: what it may do is for the service to say.
func (r *request) judgeCall() policy.Decision {
	h, api := &r.head, r.service.API
	host, ok := canonicalHost(h.host, r.scratch.host[:0])
	switch {
	case !ok:
		return malformedTarget(errBadHost)
	case r.forms&encodedSlash != 0: // what has another reading may be another call to the service
		return malformedTarget(errEncodedSlash)
	case r.forms != 0:
		return malformedTarget(errOtherRoute)
	}
	r.target = Target{Method: h.method, Host: host, Path: r.path, Raw: r.raw, Scheme: r.ownScheme(), Authority: h.host}
	if !policy.KnownMethod(h.method) {
		return malformed(policy.UnsupportedMethod)
	}
	r.Present(r.service)
	changes, bodied := api.Calls.Traits(r.target.Method, r.path)
	switch {
	case changes && h.early:
		return policy.Decision{Verdict: policy.Denied, Reason: policy.TooEarly}
	case r.tooLong(longestCall(bodied)):
		return beyond(BodyLimit)
	case r.headErr != nil:
		return malformed(policy.MalformedHeaders)
	default:
		return policy.Decision{Verdict: policy.Allowed, Reason: policy.PassedThrough}
	}
}

// takes reports whether the body of a call is wanted.
func (a *SessionAPI) takes(h *requestHead, path []byte) bool {
	_, bodied := a.Calls.Traits(h.method, path)
	return policy.KnownMethod(h.method) && int64(h.length) <= longestCall(bodied)
}

// longestCall is how long the body of a call may be.
func longestCall(bodied bool) int64 {
	if bodied {
		return maxMessage
	}
	return maxAPIBody
}

// maxBody is how long the body of a request that may pass may be; 0 for any length.
func (r *request) maxBody() int64 {
	if r.decision.Route == nil {
		return maxAPIBody
	}
	return r.decision.Route.MaxBody
}

// passCall passes a call on that may pass.
func (r *request) passCall() {
	api := r.service.API
	head, err := r.appendCall(r.scratch.head[:0])
	if err != nil {
		r.turnAway(policy.Malformed, policy.MalformedHeaders)
		return
	}
	r.scratch.head = head
	if !r.occupy() {
		r.turnAway(policy.Limited, policy.TooManyRequests)
		return
	}
	r.asked = asked{app: api.Service, began: time.Now()}
	changes, bodied := api.Calls.Traits(r.target.Method, r.path)
	message, body, up, err := r.appendCallBody(head, bodied)
	if errors.Is(err, errLate) {
		r.conn.settle()
		r.refuse(beyond(BodyTimeLimit))
		return
	}
	if err != nil {
		r.answered(err)
		return
	}
	if !changes {
		r.answered(api.Service.deliver(r.base, r, message, up))
		return
	}
	r.once = true
	ending, refusal := r.beginCall(body)
	if ending == nil {
		r.conn.settle()
		r.refuse(refusal)
		return
	}
	r.answered(r.deliverCall(ending, message, up))
}

// deliverCall is [App.deliver] for a call that may change something. The ending is told what came of it, also if something panics.
func (r *request) deliverCall(ending APIEnding, message []byte, up *upload) error {
	api, status, issued := r.service.API, 0, []upstream.Credential(nil) // as long as nobody can say what came of it
	defer func() {
		if r.sent {
			ending.End(r.base, status, issued)
		}
	}()
	err := api.Service.deliver(r.base, r, message, up)
	if err == nil {
		status, issued = r.ctx.Response.StatusCode(), api.issued(&r.ctx.Response.Header)
	}
	return err
}

// beginCall finds out whom a call concerns. If that cannot be known, there is no ending, and the call must not be passed on.
func (r *request) beginCall(body []byte) (APIEnding, policy.Decision) {
	api := r.service.API
	call := APICall{Method: r.target.Method, Path: r.path, Body: body}
	call.From, _ = r.shareholder()
	takes, head := &api.Takes, r.head
	head.token = nil // which may be another service's
	byQuery := head
	if takes.TokenHeader != "" {
		head.token = head.value(takes.TokenHeader)
	}
	for _, p := range [...]Presented{
		(&Credentials{TokenHeader: takes.TokenHeader}).find(&head, nil, nil),
		(&Credentials{Cookie: takes.Cookie}).find(&head, nil, nil),
		(&Credentials{TokenHeader: takes.TokenHeader, Query: takes.Query}).find(&byQuery, r.raw, nil),
		(&Credentials{Bearer: takes.Bearer}).find(&head, nil, nil),
	} {
		if p.Malformed { // the service may find in it what we do not
			return nil, malformed(policy.MalformedCredential)
		}
		if p.From = call.From; p.Kind != upstream.NoCredential {
			call.Presented = append(call.Presented, p.Credential)
		}
	}
	ending, err := api.Calls.Begin(r.base, call)
	switch {
	case err == nil:
		return ending, policy.Decision{}
	case errors.Is(err, upstream.ErrLimited):
		return nil, policy.Decision{Verdict: policy.Limited, Reason: policy.TooManyUnknown, Err: err}
	default:
		return nil, policy.Decision{Verdict: policy.Unavailable, Reason: policy.StoreUnavailable, Err: err}
	}
}

// appendCall appends the head of a call as the service gets it: with its session token, every cookie and Authorization as they came, but
// for the keys to other services.
func (r *request) appendCall(dst []byte) ([]byte, error) {
	api := r.service.API
	out := outbound{
		head: &r.head, target: r.target, host: api.Host, strip: r.stripFor(r.cfg.Gate.Policy()),
		keys: r.keyring.without(&api.Takes), keeps: kept{upstream.SessionToken, api.Takes.TokenHeader},
		peer: r.conn.peer, trusted: r.conn.trusted, tls: r.conn.tls,
	}
	if api.Base != "" {
		out.target.Raw = append([]byte(api.Base), r.raw...)
	}
	return out.appendHead(dst)
}

// appendCallBody appends what frames the body of a call, and the body if it is small or says what the call changes, when it is returned, too.
func (r *request) appendCallBody(head []byte, bodied bool) (message, body []byte, up *upload, err error) {
	if !bodied || !r.head.hasBody() {
		message, up, err = appendBody(head, r, &r.service.API.Service.cfg)
		return message, nil, up, err
	}
	if body, err = r.readMessage(); err != nil {
		return nil, nil, nil, err
	}
	message = strconv.AppendInt(append(head, "Content-Length: "...), int64(len(body)), 10)
	return append(append(message, "\r\n\r\n"...), body...), body, nil, nil
}

// issued returns the session cookies that an answer sets.
func (a *SessionAPI) issued(h *fasthttp.ResponseHeader) (all []upstream.Credential) {
	if a.Takes.Cookie == "" {
		return nil
	}
	for name, line := range h.All() {
		if !bytes.EqualFold(name, []byte(fasthttp.HeaderSetCookie)) {
			continue
		}
		pair, _, _ := bytes.Cut(line, []byte(";"))
		if name, value, ok := cookieValue(pair, a.Takes.Cookie); ok {
			all = append(all, upstream.Credential{Kind: upstream.Cookie, Name: string(name), Value: value})
		}
	}
	return all
}
