package httpclient

import "crypto/tls"

// WantTickets lets the service send tickets for sessions of TLS. Servers in Go do so only if they are wanted; others do not ask.
func (c *Client) WantTickets() {
	c.conns.dialer.secure.ClientSessionCache = tls.NewLRUClientSessionCache(1)
}
