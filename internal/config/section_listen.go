package config

import (
	"time"
)

// A Listener is one place where requests are served.
type Listener struct {
	// Address is where, as in listen. Required.
	Address string `yaml:"address"`

	// TLS makes it serve HTTPS. Default: what tls at the top level says.
	TLS *TLS `yaml:"tls,omitempty"`

	// ProxyProtocol makes it speak the PROXY protocol, version 1 or 2, before anything else. It then serves trusted_proxies only, and
	// closes the connections of all others. The address in the protocol's header is the peer's from then on: its X-Forwarded-* headers
	// are believed only if that address is in trusted_proxies too, and never if the header names none. Default false.
	ProxyProtocol bool `yaml:"proxy_protocol"`
}

// A TLS is how HTTPS is served: TLS 1.2 or 1.3, and HTTP/1.1. The files are loaded again when they change, when the configuration is
// reloaded, and never half: what cannot be loaded leaves what was there in force.
type TLS struct {
	// CertFile is the file with the certificate and, after it, those that lead to its authority, in PEM. Like the other files it is looked
	// at every 15s, and loaded again when it has changed. Required.
	CertFile string `yaml:"cert_file"`

	// KeyFile is the file with the private key of the certificate, in PEM and not encrypted. Required.
	KeyFile string `yaml:"key_file"`

	// ClientCAFile is the file with the authorities whose client certificates are accepted, in PEM. Default none.
	ClientCAFile string `yaml:"client_ca_file"`

	// ClientAuth is whether clients present a certificate: none (they are not asked), optional (they are asked, and one that they present
	// must be valid) or require (only those with a valid one get in). Default none.
	ClientAuth ClientAuth `yaml:"client_auth"`
}

// An App is an application and how it is spoken to.
type App struct {
	// URL is where it is: http://host:port, https://host:port, each with port 80 or 443 if it names none, without path, or unix:/path for
	// a socket. A name is resolved for each new connection, and no connection is kept for longer than a minute. Required.
	URL string `yaml:"url"`

	// CAFile is the file with the authorities that may vouch for its certificate, in PEM. Only with https. Default: those of the system.
	CAFile string `yaml:"ca_file"`

	// CertFile is the file with the certificate that Gatehouse shows to it, in PEM. Only with https. Default none.
	CertFile string `yaml:"cert_file"`

	// KeyFile is the file with the private key of that certificate, in PEM and not encrypted. Default none.
	KeyFile string `yaml:"key_file"`

	// ServerName is the name that its certificate must be for. Only with https. Default: the host of the URL.
	ServerName string `yaml:"server_name"`

	// MaxConns is how many connections to it there may be at once; 1 to 100000. A request beyond that waits for a second, and then gets
	// 503. Event streams take one each, for as long as they live. Default 1024.
	MaxConns int `yaml:"max_conns"`

	// HeadTimeout is how long it may take to begin its answer once it has the whole request, and to take each piece of one; 1ms to 24h.
	// Long polls must be shorter. After that the client gets 504. Default 1m.
	HeadTimeout time.Duration `yaml:"head_timeout"`

	// IdleTimeout is how long it may pause within an answer; 0s to 24h, where 0s is for ever. An event stream ends with the client, and
	// with the application, however long it is silent. Default 0s.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
}

// A Limits is what clients may take of the gateway.
type Limits struct {
	// Head is how large the head of a request may be; 4KiB to 1MiB. A larger one is refused with 431. Every connection takes as much
	// memory. Default 64KiB.
	Head Size `yaml:"head"`

	// Headers is how many header lines a request may have; 16 to 1024. More are refused with 431. Default 128.
	Headers int `yaml:"headers"`

	// URI is how long the target of a request, path and query, may be; 256B to 1MiB, and less than limits.head. A longer one is refused with
	// 414. Default 16KiB.
	URI Size `yaml:"uri"`

	// Body is how long the body of a request may be, on routes that do not say it themselves; at least 1, or unlimited. A longer one is
	// refused with 413. Default unlimited.
	Body Size `yaml:"body"`

	// HeadTimeout is how long the head of a request may take, and then the first byte of its body; 100ms to 5m. After that it is refused
	// with 408. Default 10s.
	HeadTimeout time.Duration `yaml:"head_timeout"`

	// BodyTimeout is for how long a client that sends or reads a body is waited for, until it must have moved something, or as much as
	// MinRate asks for in that time; 100ms to 10m. After that a request is refused with 408, and a response is cut off. Default 30s.
	BodyTimeout time.Duration `yaml:"body_timeout"`

	// MinRate is how much of a body a client must send or read in each second that is waited for it; 0 to 1MiB. The time that the
	// application takes does not count. Default 256B.
	MinRate Size `yaml:"min_rate"`

	// Connections is how many connections of clients there may be at once; 1 to 1000000. More are refused with 503. Default 100000.
	Connections int `yaml:"connections"`

	// ConnectionsPerClient is how many of them one address may have, unless it is in trusted_proxies; 0 to 1000000, 0 is any number. More
	// are refused with 429. Default 10000.
	ConnectionsPerClient int `yaml:"connections_per_client"`

	// RequestsPerClient is how many requests of one client may be at the application at once, unless it is in trusted_proxies; 0 to
	// 1000000, 0 is any number. An application has max_conns for all clients together. More are refused with 429. Default 256.
	RequestsPerClient int `yaml:"requests_per_client"`

	// UnknownPerClient is how many credentials one client may present in a minute, and at once, that turn out to be nobody's; 0 to 1000000,
	// 0 is any number. Beyond that, credentials that are not remembered are refused with 429. Valid ones cost nothing. Default 3000.
	UnknownPerClient int `yaml:"unknown_per_client"`

	// Tunnels is how many WebSockets may be open at once; 0 to 1000000. More are refused with 503; each takes two connections. 0 turns
	// WebSockets off: the application gets their handshakes as ordinary requests. Default 10000.
	Tunnels int `yaml:"tunnels"`

	// TunnelsPerClient is how many of them one client may have, unless it is in trusted_proxies; 0 to 1000000, 0 is any number. More are
	// refused with 429. Default 256.
	TunnelsPerClient int `yaml:"tunnels_per_client"`

	// TunnelIdle is how long nothing may pass through a WebSocket, in either direction, before it is closed; 1s to 24h, or 0s for no limit.
	// Default 1h.
	TunnelIdle time.Duration `yaml:"tunnel_idle"`
}
