package proxy

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unique"
	"unsafe"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Credentials says which credentials are looked at and under which names. They are tried in a fixed order: the session token header, the
// session cookie header, the cookie, the parameter of the URL, and the bearer token. The first that is present is the one that counts, even
// if it turns out to be nobody's: falling through to the next would let a request be two people.
//
// https://github.com/ory/kratos/blob/v26.2.0/session/manager_http.go#L211
type Credentials struct {
	TokenHeader  string // canonical name of the session token header; empty if that kind is not looked at
	CookieHeader string // canonical name of a header with the value of the session cookie, whose name must be whole then; likewise
	Cookie       string // name of the session cookie, or its beginning and '*'; likewise
	Query        string // name of a parameter with the token that TokenHeader carries; likewise
	Bearer       bool   // whether Authorization: Bearer is looked at
}

// A Presented is what a request presents: the zero Presented is nothing.
type Presented struct {
	upstream.Credential
	By        upstream.Kind // how it is presented, which says where it stands in the request
	Malformed bool          // something is there that cannot be a credential, or several that may be different people's
}

// find returns the one credential that a request with this head presents. Of several token headers or Authorization headers the first counts.
// raw is the path and query of the request. buf is used where several cookies have to be joined. The result borrows from h, raw and buf.
func (c *Credentials) find(h *requestHead, raw, buf []byte) Presented {
	if c.TokenHeader != "" && len(h.token) > 0 {
		return accept(upstream.Credential{Kind: upstream.SessionToken, Name: c.TokenHeader, Value: h.token}, upstream.SessionToken)
	}
	if c.CookieHeader != "" {
		if value := h.value(c.CookieHeader); len(value) > 0 {
			if !onlyCookieOctets(value) {
				return Presented{Malformed: true} // no cookie has such a value, and so it is nobody's
			}
			return accept(upstream.Credential{Kind: upstream.Cookie, Name: c.Cookie, Value: value}, upstream.SessionCookie)
		}
	}
	if c.Cookie != "" {
		name, value, ok := cookieValues(h.cookies, c.Cookie, buf)
		if !ok {
			return Presented{Malformed: true}
		}
		if len(value) > upstream.MaxCredential {
			return Presented{Malformed: true}
		}
		if len(value) > 0 { // of cookie-octets, so that there is nothing more to look at
			cookie := upstream.Credential{Kind: upstream.Cookie, Name: c.nameOf(name), Value: value}
			return Presented{Credential: cookie, By: upstream.Cookie}
		}
	}
	if c.Query != "" {
		value, ok := parameter(raw, c.Query)
		if !ok {
			return Presented{Malformed: true}
		}
		if len(value) > 0 {
			return accept(upstream.Credential{Kind: upstream.SessionToken, Name: c.TokenHeader, Value: value}, upstream.Query)
		}
	}
	if c.Bearer {
		if value, ok := bearerToken(h.authorization); ok {
			return accept(upstream.Credential{Kind: upstream.Bearer, Value: value}, upstream.Bearer)
		}
	}
	return Presented{}
}

// nameOf returns the name of the session cookie as it was found, which is known already unless it is a pattern that was looked for.
func (c *Credentials) nameOf(found []byte) string {
	if string(found) == c.Cookie {
		return c.Cookie
	}
	// There are few different ones, and remembering them saves the memory of one for each request. Make keeps a copy of its own.
	return unique.Make(unsafe.String(unsafe.SliceData(found), len(found))).Value()
}

// Presented returns the credential that a request presents whose value is presented in one way. It reports false if there is none. Where the
// name of the session cookie is a pattern, the value of a cookie has its name and '=' before it.
func (c *Credentials) Presented(by upstream.Kind, value []byte) (upstream.Credential, bool) {
	switch {
	case by == upstream.Cookie && strings.HasSuffix(c.Cookie, "*"):
		name, rest, found := bytes.Cut(value, []byte("="))
		return upstream.Credential{Kind: upstream.Cookie, Name: string(name), Value: rest}, found && isNamed(name, c.Cookie)
	case by == upstream.Cookie, by == upstream.SessionCookie:
		return upstream.Credential{Kind: upstream.Cookie, Name: c.Cookie, Value: value}, true
	case by == upstream.SessionToken, by == upstream.Query:
		return upstream.Credential{Kind: upstream.SessionToken, Name: c.TokenHeader, Value: value}, true
	default:
		return upstream.Credential{Kind: by, Value: value}, by == upstream.Bearer
	}
}

// carrier returns the name of the header, cookie or parameter in which a credential is that is presented in a way, and nothing for a bearer
// token. name is that of the credential.
func (c *Credentials) carrier(by upstream.Kind, name string) string {
	switch by {
	case upstream.SessionCookie:
		return c.CookieHeader
	case upstream.Query:
		return c.Query
	default:
		return name
	}
}

// accept keeps a credential that can be one: neither too long nor made of bytes that no header of a question can carry.
func accept(c upstream.Credential, by upstream.Kind) Presented {
	if len(c.Value) > upstream.MaxCredential {
		return Presented{Malformed: true}
	}
	for _, b := range c.Value {
		if b <= 0x20 || b >= 0x7f {
			return Presented{Malformed: true}
		}
	}
	return Presented{Credential: c, By: by}
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

// cookieValues returns the name and the values of the cookies that match over all Cookie header lines: nothing when there is none, the value
// when there is one, and the different ones in order with ';' between them when there are several, since it is the service that decides
// which of them it can read. A value that is no sequence of cookie-octets (RFC 6265 section 4.1.1) is passed over, as the service cannot
// read it. It reports false when there are more than maxCookies, and when they have different names: those are of different services, and
// may be different people. The result borrows from lines, or from buf if values had to be joined.
func cookieValues(lines [][]byte, want string, buf []byte) (name, values []byte, ok bool) {
	n := 0
	for _, line := range lines {
		for len(line) > 0 {
			var pair []byte
			pair, line, _ = bytes.Cut(line, []byte(";"))
			found, v, ok := cookieValue(pair, want)
			switch {
			case !ok:
				continue
			case n > 0 && !bytes.Equal(found, name):
				return nil, nil, false
			case repeats(values, v):
				continue
			}
			switch n++; n {
			case 1:
				name, values = found, v
				continue
			case 2:
				values = append(buf[:0], values...)
			case maxCookies + 1:
				return nil, nil, false
			}
			values = append(append(values, ';'), v...)
		}
	}
	return name, values, true
}

// cookieValue returns the name and the value of pair if its name matches and the value is not empty. It reads pairs as net/http does, and so
// Kratos: blanks around the pair and the name do not count, nor do quotes around the value.
func cookieValue(pair []byte, want string) (name, value []byte, ok bool) {
	name, value, found := bytes.Cut(trimBlanks(pair), []byte("="))
	if name = trimBlanks(name); !found || !isNamed(name, want) {
		return nil, nil, false
	}
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	return name, value, len(value) > 0 && onlyCookieOctets(value)
}

// isNamed reports whether a cookie's name is the one wanted or, if that ends in '*', begins like it.
func isNamed(name []byte, want string) bool {
	if beginning, pattern := strings.CutSuffix(want, "*"); pattern {
		return len(name) >= len(beginning) && string(name[:len(beginning)]) == beginning
	}
	return string(name) == want
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
