package proxy

import (
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// envoyPath is what stands between the path of the face and the request-target that Envoy asks about. Envoy puts its path_prefix before
// the target as it is, so that a prefix that ends in a slash brings two.
const envoyPath = "/envoy/"

// describeEnvoy reads a request as the HTTP service of Envoy's ext_authz describes it: by sending it, without its body and with a prefix
// before its path. X-Forwarded-Proto, which Envoy sends if it is told to, may say by which scheme it was asked.
//
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/ext_authz/v3/ext_authz.proto
func describeEnvoy(r *request) (t Target, f fault) {
	ok := false
	t.Method = r.head.method
	t.Raw = r.raw[len(r.cfg.ForwardAuthPath)+len(envoyPath)-1:]
	if len(t.Raw) > 1 && t.Raw[1] == '/' {
		t.Raw = t.Raw[1:]
	}
	var err error
	if t.Path, t.forms, err = canonicalPath(t.Raw, r.scratch.other[:0]); err != nil {
		return Target{}, fault{reason: policy.MalformedTarget, cause: err}
	}
	t.Authority = r.head.host
	if t.Host, ok = canonicalHost(t.Authority, r.scratch.host[:0]); !ok {
		return Target{}, fault{reason: policy.MalformedTarget, cause: errBadHost}
	}
	if t.Scheme, ok = r.forwardedScheme(); !ok {
		return Target{}, ill(forwardedProto, policy.MalformedForward)
	}
	return t, fault{}
}

// allowEnvoy names what Envoy must remove from the request. It does so after it has set what the answer sets, so that no identity header
// itself may be named.
func allowEnvoy(r *request, h answerHead) {
	h.SetCanonical(envoyRemoves, r.stripFor(r.decision.View.Policy()).removes[r.keeps().header()])
}

var envoyRemoves = []byte("X-Envoy-Auth-Headers-To-Remove")
