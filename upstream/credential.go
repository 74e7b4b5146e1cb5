package upstream

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
)

// MaxCredential is the longest value of a credential that is looked at, in bytes, and so the longest that a Store is ever asked about.
// Browsers keep no cookie beyond 4 KiB; a longer value is nobody's session, and must not become work for a cache or a service.
const MaxCredential = 8 << 10

// A Kind says how a credential was presented. It is part of a credential's identity: the same bytes sent as a cookie and as a
// bearer token are two credentials, since services read them differently.
type Kind uint8

// The kinds of credential. The zero Kind is no credential at all.
const (
	NoCredential Kind = iota
	SessionToken      // a token in a header of the service's own, such as Kratos' X-Session-Token
	Cookie            // a session cookie
	Bearer            // Authorization: Bearer

	// These are further ways in which a request presents a credential of another kind. No credential that a Store is asked about is of them.
	SessionCookie // a session cookie in a header of its own, as Kratos' X-Session-Cookie was: the same credential as that cookie
	Query         // a session token in a parameter of the URL: the same credential as in the header of tokens
)

// Kinds lists every Kind, in the order in which a request's credentials count.
var Kinds = [...]Kind{SessionToken, SessionCookie, Cookie, Query, Bearer}

// String returns the name of the kind as configuration, logs and metrics spell it.
func (k Kind) String() string {
	switch k {
	case SessionToken:
		return "session_token"
	case Cookie:
		return "cookie"
	case Bearer:
		return "bearer"
	case SessionCookie:
		return "session_cookie"
	case Query:
		return "query"
	default:
		return "none"
	}
}

// ParseKind is the inverse of [Kind.String]. It reports false for a name that is not a kind of credential; "none" is not one.
func ParseKind(name string) (Kind, bool) {
	for _, k := range Kinds {
		if k.String() == name {
			return k, true
		}
	}
	return NoCredential, false
}

// A Credential is the one proof of a session that a request presents. It never leaves memory: it is not logged, not formatted, and
// whoever must remember it remembers a digest.
type Credential struct {
	Kind Kind

	// Name is the name of the cookie or header that carried the value, and empty for [Bearer].
	Name string

	// Value is what was presented, borrowed from the request: it is valid only until the call that it was passed to returns.
	//
	// A client may send several cookies of the same name with different values. Together they are one credential, since the service
	// takes the first that it can read: Value then holds the values in the order sent, separated by ';', which no cookie value contains.
	Value []byte

	// From stands for the client who presented it, for those who give each client a share of the questions: its address, or of an IPv6
	// address the first half, since clients have all that begin so. It is no part of the credential's identity. The zero Addr is whoever
	// has no address, such as the peer of a unix socket.
	From netip.Addr
}

// Joined reports whether c is made of several cookies. Whoever has one valid cookie can make as many of these as they like.
func (c *Credential) Joined() bool { return c.Kind == Cookie && bytes.IndexByte(c.Value, ';') >= 0 }

// Format hides the value from every verb of fmt, so that a credential formatted by mistake tells nothing.
func (c Credential) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, c.Kind.String()+" credential")
}

// MarshalText hides the value from encoding/json, and so from structured logs.
func (c Credential) MarshalText() ([]byte, error) {
	return []byte(c.Kind.String() + " credential"), nil
}
