package proxy

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// forwardedTarget reads the target of a request as Traefik, Caddy and others describe it: X-Forwarded-Method, -Host and -Uri, each
// exactly once, and X-Forwarded-Proto at most once. It returns the name of the first header that is missing, repeated or has no single
// reading, and "" if there is none. Other families of headers are not looked at: the proxy in front may leave them as the client sent
// them.
func forwardedTarget(h *fasthttp.RequestHeader, s *scratch) (t Target, bad string) {
	method, ok := single(h, "X-Forwarded-Method")
	if !ok || !knownMethod(method) {
		return Target{}, "X-Forwarded-Method"
	}
	host, ok := single(h, fasthttp.HeaderXForwardedHost)
	if ok {
		host, ok = canonicalHost(host, s.host[:0])
	}
	if !ok {
		return Target{}, fasthttp.HeaderXForwardedHost
	}
	raw, ok := single(h, "X-Forwarded-Uri")
	if !ok {
		return Target{}, "X-Forwarded-Uri"
	}
	path, err := canonicalPath(raw, s.other[:0])
	if err != nil {
		return Target{}, "X-Forwarded-Uri"
	}
	switch protos := h.PeekAll(fasthttp.HeaderXForwardedProto); {
	case len(protos) == 0:
	case len(protos) == 1 && knownScheme(protos[0]):
	default:
		return Target{}, fasthttp.HeaderXForwardedProto
	}
	return Target{Method: method, Host: host, Path: path, Raw: raw}, ""
}

// single returns the value of a header line that is there exactly once and is not empty.
func single(h *fasthttp.RequestHeader, name string) ([]byte, bool) {
	all := h.PeekAll(name)
	if len(all) != 1 || len(all[0]) == 0 {
		return nil, false
	}
	return all[0], true
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
