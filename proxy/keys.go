package proxy

import (
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// keys answers with the keys by which applications verify signed tokens. They are public, and for everybody.
func (r *request) keys() {
	if !r.head.is("GET") && !r.head.is("HEAD") {
		r.refuse(malformed(policy.UnsupportedMethod))
		return
	}
	_, set := r.cfg.Gate.Policy().Keys()
	if set == nil { // they have just been turned off
		r.refuse(policy.Decision{Verdict: policy.Denied, Reason: policy.NoApplication})
		return
	}
	r.decision = policy.Decision{Verdict: policy.Allowed, Reason: policy.Public}
	r.ctx.Response.Header.SetCanonical(cacheControl, keysMaxAge)
	r.ctx.Response.Header.SetContentTypeBytes(keySet)
	r.ctx.Response.SetBodyRaw(set) // immutable
}

var (
	keySet     = []byte("application/jwk-set+json") // RFC 7517 section 8.5.2
	keysMaxAge = []byte("public, max-age=300")
)
