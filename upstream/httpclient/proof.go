package httpclient

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// ErrUnfit is a definite no, since no service would know a session for what no request can carry.
var ErrUnfit = fmt.Errorf("credential cannot stand in a header: %w: %w", upstream.ErrNotSent, upstream.ErrNoSession)

// A Proof is the one header line that carries a credential.
type Proof struct {
	Header string // in canonical form; empty if there is nothing to carry
	Value  string
	Cookie string // name of the cookie if that is what carries the credential
}

// Names says under which names a service takes its credentials; an empty name is a kind that it does not take.
type Names struct {
	TokenHeader string // of a session token, in canonical form
	Cookie      string // for credentials that do not name their cookie
	Bearer      bool
}

// Prove writes cred as a header line in memory of its own. It reports false for what the service does not take, and for what cannot be
// written without becoming something else.
func (n Names) Prove(cred upstream.Credential) (Proof, bool) {
	switch cred.Kind {
	case upstream.SessionToken:
		return Proof{Header: n.TokenHeader, Value: string(cred.Value)}, n.TokenHeader != "" && isTokenValue(cred.Value)
	case upstream.Bearer:
		return Proof{Header: "Authorization", Value: "Bearer " + string(cred.Value)}, n.Bearer && isTokenValue(cred.Value)
	case upstream.Cookie:
		name := cred.Name
		if name == "" {
			name = n.Cookie
		}
		value, ok := cookieHeader(name, cred.Value)
		return Proof{Header: "Cookie", Value: value, Cookie: name}, n.Cookie != "" && ok
	default:
		return Proof{}, false
	}
}

// isTokenValue reports whether b is visible ASCII of a bearable length. A space would end a bearer token, and be lost at either end.
func isTokenValue(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return 0 < len(b) && len(b) <= upstream.MaxCredential
}

// cookieHeader writes values, which are separated by ';', as cookies of one name in their order. It reports false if they hold anything
// but cookie-octets (RFC 6265 section 4.1.1), or nothing at all, or if the name is only the beginning of one, and '*'.
func cookieHeader(name string, values []byte) (string, bool) {
	empty := true
	for _, c := range values {
		switch {
		case c == ';':
		case c <= ' ' || c >= 0x7f || c == '"' || c == ',' || c == '\\':
			return "", false
		default:
			empty = false
		}
	}
	line := len(values) + (bytes.Count(values, []byte(";"))+1)*(len(name)+len("=; ")) // as long as the names make it
	if empty || !IsToken(name) || strings.HasSuffix(name, "*") || len(values) > upstream.MaxCredential || line > 2*upstream.MaxCredential {
		return "", false
	}
	return name + "=" + strings.ReplaceAll(string(values), ";", "; "+name+"="), true
}

// IsToken reports whether s is a token of RFC 9110 section 5.6.2, as the name of a cookie must be.
func IsToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// IsPrintable reports whether s is printable ASCII, and so can stand in a header line as it is. The empty string can.
func IsPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
