package proxy

import (
	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// forwardAuth answers another proxy that asks whether a request may pass. Allowed is exactly 200, with every identity header, empty where
// nothing is known, so that a proxy which only copies what it is sent overwrites whatever the client sent (CVE-2026-30851).
func (r *request) forwardAuth() {
	d := r.judgeForwarded()
	h := &r.ctx.Response.Header
	if r.ctx.Request.Header.ConnectionUpgrade() {
		// The proxy passes a WebSocket handshake on. Nothing is upgraded here, and some wait for the connection to end.
		r.last = true
	}
	if d.Verdict != policy.Allowed {
		r.refuse(d)
		return
	}
	r.decision = d
	r.ctx.SetStatusCode(fasthttp.StatusOK)
	h.SetCanonical(cacheControl, noStore)
	for _, f := range d.View.Fields {
		h.SetCanonical(f.Name, f.Value)
	}
	if name := d.View.Policy().TokenHeader(); name != nil {
		h.SetCanonical(name, d.Token)
	}
	r.renew(d.Renewed)
	if r.cfg.Explain {
		r.explain()
		if d.Session != nil {
			h.Set(cacheHeader, d.Source.String())
		}
	}
}

var (
	cacheControl = []byte(fasthttp.HeaderCacheControl)
	noStore      = []byte("no-store")
)

// judgeForwarded decides on the request that a trusted peer describes.
func (r *request) judgeForwarded() policy.Decision {
	if r.ctx.IsConnect() || r.ctx.IsTrace() {
		return malformed(policy.UnsupportedMethod)
	}
	if !r.conn.trusted {
		if ok, missed := r.untrusted.allow(); ok {
			r.cfg.Logger.Warn("forward-auth was asked by a peer that is not in trusted_proxies",
				"peer", r.ctx.RemoteAddr().String(), "not_logged", missed)
		}
		return policy.Decision{Verdict: policy.Denied, Reason: policy.UntrustedPeer}
	}
	target, bad := forwardedTarget(&r.lines, r.scratch)
	if bad != "" {
		if ok, missed := r.untold.allow(); ok {
			r.cfg.Logger.Warn("forward-auth was asked about a request that cannot be told: the header must be there once, with one value",
				"header", bad, "peer", r.ctx.RemoteAddr().String(), "not_logged", missed)
		}
		return malformed(policy.MalformedForward)
	}
	r.target = target
	if !policy.KnownMethod(target.Method) {
		return malformed(policy.UnsupportedMethod)
	}
	if isMove(target.Method) {
		r.target.Destination, _ = single(&r.ctx.Request.Header, headerDestination)
	}
	if d, announced := r.preflight(); announced && d.Route.CORS.Pass { // any other preflight cannot be answered from here
		return d
	}
	return r.decide()
}
