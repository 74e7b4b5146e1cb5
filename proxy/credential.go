package proxy

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Credentials says which credentials are looked at and under which names. They are tried in the order of Kratos, which is fixed: the
// session token header, then the cookie, then the bearer token. The first that is present is the one that counts, even if it turns out
// to be nobody's: falling through to the next would let a request be two people.
//
// https://github.com/ory/kratos/blob/v26.2.0/session/manager_http.go#L211
type Credentials struct {
	TokenHeader string // canonical name of the session token header; empty if that kind is not looked at
	Cookie      string // name of the session cookie; empty if that kind is not looked at
	Bearer      bool   // whether Authorization: Bearer is looked at
}

// A Presented is what a request presents: the zero Presented is nothing.
type Presented struct {
	upstream.Credential
	Malformed bool // something is there that cannot be a credential
}

// Find returns the one credential that a request presents. Of several token headers or Authorization headers the first counts. buf is
// used where several cookies have to be joined. The result borrows from h and buf.
func (c *Credentials) Find(h *fasthttp.RequestHeader, buf []byte) Presented {
	var read requestHead
	_ = read.read(h, c.TokenHeader) // who presents it is known, however the head is framed
	return c.find(&read, buf)
}

// find is Find for a head that has been read already.
func (c *Credentials) find(h *requestHead, buf []byte) Presented {
	if c.TokenHeader != "" && len(h.token) > 0 {
		return accept(upstream.Credential{Kind: upstream.SessionToken, Name: c.TokenHeader, Value: h.token})
	}
	if c.Cookie != "" {
		value, ok := cookieValues(h.cookies, c.Cookie, buf)
		if !ok {
			return Presented{Malformed: true}
		}
		if len(value) > upstream.MaxCredential {
			return Presented{Malformed: true}
		}
		if len(value) > 0 { // of cookie-octets, so that there is nothing more to look at
			return Presented{Credential: upstream.Credential{Kind: upstream.Cookie, Name: c.Cookie, Value: value}}
		}
	}
	if c.Bearer {
		if value, ok := bearerToken(h.authorization); ok {
			return accept(upstream.Credential{Kind: upstream.Bearer, Value: value})
		}
	}
	return Presented{}
}

// accept keeps a credential that can be one: neither too long nor made of bytes that no header of a question can carry.
func accept(c upstream.Credential) Presented {
	if len(c.Value) > upstream.MaxCredential {
		return Presented{Malformed: true}
	}
	for _, b := range c.Value {
		if b <= 0x20 || b >= 0x7f {
			return Presented{Malformed: true}
		}
	}
	return Presented{Credential: c}
}

// bearerToken returns the token of an Authorization header. As Kratos does, it wants exactly one space after the scheme, whose case
// does not matter (RFC 9110 section 11.1): https://github.com/ory/kratos/blob/v26.2.0/session/helper.go#L11
func bearerToken(authorization []byte) ([]byte, bool) {
	scheme, token, found := bytes.Cut(authorization, []byte(" "))
	if !found || len(token) == 0 || bytes.IndexByte(token, ' ') >= 0 || !isBearer(scheme) {
		return nil, false
	}
	return token, true
}

func isBearer(scheme []byte) bool {
	return len(scheme) == len("bearer") && strings.EqualFold(string(scheme), "bearer")
}

// maxCookies is how many different values of the session cookie one request may present. Browsers send one for each path and domain that
// it was set for.
const maxCookies = 8

// cookieValues returns the values of the cookies called name over all Cookie header lines: nothing when there is none, the value when
// there is one, and the different ones in order with ';' between them when there are several, since it is the service that decides
// which of them it can read. A value that is no sequence of cookie-octets (RFC 6265 section 4.1.1) is passed over, as the service cannot
// read it. It reports false when there are more than maxCookies. The result borrows from lines, or from buf if values had to be joined.
func cookieValues(lines [][]byte, name string, buf []byte) (values []byte, ok bool) {
	n := 0
	for _, line := range lines {
		for len(line) > 0 {
			var pair []byte
			pair, line, _ = bytes.Cut(line, []byte(";"))
			v, ok := cookieValue(pair, name)
			if !ok || repeats(values, v) {
				continue
			}
			switch n++; n {
			case 1:
				values = v
				continue
			case 2:
				values = append(buf[:0], values...)
			case maxCookies + 1:
				return nil, false
			}
			values = append(append(values, ';'), v...)
		}
	}
	return values, true
}

// cookieValue returns the value of pair if its name is name and the value is not empty. It reads pairs as net/http does, and so Kratos:
// blanks around the pair and the name do not count, nor do quotes around the value.
func cookieValue(pair []byte, name string) ([]byte, bool) {
	n, value, found := bytes.Cut(trimBlanks(pair), []byte("="))
	if !found || string(trimBlanks(n)) != name {
		return nil, false
	}
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	return value, len(value) > 0 && onlyCookieOctets(value)
}

// onlyCookieOctets reports whether all bytes of b may stand in a cookie's value. It looks at eight at a time, as session cookies are long.
func onlyCookieOctets(b []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	zero := func(w uint64) uint64 { return (w - ones) &^ w & tops } // not 0 if a byte of w is; https://graphics.stanford.edu/~seander/bithacks.html
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		low := (w - 0x21*ones) &^ w & tops // a byte below 0x21
		if w&tops|low|zero(w^ones*'"')|zero(w^ones*',')|zero(w^ones*';')|zero(w^ones*'\\')|zero(w^ones*0x7f) != 0 {
			return false
		}
	}
	for _, c := range b {
		if !cookieOctets[c] {
			return false
		}
	}
	return true
}

// cookieOctets are the bytes that a cookie's value may have: visible ASCII without '"', ',', ';' and '\'.
var cookieOctets = func() (t [256]bool) {
	for b := byte(0x21); b < 0x7f; b++ {
		t[b] = b != '"' && b != ',' && b != ';' && b != '\\'
	}
	return t
}()

// repeats reports whether v is one of the values joined in values.
func repeats(values, v []byte) bool {
	for len(values) > 0 {
		var one []byte
		one, values, _ = bytes.Cut(values, []byte(";"))
		if bytes.Equal(one, v) {
			return true
		}
	}
	return false
}

// appendOtherCookies appends a Cookie header line to dst without the cookies of the names given but one, which may be empty, and leaves
// every other byte as it is. It appends nothing when nothing is left.
func appendOtherCookies(dst, line []byte, names cookieNames, but string) []byte {
	start := len(dst)
	for rest, more := line, true; more; {
		var pair []byte
		pair, rest, more = bytes.Cut(rest, []byte(";"))
		n, _, _ := bytes.Cut(pair, []byte("="))
		if n = trimBlanks(n); string(n) != but && names.has(n) {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ';')
		} else {
			pair = bytes.TrimLeft(pair, " \t")
		}
		dst = append(dst, pair...)
	}
	return dst
}

// trimBlanks removes spaces and tabs from both ends.
func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
