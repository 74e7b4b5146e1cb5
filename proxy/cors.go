package proxy

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// The headers of the CORS protocol: https://fetch.spec.whatwg.org/#http-cors-protocol
const (
	headerOrigin          = "Origin"
	headerRequestedMethod = "Access-Control-Request-Method"
	corsPrefix            = "Access-Control-"
)

// preflight decides on r.target if it is a CORS preflight and its route has something to say about those. A browser sends an OPTIONS
// request with these two headers and without a body; whatever else looks like one is judged like any other request.
func (r *request) preflight() (policy.Decision, bool) {
	if string(r.target.Method) != fasthttp.MethodOptions || r.target.Route != "" {
		return policy.Decision{}, false
	}
	origin, ok := r.head.single(headerOrigin)
	announced, announces := r.head.single(headerRequestedMethod)
	if !ok || !announces || r.head.hasBody() || !policy.KnownMethod(announced) {
		return policy.Decision{}, false
	}
	return r.cfg.Gate.Preflight(r.target, announced, origin)
}

// answerPreflight answers a preflight from the configuration. A browser compares for itself what it is told with what it wants.
func (r *request) answerPreflight() {
	h, c := &r.ctx.Response.Header, r.decision.Route.CORS
	r.ownAnswer()
	r.ctx.SetStatusCode(fasthttp.StatusNoContent)
	h.Set(fasthttp.HeaderCacheControl, "no-store") // browsers keep it by Access-Control-Max-Age
	r.share()
	setUnlessEmpty(h, "Access-Control-Allow-Methods", c.Methods)
	setUnlessEmpty(h, "Access-Control-Allow-Headers", c.Headers)
	setUnlessEmpty(h, "Access-Control-Max-Age", c.MaxAge)
	r.explain()
}

// share says who may read the response, where the route says so, in place of what the application says. That goes for refusals too: a page
// cannot tell a 401 from a broken network otherwise.
func (r *request) share() {
	if r.decision.Route == nil || r.decision.Route.CORS == nil || r.decision.Route.CORS.Pass {
		return
	}
	h, c := &r.ctx.Response.Header, r.decision.Route.CORS
	dropSharing(h)
	if c.Any() {
		h.Set("Access-Control-Allow-Origin", policy.AnyOrigin)
	} else {
		if !varies(h) {
			h.Add(fasthttp.HeaderVary, headerOrigin) // also if there is none now: caches must not give this answer to a page
		}
		origin, ok := r.head.single(headerOrigin)
		if !ok || !c.Allows(origin) {
			return
		}
		h.SetBytesV("Access-Control-Allow-Origin", origin)
	}
	if c.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if r.decision.Reason != policy.Preflight {
		setUnlessEmpty(h, "Access-Control-Expose-Headers", c.Exposed)
	}
}

// dropSharing removes everything that an application says of CORS.
func dropSharing(h *fasthttp.ResponseHeader) {
	removeFields(h, func(name []byte) bool {
		return len(name) > len(corsPrefix) && bytes.EqualFold(name[:len(corsPrefix)], []byte(corsPrefix))
	})
}

// varies reports whether a response says already that it depends on the origin, in any spelling of the header.
func varies(h *fasthttp.ResponseHeader) bool {
	for name, value := range h.All() {
		if !bytes.EqualFold(name, []byte(fasthttp.HeaderVary)) {
			continue
		}
		if line := [][]byte{value}; listedIn(line, []byte(headerOrigin)) || listedIn(line, []byte("*")) {
			return true
		}
	}
	return false
}

func setUnlessEmpty(h *fasthttp.ResponseHeader, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}
