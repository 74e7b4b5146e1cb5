package proxy

import (
	"bytes"
	"net/netip"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// A Target is what a request asks for: the one reading of method, host and path by which it is judged. Its bytes are borrowed from the
// request.
type Target struct {
	Method []byte
	Host   []byte // lower case, without port and trailing dot
	Path   []byte // canonical: decoded, except that an encoded slash is %2F, and without parameters and query
	Raw    []byte // path and query as they came, which is what the application gets
	forms  forms  // in which ways the path has other readings

	// Destination is where COPY and MOVE write to (RFC 4918 section 10.3), as the one header line of that name says; nil for other methods
	// and if there is no such line.
	Destination []byte

	Scheme    string // http or https; empty if it is not known
	Authority []byte // the host as it came, with its port
	Route     string // the name of the route to judge by; empty for the first that matches
}

// plain reports whether there is nothing about t but the one path, which has one reading.
func (t *Target) plain() bool { return t.forms == 0 && !isMove(t.Method) }

// clone returns t with bytes of its own.
func (t *Target) clone() Target {
	c := *t
	for _, borrowed := range []*[]byte{&c.Method, &c.Host, &c.Path, &c.Raw, &c.Destination, &c.Authority} {
		*borrowed = bytes.Clone(*borrowed)
	}
	return c
}

// agrees reports whether all that t names takes the route, however a server may read it: otherwise one thing would be judged and another
// served.
func (t *Target) agrees(p *policy.Policy, route *policy.Route) bool {
	if !t.pathAgrees(p, route) {
		return false
	}
	if !isMove(t.Method) {
		return true
	}
	to, ok := t.destination()
	return ok && p.Route(to.Host, to.Path, to.Method) == route && to.pathAgrees(p, route)
}

// namedAgrees is agrees for a route that is named and not found by the path. Where else something is written to cannot be judged by it.
func (t *Target) namedAgrees(route *policy.Route) bool {
	return !isMove(t.Method) && (t.forms&encodedSlash == 0 || route != nil && route.AllowEncodedSlashes)
}

// pathAgrees reports whether the path of t takes the route in every reading, and whether the route takes an encoded slash if there is one.
func (t *Target) pathAgrees(p *policy.Policy, route *policy.Route) bool {
	if t.forms&encodedSlash != 0 && (route == nil || !route.AllowEncodedSlashes) {
		return false
	}
	path, _, _ := bytes.Cut(t.Raw, []byte("?"))
	var buf [256]byte
	for f := forms(1); f <= t.forms; f++ {
		if f&^t.forms != 0 {
			continue
		}
		if other, _, err := decodePath(path, buf[:0], f); err != nil || p.Route(t.Host, other, t.Method) != route {
			return false
		}
	}
	return true
}

// destination reads the Destination of t, which is a path or a whole URL, as a target of its own. It reports false if there is none on the
// same host that has a canonical path.
func (t *Target) destination() (Target, bool) {
	raw := t.Destination
	if len(raw) == 0 || raw[0] != '/' {
		authority, rest, ok := cutAuthority(raw)
		host, known := canonicalHost(authority, nil)
		if !ok || !known || !bytes.Equal(host, t.Host) {
			return Target{}, false
		}
		raw = rest
	}
	path, f, err := canonicalPath(raw, nil)
	return Target{Method: t.Method, Host: t.Host, Path: path, Raw: raw, forms: f}, err == nil
}

// destination returns what a COPY or MOVE names as its Destination, if it names one.
func (h *requestHead) destination() []byte {
	if !isMove(h.method) {
		return nil
	}
	destination, _ := h.single(headerDestination)
	return destination
}

const headerDestination = "Destination"

// isMove reports whether a method writes to somewhere else than its target.
func isMove(method []byte) bool { return string(method) == "COPY" || string(method) == "MOVE" }

// requestTarget returns the path and query that the request line asks for. A whole URL stands for its path and query if it names the host
// that the Host line names, as it must (RFC 9112 sections 3.2 and 3.2.2). For everything else the result is nil.
func requestTarget(raw, host []byte) []byte {
	if len(raw) > 0 && raw[0] == '/' {
		return raw
	}
	authority, rest, ok := cutAuthority(raw)
	if _, valid := canonicalHost(authority, nil); !ok || !valid || !bytes.EqualFold(authority, host) {
		return nil
	}
	return rest
}

// cutAuthority returns the authority of an http or https URL, and its path and query, which begin with a slash.
func cutAuthority(url []byte) (authority, rest []byte, ok bool) {
	scheme, rest, found := bytes.Cut(url, []byte("://"))
	if !found || !bytes.EqualFold(scheme, []byte("http")) && !bytes.EqualFold(scheme, []byte("https")) {
		return nil, nil, false
	}
	switch i := bytes.IndexAny(rest, "/?#"); {
	case i < 0:
		return rest, []byte("/"), true
	case rest[i] == '/':
		return rest[:i], rest[i:], true
	case rest[i] == '?': // an empty path is sent as a slash (RFC 9112 section 3.2.1)
		return rest[:i], append([]byte("/"), rest[i:]...), true
	default:
		return nil, nil, false
	}
}

// appendBelow appends what is left of path and query without the first n segments of the path. The path is canonical, so that this is too:
// it begins with one slash and has no dot segment.
func appendBelow(dst, raw []byte, n int) []byte {
	for range n {
		i := bytes.IndexAny(raw[1:], "/?")
		if i < 0 {
			return append(dst, '/')
		}
		if raw = raw[1+i:]; raw[0] == '?' {
			dst = append(dst, '/')
			break
		}
	}
	return append(dst, raw...)
}

// canonicalHost returns a host in lower case, without port and without the one trailing dot of a fully qualified name. It reports false
// for what is not a host, among it userinfo, an empty name and a second host. An IPv6 address is brought into its shortest form. The result
// is a part of host when there is nothing to change, and else is appended to buf.
func canonicalHost(host, buf []byte) ([]byte, bool) {
	name := host
	if len(host) > 0 && host[0] == '[' {
		end := bytes.IndexByte(host, ']')
		if end < 0 || !validPort(host[end+1:]) {
			return nil, false
		}
		addr, err := netip.ParseAddr(string(host[1:end]))
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return nil, false
		}
		return append(addr.AppendTo(append(buf[:0], '[')), ']'), true // in the one form that rules are written in
	}
	if colon := bytes.IndexByte(host, ':'); colon >= 0 {
		if !validPort(host[colon:]) {
			return nil, false
		}
		name = host[:colon]
	}
	name = bytes.TrimSuffix(name, []byte("."))
	if !validName(name) {
		return nil, false
	}
	for i, b := range name {
		if b >= 'A' && b <= 'Z' {
			out := append(buf[:0], name...)
			for ; i < len(out); i++ {
				if out[i] >= 'A' && out[i] <= 'Z' {
					out[i] |= 0x20
				}
			}
			return out, true
		}
	}
	return name, true
}

// validName reports whether name is labels of letters, digits, '-' and '_' with single dots between them.
func validName(name []byte) bool {
	if len(name) == 0 || len(name) > 253 {
		return false
	}
	previous := byte('.')
	for _, b := range name {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '-', b == '_':
		case b == '.' && previous != '.':
		default:
			return false
		}
		previous = b
	}
	return previous != '.'
}

// validPort reports whether s is empty or ':' and at most five digits.
func validPort(s []byte) bool {
	if len(s) == 0 {
		return true
	}
	if s[0] != ':' || len(s) > 6 {
		return false
	}
	for _, b := range s[1:] {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}
