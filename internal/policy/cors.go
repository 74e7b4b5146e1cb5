package policy

import "slices"

// AnyOrigin stands for all origins.
const AnyOrigin = "*"

// A CORS says which pages of other origins may use a route (https://fetch.spec.whatwg.org/#http-cors-protocol). It is immutable once it is
// part of a Policy.
type CORS struct {
	// Pass leaves it to the application: a preflight passes without an identity, and no response is changed. The other fields are not
	// looked at then.
	Pass bool

	Origins     []string // as browsers send them; or AnyOrigin alone, which also stands for those that are no origin
	Credentials bool     // whether a page may send and use the credentials of its user: never with AnyOrigin

	// What browsers are told, as the value of a header; empty for nothing.
	Methods, Headers, Exposed, MaxAge string
}

// Any reports whether all origins are allowed.
func (c *CORS) Any() bool { return slices.Contains(c.Origins, AnyOrigin) && !c.Credentials }

// Allows reports whether an origin is allowed.
func (c *CORS) Allows(origin []byte) bool {
	return c.Any() || slices.Contains(c.Origins, string(origin)) && string(origin) != AnyOrigin
}
