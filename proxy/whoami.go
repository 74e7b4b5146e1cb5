package proxy

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// whoami answers whose session a request belongs to, as Ory Kratos does at GET /sessions/whoami, or as another service does, from memory
// where it can.
//
// https://www.ory.sh/docs/kratos/reference/api#tag/frontend/operation/toSession
func (r *request) whoami() {
	if !r.head.is("GET") && !r.head.is("HEAD") {
		r.refuse(malformed(policy.UnsupportedMethod))
		return
	}
	if r.judged { // by the lane
		r.whoamiDecided()
		return
	}
	service := r.serviceHere(fasthttp.MethodGet)
	if service == nil {
		r.refuse(policy.Decision{Verdict: policy.Denied, Reason: policy.NoService})
		return
	}
	r.Present(service)
	if string(r.path) != r.cfg.WhoamiPath {
		r.sessionToken()
		return
	}
	query := queryOf(r.head.uri)
	switch {
	case r.credential.Malformed:
		r.whoamiNobody(policy.MalformedCredential)
	case r.credential.Kind == upstream.NoCredential:
		r.whoamiNobody(policy.NoCredential)
	case len(query) > 0 && service.Passthrough != nil:
		r.whoamiPassedThrough(query)
	default:
		r.askWhoami()
		r.whoamiDecided()
	}
}

// askWhoami asks whose session it is.
func (r *request) askWhoami() {
	answer, err := r.service.statements().Lookup(r.base, r.credential.Credential, r.head.wantedAge())
	if r.decision = stating(&answer); err != nil {
		r.decision = policy.Decision{Err: err}
	}
}

// stating is the decision to tell what is known of a session.
func stating(a *upstream.Answer) policy.Decision {
	return policy.Decision{
		Verdict: policy.Allowed, Reason: policy.SessionValid, Session: a.Session, Renewed: a.Renewed, Source: a.Source,
	}
}

// whoamiDecided answers with the session, or for a question that brought none.
func (r *request) whoamiDecided() {
	if err := r.decision.Err; err != nil {
		r.whoamiFailed(err)
		return
	}
	words, kept := r.decision.Session.Words()
	if !kept { // they must be
		r.whoamiFailed(policy.ErrForgotten)
		return
	}
	r.ctx.Response.Header.SetContentTypeBytes(r.whoamiType())
	r.tellWhoami(&r.ctx.Response.Header)
	r.renew(r.decision.Renewed)
	r.ctx.Response.SetBodyRaw(words) // immutable, so that they need not be copied
}

// tellWhoami says what goes with the body of an answer with a session.
func (r *request) tellWhoami(h answerHead) {
	h.SetCanonical(cacheControl, kratosNoStore)
	h.SetCanonical(vary, kratosVary)
	if r.service.WhoamiDialect == nil {
		h.Set("X-Kratos-Authenticated-Identity-Id", r.decision.Session.IdentityID)
	}
	if r.cfg.Explain {
		h.Set(cacheHeader, r.decision.Source.String())
	}
}

// whoamiType returns the type of an answer with a session.
func (r *request) whoamiType() []byte {
	if r.service.WhoamiDialect != nil {
		return plainJSON
	}
	return kratosJSON
}

// kratosHead sets what Kratos says with every answer, and returns the head of the response.
func (r *request) kratosHead() *fasthttp.ResponseHeader {
	h := &r.ctx.Response.Header
	h.SetCanonical(cacheControl, kratosNoStore)
	h.SetCanonical(vary, kratosVary)
	return h
}

var (
	kratosNoStore = []byte("private, no-cache, no-store, must-revalidate")
	plainJSON     = []byte("application/json")
	kratosJSON    = []byte("application/json; charset=utf-8")
	kratosVary    = []byte("Cookie")
	vary          = []byte(fasthttp.HeaderVary)
)

// whoamiPassedThrough asks the service a question that has parameters, such as tokenize_as, whose answer is for this caller only.
func (r *request) whoamiPassedThrough(query []byte) {
	reply, err := r.service.Passthrough.Forward(r.base, r.credential.Credential, query)
	if err != nil {
		r.whoamiFailed(err)
		return
	}
	r.whoamiReply(&reply)
}

// whoamiReply answers with a reply of the service.
func (r *request) whoamiReply(reply *upstream.Reply) {
	r.decision = policy.Decision{Verdict: policy.Allowed, Reason: policy.PassedThrough}
	if reply.Status >= fasthttp.StatusBadRequest {
		r.decision.Verdict = policy.Refused
	}
	r.ctx.SetStatusCode(reply.Status)
	h := r.kratosHead()
	for _, f := range reply.Header {
		h.Add(f.Name, f.Value)
	}
	r.ctx.SetBody(reply.Body)
}

// whoamiNobody answers for a request that presents nothing that could be somebody's.
func (r *request) whoamiNobody(reason policy.Reason) {
	r.decision = policy.Decision{Verdict: policy.Unauthenticated, Reason: reason}
	r.whoamiError(fasthttp.StatusUnauthorized)
}

// whoamiFailed answers for a question that brought no session.
func (r *request) whoamiFailed(err error) {
	if errors.Is(err, upstream.ErrNoSession) {
		r.whoamiNobody(policy.NoSession)
		return
	}
	r.decision = policy.Decision{Verdict: policy.Refused, Reason: policy.RefusedByService, Err: err}
	if refusal, refused := errors.AsType[*upstream.Refusal](err); refused {
		if r.service.WhoamiDialect != nil {
			r.whoamiError(fasthttp.StatusForbidden)
			return
		}
		r.relayRefusal(refusal)
		r.kratosHead()
		return
	}
	r.ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, retryAfter)
	if errors.Is(err, upstream.ErrLimited) {
		r.decision = beyond(UnknownPerClientLimit)
		r.whoamiError(fasthttp.StatusTooManyRequests)
		return
	}
	r.decision.Verdict, r.decision.Reason = policy.Unavailable, policy.StoreUnavailable
	r.explainOutage()
	r.whoamiError(fasthttp.StatusServiceUnavailable)
}

// whoamiError answers with an error in the words of the dialect. Where Kratos has some, they are its own.
func (r *request) whoamiError(status int) {
	h := r.kratosHead()
	h.SetContentType("application/json")
	r.explain()
	if d := r.service.WhoamiDialect; d != nil {
		answered, body := d.Refusal(status)
		r.ctx.SetStatusCode(answered)
		r.ctx.Response.SetBodyRaw(body)
		return
	}
	r.ctx.SetStatusCode(status)
	h.Set("Ory-Error-Id", "")
	reason, message := "No valid session credentials found in the request.", "The request could not be authorized"
	switch status {
	case fasthttp.StatusTooManyRequests:
		reason, message = "Too many unknown session credentials came from this client.", "The request was not looked at"
	case fasthttp.StatusServiceUnavailable:
		reason, message = "The session service gave no usable answer.", "The service is currently unable to say whose session this is"
	}
	body := append(make([]byte, 0, 256), `{"error":{"code":`...)
	body = strconv.AppendInt(body, int64(status), 10)
	body = append(body, `,"status":`...)
	body = strconv.AppendQuote(body, fasthttp.StatusMessage(status))
	if id := r.head.value("X-Request-Id"); plainID(id) {
		body = append(body, `,"request":"`...)
		body = append(append(body, id...), '"')
	}
	body = append(body, `,"reason":`...)
	body = strconv.AppendQuote(body, reason)
	body = append(body, `,"message":`...)
	body = strconv.AppendQuote(body, message)
	r.ctx.Response.SetBodyRaw(append(body, "}}\n"...))
}

// plainID reports whether a request id is one that needs no escaping in JSON.
func plainID(id []byte) bool {
	for _, b := range id {
		if b < 0x20 || b >= 0x7f || b == '"' || b == '\\' || b == '<' || b == '>' || b == '&' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= 256
}

// queryOf returns what follows the first '?' of a request-target.
func queryOf(target []byte) []byte {
	_, query, _ := bytes.Cut(target, []byte("?"))
	return query
}

// wantedAge returns the age up to which the caller takes an answer: the smallest max-age of its Cache-Control (RFC 9111 section 5.2.1.1),
// as Ory Network honours it. What cannot be read asks for nothing.
//
// https://www.ory.sh/docs/concepts/cache
func (h *requestHead) wantedAge() time.Duration {
	age := upstream.Unlimited
	for line := range h.all(fasthttp.HeaderCacheControl) {
		for len(line) > 0 {
			var directive []byte
			directive, line, _ = bytes.Cut(line, []byte(","))
			name, value, _ := bytes.Cut(trimBlanks(directive), []byte("="))
			if !bytes.EqualFold(name, []byte("max-age")) {
				continue
			}
			seconds, err := strconv.ParseUint(string(bytes.Trim(value, `"`)), 10, 31)
			if err == nil {
				age = min(age, time.Duration(seconds)*time.Second)
			}
		}
	}
	return age
}
