package proxy

import (
	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// forwardAuth answers another proxy that asks whether a request may pass. Allowed is exactly 200, with every identity header, empty
// where nothing is known, so that a proxy which only copies what it is sent overwrites whatever the client sent (CVE-2026-30851).
func (r *request) forwardAuth() {
	if listedIn(r.head.connection, []byte("upgrade")) {
		// The proxy passes a WebSocket handshake on. Nothing is upgraded here, and some wait for the connection to end.
		r.last = true
	}
	if !r.judged { // or else the lane has
		r.decision = r.judgeDescribed()
	}
	if r.decision.Verdict != policy.Allowed {
		r.refuse(r.decision)
		return
	}
	r.ctx.SetStatusCode(fasthttp.StatusOK)
	r.tellFront(&r.ctx.Response.Header)
	r.renew(r.decision.Renewed)
}

// tellFront tells a front proxy of a request that may pass.
func (r *request) tellFront(h answerHead) {
	d := &r.decision
	h.SetCanonical(cacheControl, noStore)
	for _, f := range d.View.Fields {
		h.SetCanonical(f.Name, f.Value)
	}
	if name := d.View.Policy().TokenHeader(); name != nil {
		h.SetCanonical(name, d.Token)
	}
	if allow := dialects[r.dialect].allow; allow != nil {
		allow(r, h)
	}
	if r.cfg.Explain {
		h.Set(reasonHeader, string(d.Reason))
		if d.Session != nil {
			h.Set(cacheHeader, d.Source.String())
		}
	}
}

var (
	cacheControl = []byte(fasthttp.HeaderCacheControl)
	noStore      = []byte("no-store")
)

// judgeDescribed decides on the request that a trusted peer describes.
func (r *request) judgeDescribed() policy.Decision {
	if r.head.is("CONNECT") || r.head.is("TRACE") {
		return malformed(policy.UnsupportedMethod)
	}
	if !r.conn.trusted {
		if ok, missed := r.untrusted.allow(); ok {
			r.cfg.Logger.Warn("forward-auth was asked by a peer that is not in trusted_proxies",
				"peer", r.conn.RemoteAddr().String(), "not_logged", missed)
		}
		return policy.Decision{Verdict: policy.Denied, Reason: policy.UntrustedPeer}
	}
	if !r.known {
		return policy.Decision{Verdict: policy.Denied, Reason: policy.UnknownDialect}
	}
	r.tellOfForeign()
	if r.target, r.fault = dialects[r.dialect].describe(r); r.fault.reason != "" {
		r.target = Target{}
		r.warnOfFault()
		return policy.Decision{Verdict: policy.Malformed, Reason: r.fault.reason, Err: r.fault.cause}
	}
	if !policy.KnownMethod(r.target.Method) {
		return malformed(policy.UnsupportedMethod)
	}
	if isMove(r.target.Method) {
		r.target.Destination, _ = r.head.single(headerDestination)
	}
	if d, announced := r.preflight(); announced && d.Route.CORS.Pass { // any other preflight cannot be answered from here
		return d
	}
	return r.decide()
}

// tellOfForeign tells the observer if the request is described in another dialect than its own, too.
func (r *request) tellOfForeign() {
	for _, line := range dialects[r.dialect].foreign {
		if r.head.described[line].count > 0 {
			r.cfg.Observer.ForeignHeaders(r.dialect)
			return
		}
	}
}

// warnOfFault tells the operator of a question that is at fault itself.
func (r *request) warnOfFault() {
	if r.fault.reason != policy.MalformedForward {
		return
	}
	if ok, missed := r.untold.allow(); ok {
		r.cfg.Logger.Warn("forward-auth was asked about a request that cannot be told: the header must be there once, with one value",
			"header", r.fault.header, "dialect", r.dialect.String(), "peer", r.conn.RemoteAddr().String(), "not_logged", missed)
	}
}
