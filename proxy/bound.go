package proxy

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// bound reports whether an exchange may have tied the connection to the application to one user. Servers that speak NTLM, or Negotiate as
// Windows has it, take whoever was authenticated on a connection for the sender of everything that follows on it (RFC 4559 section 6),
// although RFC 9110 section 11.7 forbids that. Such a connection must not serve anybody else.
func bound(r *request) bool {
	if r.head.bindsConnection() {
		return true
	}
	if r.ctx.Response.StatusCode() != fasthttp.StatusUnauthorized {
		return false
	}
	for name, value := range r.ctx.Response.Header.All() {
		if !bytes.EqualFold(name, []byte(fasthttp.HeaderWWWAuthenticate)) {
			continue
		}
		for challenge := range bytes.SplitSeq(value, []byte(",")) {
			if bindsConnection(trimBlanks(challenge)) {
				return true
			}
		}
	}
	return false
}

// bindsConnection reports whether a request may tie the connection to the application to whoever sent it.
func (h *requestHead) bindsConnection() bool {
	for line := range h.all(fasthttp.HeaderAuthorization) { // all of them reach the application
		if bindsConnection(line) {
			return true
		}
	}
	return false
}

// bindsConnection reports whether credentials or a challenge are of a scheme that authenticates connections.
func bindsConnection(value []byte) bool {
	scheme, _, _ := bytes.Cut(value, []byte(" "))
	return bytes.EqualFold(scheme, []byte("NTLM")) || bytes.EqualFold(scheme, []byte("Negotiate"))
}
