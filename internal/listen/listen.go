package listen

import (
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
)

// A Config is one address, and what is spoken there.
type Config struct {
	// Address is host:port, :port, "unix:" and the path of a socket, "systemd" for every socket that systemd passed, or "systemd:" and
	// the name of some of them.
	Address string

	// TLS is how TLS is spoken; nil if it is not. [Certificates.Add] makes one.
	TLS *tls.Config

	// Relay reports whether a peer is a load balancer that speaks the PROXY protocol. All others are turned away. It is nil where that
	// protocol is not spoken.
	Relay func(peer net.Addr) bool

	Logger *slog.Logger
}

// Open listens at an address. It returns more than one listener only if systemd passed more than one socket. They are the caller's to
// close, from any goroutine and as often as it likes.
func Open(cfg Config, systemd *Inherited) ([]net.Listener, error) {
	sockets, err := open(cfg.Address, systemd)
	if err != nil {
		return nil, err
	}
	for i, ln := range sockets {
		sockets[i] = newSteady(ln, cfg.Logger)
		if cfg.TLS != nil || cfg.Relay != nil {
			sockets[i] = newFront(sockets[i], cfg, maxUnready)
		}
	}
	return sockets, nil
}

func open(address string, systemd *Inherited) ([]net.Listener, error) {
	kind, rest, _ := strings.Cut(address, ":")
	var ln net.Listener
	var err error
	switch kind {
	case "systemd":
		return systemd.take(rest)
	case "unix":
		ln, err = openUnix(rest)
	default:
		ln, err = openTCP(address)
	}
	if err != nil {
		return nil, err
	}
	return []net.Listener{ln}, nil
}
