package proxy

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/valyala/fasthttp"
)

// appendForwarded appends what the gateway says of the client: in X-Forwarded-For, -Host, -Proto and -Port, and in Forwarded (RFC 7239),
// which say the same. What a trusted peer says in the first four is passed on if it can be read.
func (o *outbound) appendForwarded(dst []byte) []byte {
	host, proto, port := o.head.host, []byte("http"), []byte(nil)
	if o.tls {
		proto = []byte("https")
	}
	line := len(dst)
	dst = append(dst, "X-Forwarded-For: "...)
	start := len(dst)
	if o.trusted {
		dst = appendChain(dst, o.head.chain)
		host, proto, port = o.said(host, proto, port)
	}
	if o.peer.IsValid() {
		if len(dst) > start {
			dst = append(dst, ", "...)
		}
		dst = o.peer.AppendTo(dst)
	}
	chain := dst[start:]
	if len(chain) > 0 {
		dst = append(dst, "\r\n"...)
	} else {
		dst = dst[:line]
	}
	dst = appendField(dst, []byte(fasthttp.HeaderXForwardedHost), host)
	dst = appendField(dst, []byte(fasthttp.HeaderXForwardedProto), proto)
	if port == nil {
		port = impliedPort(host, proto)
	}
	dst = appendField(dst, []byte("X-Forwarded-Port"), port)
	return appendForwardedLine(dst, chain, host, proto)
}

// said returns host, scheme and port as a trusted peer states them, and as they are given where it states nothing that can be read.
func (o *outbound) said(host, proto, port []byte) (_, _, _ []byte) {
	if v, ok := o.head.described[forwardedProto].once(); ok && (string(v) == "http" || string(v) == "https") {
		proto = v
	}
	if v, ok := o.head.described[forwardedHost].once(); ok {
		if _, ok := canonicalHost(v, nil); ok {
			host = v
		}
	}
	if v, ok := o.head.single("X-Forwarded-Port"); ok && isPort(v) {
		port = v
	}
	return host, proto, port
}

// impliedPort returns the port that a client connects to who asks for host: the one that host names, or else the scheme's own. It is not
// the listener's, which is another where ports are mapped, and would lead applications to write links that lead nowhere.
func impliedPort(host, proto []byte) []byte {
	implied := defaultPort(string(proto))
	if port := portOf(host, implied)[1:]; len(port) > 0 {
		return port
	}
	return implied[1:]
}

// isPort reports whether v is a port that one can connect to.
func isPort(v []byte) bool {
	n, err := strconv.ParseUint(string(v), 10, 16)
	return err == nil && n > 0
}

// appendForwardedLine appends the Forwarded line. All that goes into it has been checked: addresses, a host, a scheme.
func appendForwardedLine(dst, chain, host, proto []byte) []byte {
	dst = append(dst, "Forwarded: "...)
	if len(chain) == 0 {
		dst = appendClientUsed(dst, host, proto)
	}
	for first, more := true, len(chain) > 0; more; first = false {
		var addr []byte
		addr, chain, more = bytes.Cut(chain, []byte(","))
		if !first {
			dst = append(dst, ", "...)
		}
		if addr = trimBlanks(addr); bytes.IndexByte(addr, ':') >= 0 { // RFC 7239 section 6
			dst = append(append(append(dst, `for="[`...), addr...), `]"`...)
		} else {
			dst = append(append(dst, "for="...), addr...)
		}
		if first { // host and scheme are those that the client used
			dst = appendClientUsed(append(dst, ';'), host, proto)
		}
	}
	return append(dst, "\r\n"...)
}

// appendClientUsed appends the host and scheme of a Forwarded line.
func appendClientUsed(dst, host, proto []byte) []byte {
	dst = append(append(append(dst, `host="`...), host...), `";proto=`...)
	return append(dst, proto...)
}

// appendChain appends what can be read of all X-Forwarded-For lines, of which some proxies add one of their own: the addresses behind
// the last thing that is none. Proxies write behind what they were sent, so that a client can spoil what it says itself, and not what they
// say of it.
func appendChain(dst []byte, lines [][]byte) []byte {
	start := len(dst)
	for _, line := range lines {
		readable, whole := readableEnd(line)
		if !whole {
			dst = dst[:start]
		}
		if len(readable) == 0 {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ", "...)
		}
		dst = append(dst, readable...)
	}
	return dst
}

// readableEnd returns the longest end of a list that is all addresses, and whether that is the whole list.
func readableEnd(list []byte) (end []byte, whole bool) {
	list = trimBlanks(list)
	for rest := list; ; {
		comma := bytes.LastIndexByte(rest, ',')
		addr, err := netip.ParseAddr(string(trimBlanks(rest[comma+1:])))
		if err != nil || addr.Zone() != "" { // a zone may be any text
			return end, false
		}
		end = trimBlanks(list[comma+1:])
		if comma < 0 {
			return end, true
		}
		rest = rest[:comma]
	}
}
