package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// throughLoopback reports whether the request came by way of the loopback address. Where that is not known it is taken to be so.
func throughLoopback(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if tcp, ok := local.(*net.TCPAddr); ok {
		return tcp.IP.IsLoopback()
	}
	return true
}

// ownHost reports whether a Host header names no name that a stranger can own: an IP address, localhost, or nothing, which no browser
// sends.
func ownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "" || strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil
}

// fromPage reports whether a request that changes something comes from a page in a browser. Browsers add Origin to all of these, those
// to the page's own site included (https://fetch.spec.whatwg.org/#origin-header), and no page of ours sends any.
func fromPage(r *http.Request) bool {
	if len(r.Header.Values("Origin")) > 0 {
		return true
	}
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "none" && site != "same-origin" {
			return true
		}
	}
	return false
}
