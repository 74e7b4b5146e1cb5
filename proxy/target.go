package proxy

import (
	"bytes"
	"errors"
	"net/netip"
	"unicode/utf8"
)

// A Target is what a request asks for: the one reading of method, host and path by which it is judged. Its bytes are borrowed from the
// request.
type Target struct {
	Method []byte
	Host   []byte // lower case, without port and trailing dot
	Path   []byte // canonical: decoded, without parameters and query
	Raw    []byte // the request-target as it came, which is what the application gets
}

// errTarget says that a request-target has more than one reading, or none. What exactly is wrong is not told to whoever sent it.
var errTarget = errors.New("request-target has more than one reading")

// byteClass sorts the bytes of a path: most stand for themselves, and the rest decide what has to be looked at.
type byteClass uint8

const (
	plain   byteClass = iota
	slash             // ends a segment
	dot               // may make a dot segment
	percent           // begins an encoded byte
	param             // ';' begins the parameters of a segment
	query             // '?' ends the path
	refused           // has no place in a path
)

var pathBytes = func() (t [256]byteClass) {
	for b := range t {
		if b <= 0x20 || b >= 0x7f {
			t[b] = refused
		}
	}
	t['\\'], t['#'] = refused, refused
	t['/'], t['.'], t['%'], t[';'], t['?'] = slash, dot, percent, param, query
	return t
}()

// canonicalPath returns the one path that a request-target stands for, decoded and without parameters, so that the path that is judged
// is the path that is served. What different servers read differently is refused and not repaired: dot segments in every encoding,
// empty segments, backslashes, an encoded slash, backslash, semicolon or percent sign, control bytes, bytes that are not UTF-8, fragments. See
// RFC 3986 section 3.3 and, for what happens otherwise, CVE-2026-33494, CVE-2019-9901 and CVE-2026-42272.
//
// The result is a part of target when nothing had to be decoded, and else is appended to buf, which may be nil.
func canonicalPath(target, buf []byte) ([]byte, error) {
	if len(target) == 0 || target[0] != '/' {
		return nil, errTarget
	}
	path, rest := target, []byte(nil)
	simple := true
scan:
	for i, b := range target {
		switch pathBytes[b] {
		case plain:
		case slash:
			if i > 0 && target[i-1] == '/' {
				return nil, errTarget
			}
		case dot:
			if target[i-1] == '/' && !namesOn(target[i+1:]) { // only here can a dot segment begin
				simple = false
			}
		case percent, param:
			simple = false
		case query:
			path, rest = target[:i], target[i+1:]
			break scan
		default:
			return nil, errTarget
		}
	}
	for _, b := range rest { // nobody reads the query here, but it must not break the request line, nor hide a fragment
		if b <= 0x20 || b == 0x7f || b == '#' {
			return nil, errTarget
		}
	}
	if simple {
		return path, nil
	}
	return decodePath(path, buf)
}

// namesOn reports whether the segment whose first byte is a dot is seen at its second byte to be a name, such as .well-known.
func namesOn(rest []byte) bool {
	return len(rest) > 0 && pathBytes[rest[0]] == plain
}

// decodePath is the slow part of canonicalPath, for paths with dots, encoded bytes or parameters. path has no byte that is refused, and
// no empty segment as it stands.
func decodePath(path, buf []byte) ([]byte, error) {
	out := buf[:0]
	for i := 1; i <= len(path); {
		end := len(path)
		if n := bytes.IndexByte(path[i:], '/'); n >= 0 {
			end = i + n
		}
		out = append(out, '/')
		start := len(out)
		segment, parameters, _ := bytes.Cut(path[i:end], []byte(";"))
		for j := 0; j < len(segment); j++ {
			b := segment[j]
			if b == '%' {
				var ok bool
				if b, ok = unhex(segment[j+1:]); !ok {
					return nil, errTarget
				}
				j += 2
			}
			out = append(out, b)
		}
		if !validEscapes(parameters) || ambiguous(out[start:]) {
			return nil, errTarget
		}
		if len(out) == start && (end < len(path) || len(segment) < end-i) {
			return nil, errTarget // empty once its parameters are gone
		}
		i = end + 1
	}
	if !utf8.Valid(out) {
		return nil, errTarget
	}
	return out, nil
}

// ambiguous reports whether a decoded segment is a dot segment to some server: to all, or to those that decode first and then end a path at
// '?' or '#', or drop the blanks at its end.
func ambiguous(segment []byte) bool {
	if i := bytes.IndexAny(segment, "?#"); i >= 0 {
		segment = segment[:i]
	}
	name := bytes.TrimRight(segment, " ")
	return string(name) == "." || string(name) == ".."
}

// unhex decodes the two hexadecimal digits that b begins with. It reports false for broken ones and for bytes that may not be encoded.
func unhex(b []byte) (byte, bool) {
	if len(b) < 2 {
		return 0, false
	}
	hi, lo := hexDigit(b[0]), hexDigit(b[1])
	if hi > 15 || lo > 15 {
		return 0, false
	}
	c := hi<<4 | lo
	switch {
	case c < 0x20, c == 0x7f, c == '/', c == '\\', c == '%', c == ';':
		return 0, false
	}
	return c, true
}

// validEscapes reports whether every percent sign in b begins an encoded byte that may be encoded. Parameters are not part of the
// path that is judged, but some servers do not know parameters.
func validEscapes(b []byte) bool {
	for i := bytes.IndexByte(b, '%'); i >= 0; i = bytes.IndexByte(b, '%') {
		if _, ok := unhex(b[i+1:]); !ok {
			return false
		}
		b = b[i+3:]
	}
	return true
}

func hexDigit(b byte) byte {
	switch {
	case b >= '0' && b <= '9':
		return b - '0'
	case b >= 'a' && b <= 'f':
		return b - 'a' + 10
	case b >= 'A' && b <= 'F':
		return b - 'A' + 10
	default:
		return 0xff
	}
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
