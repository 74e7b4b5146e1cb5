package httpclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/url"
)

// newDialer returns what opens a connection to the host of base, with TLS if its scheme says so. dial is as in Config.
func newDialer(base *url.URL, dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(context.Context) (*conn, error) {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	secure, port := base.Scheme == "https", "80"
	if secure {
		port = "443"
	}
	address := net.JoinHostPort(base.Hostname(), cmp.Or(base.Port(), port))
	return func(ctx context.Context) (*conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		socket, err := dial(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		if !secure {
			return newConn(socket, socket), nil
		}
		secured := tls.Client(socket, &tls.Config{ServerName: base.Hostname(), NextProtos: []string{"http/1.1"}})
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = socket.Close()
			return nil, err
		}
		return newConn(secured, socket), nil
	}
}
