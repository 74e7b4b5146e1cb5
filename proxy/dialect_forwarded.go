package proxy

import "bytes"

// forwardedTarget reads the target of a request as Traefik, Caddy and others describe it: X-Forwarded-Method, -Host and -Uri, each
// exactly once, and X-Forwarded-Proto at most once. It returns the name of the first header that is missing, repeated or has no single
// reading, and "" if there is none. Other families of headers are not looked at: the proxy in front may leave them as the client sent
// them.
func forwardedTarget(l *lines, s *scratch) (t Target, bad string) {
	method, ok := l.forwarded[forwardedMethod].once()
	if !ok || !isToken(method) {
		return Target{}, forwardedNames[forwardedMethod]
	}
	host, ok := l.forwarded[forwardedHost].once()
	if ok {
		host, ok = canonicalHost(host, s.host[:0])
	}
	if !ok {
		return Target{}, forwardedNames[forwardedHost]
	}
	raw, ok := l.forwarded[forwardedURI].once()
	if !ok {
		return Target{}, forwardedNames[forwardedURI]
	}
	path, f, err := canonicalPath(raw, s.other[:0])
	if err != nil {
		return Target{}, forwardedNames[forwardedURI]
	}
	if proto := &l.forwarded[forwardedProto]; proto.count > 1 || proto.count == 1 && !knownScheme(proto.value) {
		return Target{}, forwardedNames[forwardedProto]
	}
	return Target{Method: method, Host: host, Path: path, Raw: raw, forms: f}, ""
}

// knownScheme reports whether a proxy may name b as the scheme of a request. Traefik says ws and wss for WebSocket handshakes.
func knownScheme(b []byte) bool {
	for _, scheme := range [...]string{"http", "https", "ws", "wss"} {
		if bytes.EqualFold(b, []byte(scheme)) {
			return true
		}
	}
	return false
}
