package policy

import "slices"

// methods are those that an application can be asked with: of HTTP (RFC 9110 section 9.3, PATCH of RFC 5789, QUERY of
// draft-ietf-httpbis-safe-method-w-body), and of WebDAV and what is built on it (RFC 4918, RFC 3744, RFC 4791, RFC 5323, and REPORT of
// RFC 3253). CONNECT and TRACE are not among them and never will be: the one would be a tunnel past the gate, and the other would show
// the client what the application is told.
var methods = [...]string{
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "ACL", "MKCALENDAR", "REPORT", "SEARCH",
}

// Methods returns all methods that are served, in the order in which they are listed for readers. The caller owns the slice.
func Methods() []string { return slices.Clone(methods[:]) }

// KnownMethod reports whether a method is one of those that are served. Everything else is refused, so that a rule by method cannot be
// walked around. Methods are case-sensitive (RFC 9110 section 9.1).
func KnownMethod(m []byte) bool {
	for i := range methods {
		if string(m) == methods[i] {
			return true
		}
	}
	return false
}

// SafeMethod reports whether a method changes nothing (RFC 9110 section 9.2.1, https://www.iana.org/assignments/http-methods).
func SafeMethod(m []byte) bool {
	switch string(m) {
	case "GET", "HEAD", "OPTIONS", "QUERY", "PROPFIND", "REPORT", "SEARCH":
		return true
	default:
		return false
	}
}
