package proxy

import "github.com/gatehouse-proxy/gatehouse/internal/policy"

// describeForwarded reads a request as Traefik, Caddy and others describe it: X-Forwarded-Method, -Host, -Uri and -Proto, each exactly
// once.
func describeForwarded(r *request) (Target, fault) { return forwardedTarget(r, true) }

// describePlain is [describeForwarded] for proxies that may leave out X-Forwarded-Proto.
func describePlain(r *request) (Target, fault) { return forwardedTarget(r, false) }

func forwardedTarget(r *request, needsProto bool) (t Target, f fault) {
	l, ok := &r.head.described, false
	bad := func(line int) (Target, fault) { return Target{}, ill(line, policy.MalformedForward) }
	if t.Method, ok = l[forwardedMethod].once(); !ok || !isToken(t.Method) {
		return bad(forwardedMethod)
	}
	if t.Authority, ok = l[forwardedHost].once(); !ok {
		return bad(forwardedHost)
	}
	if t.Host, ok = canonicalHost(t.Authority, r.scratch.host[:0]); !ok {
		return Target{}, ill(forwardedHost, policy.MalformedForward).by(errBadHost)
	}
	if t.Raw, ok = l[forwardedURI].once(); !ok {
		return bad(forwardedURI)
	}
	var err error
	if t.Path, t.forms, err = canonicalPath(t.Raw, r.scratch.other[:0]); err != nil {
		return Target{}, ill(forwardedURI, policy.MalformedForward).by(err)
	}
	if t.Scheme, ok = r.forwardedScheme(); !ok || needsProto && t.Scheme == "" {
		return bad(forwardedProto)
	}
	return t, fault{}
}

// forwardedScheme reads X-Forwarded-Proto, which may be there once at most. Without it the scheme is not known, and empty.
func (r *request) forwardedScheme() (scheme string, ok bool) {
	proto := &r.head.described[forwardedProto]
	if proto.count == 0 {
		return "", true
	}
	value, ok := proto.once()
	if !ok {
		return "", false
	}
	return schemeOf(value)
}

// ownScheme returns the scheme of the request by its own connection, or as a trusted peer has it.
func (r *request) ownScheme() string {
	if r.conn.trusted {
		if scheme, ok := r.forwardedScheme(); ok && scheme != "" {
			return scheme
		}
	}
	if r.conn.tls {
		return "https"
	}
	return "http"
}
