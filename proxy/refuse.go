package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// The headers in which the gateway explains itself.
const (
	reasonHeader = "X-Gatehouse-Reason"
	detailHeader = "X-Gatehouse-Detail"
	cacheHeader  = "X-Gatehouse-Cache"
)

// retryAfter is what clients are told to wait, in seconds, when the session service or the application gives no answer, or they ask too much.
const retryAfter = "2"

// refuse answers a request that may not pass.
func (r *request) refuse(d policy.Decision) {
	r.decision = d
	r.last = r.last || d.Verdict == policy.Malformed || d.Verdict == policy.Limited // who knows where the next request begins
	r.explainOutage()
	r.explainRequirement()
	r.ownAnswer()
	if r.lead() {
		return
	}
	r.renew(d.Renewed)
	if refusal, ok := errors.AsType[*upstream.Refusal](d.Err); ok && d.Verdict == policy.Refused {
		r.relayRefusal(refusal)
		return
	}
	r.answer(status(&d))
}

// ownAnswer begins an answer of the gateway's own. Unlike one of the application, which has been stated before, it gets its date from fasthttp.
func (r *request) ownAnswer() {
	r.ctx.Response.Reset()
	r.ctx.Response.Header.SetNoDefaultContentType(true)
}

// status returns the status of a refusal. Anything that is not known here is the gateway's own fault, and no permission.
func status(d *policy.Decision) int {
	switch d.Verdict {
	case policy.Unauthenticated:
		return fasthttp.StatusUnauthorized
	case policy.Denied, policy.Refused:
		switch d.Reason {
		case policy.NoApplication, policy.NoService, policy.UnknownDialect:
			return fasthttp.StatusNotFound
		case policy.UnknownHost:
			return fasthttp.StatusMisdirectedRequest
		case policy.TooEarly:
			return http.StatusTooEarly
		case policy.MessageReplayed:
			return fasthttp.StatusConflict
		}
		return fasthttp.StatusForbidden
	case policy.Unavailable:
		return fasthttp.StatusServiceUnavailable
	case policy.Malformed:
		switch d.Reason {
		case policy.UnsupportedMethod:
			return fasthttp.StatusMethodNotAllowed
		case policy.UnsupportedVersion:
			return fasthttp.StatusHTTPVersionNotSupported
		}
		return fasthttp.StatusBadRequest
	case policy.Limited:
		return cmp.Or(limitTable[limitOf(d)].status, fasthttp.StatusInternalServerError)
	default:
		return fasthttp.StatusInternalServerError
	}
}

// answer writes a refusal with a body of our own: a page for people, and for everybody else what RFC 9457 has. Nothing in it comes from the
// request.
func (r *request) answer(status int) {
	status = r.understood(status)
	say := wordsFor(status, r.detail(status))
	writeProblem(r.ctx, status)
	r.ctx.SetBody(say.problem)
	if status == fasthttp.StatusMethodNotAllowed {
		r.ctx.Response.Header.Set(fasthttp.HeaderAllow, allowedMethods[r.face])
	}
	r.share()
	r.explain()
	if r.face != WhoamiFace && r.face != KeysFace && r.face != HooksFace && browser(r.head.value) {
		r.showPage(say.page)
	}
}

// writeProblem writes a refusal that needs nothing of the request.
func writeProblem(ctx *fasthttp.RequestCtx, status int) {
	h := &ctx.Response.Header
	ctx.SetStatusCode(status)
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	switch status {
	case fasthttp.StatusUnauthorized:
		h.Set(fasthttp.HeaderWWWAuthenticate, challenge)
	case fasthttp.StatusServiceUnavailable, fasthttp.StatusTooManyRequests:
		h.Set(fasthttp.HeaderRetryAfter, retryAfter)
	case http.StatusTooEarly:
		h.SetStatusMessage([]byte(http.StatusText(status))) // which fasthttp does not know
	}
	h.SetContentType(problemJSON)
	ctx.SetBody(wordsFor(status, "").problem)
}

const problemJSON = "application/problem+json"

// plainRefusal returns the bytes of a refusal to a client who is not served at all.
func plainRefusal(status int) []byte {
	problem := wordsFor(status, "").problem
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nConnection: close\r\nCache-Control: no-store\r\n%s: %s\r\nContent-Type: %s\r\n",
		status, fasthttp.StatusMessage(status), fasthttp.HeaderRetryAfter, retryAfter, problemJSON)
	b = fmt.Appendf(b, "Content-Length: %d\r\n\r\n", len(problem))
	return append(b, problem...)
}

// challenge is what RFC 9110 section 15.5.2 wants with every 401.
const challenge = `Bearer realm="gatehouse"`

// understood returns the status that means the same in the dialect of whoever asks.
func (r *request) understood(status int) int {
	if translate := dialects[r.dialect].status; translate != nil {
		return translate(&r.decision, status)
	}
	return status
}

// answerPage answers with a page for people.
func (r *request) answerPage(status int, page []byte) {
	h := &r.ctx.Response.Header
	r.ctx.SetStatusCode(r.understood(status))
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	r.explain()
	r.showPage(page)
}

// allowedMethods are the methods that each face answers.
var allowedMethods = [...]string{
	ProxyFace:       strings.Join(policy.Methods(), ", "),
	ForwardAuthFace: strings.Join(policy.Methods(), ", "),
	WhoamiFace:      "GET, HEAD",
	HooksFace:       "POST",
	KeysFace:        "GET, HEAD",
	SessionAPIFace:  strings.Join(policy.Methods(), ", "),
	ExtAuthzFace:    strings.Join(policy.Methods(), ", "),
}

// relayRefusal answers with the session service's own refusal.
func (r *request) relayRefusal(refusal *upstream.Refusal) {
	h := &r.ctx.Response.Header
	r.ctx.SetStatusCode(r.understood(refusal.Status))
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	if refusal.ErrorID != "" {
		h.Set("Ory-Error-Id", refusal.ErrorID)
	}
	r.share()
	r.explain()
	h.SetContentType(refusal.ContentType)
	r.ctx.SetBody(refusal.Body)
}

// explain says why the decision is what it is, if the operator wants it said.
func (r *request) explain() {
	if r.cfg.Explain && r.decision.Reason != "" {
		r.ctx.Response.Header.Set(reasonHeader, string(r.decision.Reason))
		if detail := detailOf(&r.decision); detail != "" {
			r.ctx.Response.Header.Set(detailHeader, detail)
		}
	}
}

// explainOutage tells the operator, at most once a second, why nothing could be known.
func (r *request) explainOutage() {
	if r.decision.Verdict != policy.Unavailable {
		return
	}
	if ok, missed := r.unjudged.allow(); ok {
		r.cfg.Logger.Warn("request could not be judged", "reason", string(r.decision.Reason), "error", r.decision.Err, "not_logged", missed)
	}
}

// explainRequirement tells the operator, at most once a minute, of an expression that could not be evaluated.
func (r *request) explainRequirement() {
	failed, ok := errors.AsType[*policy.EvaluationError](r.decision.Err)
	if !ok {
		return
	}
	if ok, missed := r.unevaluated.allowEvery(time.Minute); ok {
		r.cfg.Logger.Warn("request was refused because an expression could not be evaluated: try it with gatehouse decide",
			"route", r.decision.Route.Name, "error", failed, "not_logged", missed)
	}
}
