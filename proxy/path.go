package proxy

import (
	"bytes"
	"unicode/utf8"
)

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

// forms are ways in which servers read a path differently that are too common to be refused: they are sets of bits. A path of n forms has
// 2^n readings, and whoever judges it must be content with all of them.
type forms uint8

const (
	parameters   forms = 1 << iota // a ';' begins parameters to some, and is part of a name to others
	encodedSlash                   // an encoded slash ends a segment to those that decode first, and is part of a name to others
)

// canonicalPath returns the path that a request-target stands for, decoded and without parameters, so that the path that is judged is the
// path that is served. What different servers read differently is refused and not repaired: dot segments in every encoding, empty
// segments, backslashes, an encoded backslash, semicolon or percent sign, control bytes, bytes that are not UTF-8, fragments. See RFC 3986
// section 3.3 and, for what happens otherwise, CVE-2026-33494, CVE-2019-9901 and CVE-2026-42272. An encoded slash stays encoded, as %2F,
// which nothing else in the result can look like. The forms say whether there are other readings; decodePath tells them.
//
// The result is a part of target when nothing had to be decoded, and else is appended to buf, which may be nil.
func canonicalPath(target, buf []byte) ([]byte, forms, error) {
	if len(target) == 0 || target[0] != '/' {
		return nil, 0, errNoPath
	}
	path, rest := target, []byte(nil)
	simple := true
scan:
	for i, b := range target {
		switch pathBytes[b] {
		case plain:
		case slash:
			if i > 0 && target[i-1] == '/' {
				return nil, 0, errDoubleSlash
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
			return nil, 0, refusedByte(b)
		}
	}
	for _, b := range rest { // nobody reads the query here, but it must not break the request line, nor hide a fragment
		if b <= 0x20 || b == 0x7f || b == '#' {
			return nil, 0, refusedByte(b)
		}
	}
	if simple {
		return path, 0, nil
	}
	return decodePath(path, buf, 0)
}

// refusedByte returns what is wrong with a byte that has no place in a target.
func refusedByte(b byte) error {
	switch {
	case b == '\\':
		return errBackslash
	case b == '#':
		return errFragment
	case b > 0x7f:
		return errRawByte
	default:
		return errControlByte
	}
}

// namesOn reports whether the segment whose first byte is a dot is seen at its second byte to be a name, such as .well-known.
func namesOn(rest []byte) bool {
	return len(rest) > 0 && pathBytes[rest[0]] == plain
}

// decodePath is the slow part of canonicalPath, for paths with dots, encoded bytes or parameters. path has no byte that is refused, and
// no empty segment as it stands. In the reading that is asked for, parameters are part of the name that they follow, or an encoded slash is
// a slash, or both. A path has all its readings or none, but for parameters that are not UTF-8.
func decodePath(path, buf []byte, reading forms) (out []byte, found forms, err error) {
	out = buf[:0]
	for i := 1; i <= len(path); {
		end := len(path)
		if n := bytes.IndexByte(path[i:], '/'); n >= 0 {
			end = i + n
		}
		name, after, more := bytes.Cut(path[i:end], []byte(";"))
		out = append(out, '/')
		start := len(out) // of the name, or of what follows its last encoded slash
		for len(name) > 0 {
			b, n, err := decodeByte(name)
			if err != nil {
				return nil, 0, err
			}
			name = name[n:]
			if b != '/' {
				out = append(out, b)
				continue
			}
			if fault := segmentFault(out[start:]); fault != nil {
				return nil, 0, fault
			}
			found |= encodedSlash
			if reading&encodedSlash != 0 {
				out = append(out, '/')
			} else {
				out = append(out, "%2F"...)
			}
			start = len(out)
		}
		// The last segment may be empty, but not if only once its parameters are gone.
		if fault := segmentFault(out[start:]); fault == errDotSegment || fault != nil && (end < len(path) || more) {
			return nil, 0, fault
		}
		if more {
			found |= parameters
			if out, err = decodeParameters(out, after, reading); err != nil {
				return nil, 0, err
			}
		}
		i = end + 1
	}
	if !utf8.Valid(out) {
		return nil, 0, errBadUTF8
	}
	return out, found, nil
}

// decodeParameters appends the parameters of a segment, decoded, where they are part of its name, and checks them in every reading.
func decodeParameters(out, b []byte, reading forms) ([]byte, error) {
	if reading&parameters != 0 {
		out = append(out, ';')
	}
	for len(b) > 0 {
		c, n, err := decodeByte(b)
		if err != nil {
			return nil, err
		}
		if c == '/' {
			return nil, errEncodedSlash
		}
		if reading&parameters != 0 {
			out = append(out, c)
		}
		b = b[n:]
	}
	return out, nil
}

// segmentFault returns what is wrong with a decoded segment: that it is empty, or that it is a dot segment to some server: to all, or to
// those that decode first and then end a path at '?' or '#', or drop the blanks at its end.
func segmentFault(segment []byte) error {
	if len(segment) == 0 {
		return errDoubleSlash
	}
	if i := bytes.IndexAny(segment, "?#"); i >= 0 {
		segment = segment[:i]
	}
	if name := bytes.TrimRight(segment, " "); string(name) == "." || string(name) == ".." {
		return errDotSegment
	}
	return nil
}

// decodeByte returns the byte that b begins with, decoded, and how many bytes it takes. It fails for a broken encoding, and for bytes that may
// not be encoded. A '/' is always one that was encoded: path segments have no other.
func decodeByte(b []byte) (c byte, n int, err error) {
	if b[0] != '%' {
		return b[0], 1, nil
	}
	if len(b) < 3 {
		return 0, 0, errBadEncoding
	}
	hi, lo := hexDigit(b[1]), hexDigit(b[2])
	if hi > 15 || lo > 15 {
		return 0, 0, errBadEncoding
	}
	switch c = hi<<4 | lo; {
	case c < 0x20, c == 0x7f:
		return 0, 0, errControlByte
	case c == '\\':
		return 0, 0, errBackslash
	case c == '%':
		return 0, 0, errEncodedPercent
	case c == ';':
		return 0, 0, errEncodedSemicolon
	}
	return c, 3, nil
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
