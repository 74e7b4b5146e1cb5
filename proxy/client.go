package proxy

import (
	"bytes"
	"net/netip"
	"unsafe"
)

// shareholder returns for whom an address stands where each client has a share of its own. Of IPv6 everybody has at least a whole /64
// (RFC 6177 section 2).
func shareholder(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if !a.Is6() {
		return a
	}
	p, _ := a.Prefix(64) // fails for other lengths only
	return p.Addr()
}

// shareholder returns whose share a request is on: that of the peer or, if the peer is trusted, of the last one in X-Forwarded-For that is
// not. What cannot be read there is believed to be nobody, so that whoever said it answers for the request. It is invalid for the peer
// of a unix socket who does not say for whom it asks. anyNumber says that the shareholder is trusted.
func (r *request) shareholder() (client netip.Addr, anyNumber bool) {
	if !r.conn.trusted {
		return r.conn.client, false
	}
	client, anyNumber = r.clientAddr()
	return shareholder(client), anyNumber
}

// clientAddr is shareholder for the address itself.
func (r *request) clientAddr() (client netip.Addr, anyNumber bool) {
	if !r.conn.trusted {
		return r.conn.peer, false
	}
	last := r.conn.peer
	for i := len(r.head.chain) - 1; i >= 0; i-- {
		for line := r.head.chain[i]; len(line) > 0; {
			var item []byte
			at := bytes.LastIndexByte(line, ',')
			item, line = trimBlanks(line[at+1:]), line[:max(at, 0)]
			addr, ok := parseAddr(item)
			if !ok {
				return last, true
			}
			if !r.cfg.Trusted.has(addr) {
				return addr, false
			}
			last = addr
		}
	}
	return last, true
}

// holder returns on whose share a request is; the zero Addr if they may have any number, or nobody knows who they are.
func (r *request) holder() netip.Addr {
	client, anyNumber := r.shareholder()
	if anyNumber {
		return netip.Addr{}
	}
	return client
}

// parseAddr reads an address without allocating.
func parseAddr(b []byte) (netip.Addr, bool) {
	if len(b) == 0 || bytes.IndexByte(b, '%') >= 0 { // a zone means nothing to others
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(unsafe.String(&b[0], len(b))) // keeps the string in the error only, which ends here
	return addr.Unmap(), err == nil
}

// A tally counts what each client has. Its owner locks it.
type tally map[netip.Addr]int

// enter counts one more, unless the client has most already. 0 is any number.
func (t tally) enter(client netip.Addr, most int) bool {
	if most > 0 && t[client] >= most {
		return false
	}
	t[client]++
	return true
}

func (t tally) leave(client netip.Addr) {
	if t[client]--; t[client] <= 0 {
		delete(t, client)
	}
}
