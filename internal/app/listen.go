package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/listen"
)

// A bound is what is listened at for one purpose, and what serves it.
type bound struct {
	name, key string // of the configuration
	listeners []net.Listener
	serve     func(net.Listener) error
	shutdown  func(context.Context) error // of all of them
}

// requestListeners returns where requests are served, with the certificates loaded.
func (a *App) requestListeners(cfg *config.Config) ([]listen.Config, error) {
	all, trusted := make([]listen.Config, len(cfg.Listen)), trustedOf(cfg)
	for i, l := range cfg.Listen {
		all[i] = listen.Config{Address: l.Address, Logger: a.opts.Logger}
		if l.ProxyProtocol {
			all[i].Relay = trusted.Contains
		}
		if t := cfg.TLSOf(l); t != nil {
			var err error
			all[i].TLS, err = a.certificates.Add(l.Address, listen.Files{
				Cert: t.CertFile, Key: t.KeyFile, ClientCA: t.ClientCAFile, ClientAuth: clientAuthOf(t.ClientAuth),
			})
			if err != nil {
				return nil, fmt.Errorf("serve TLS at %s: %w", l.Address, err)
			}
		}
	}
	return all, nil
}

func clientAuthOf(a config.ClientAuth) tls.ClientAuthType {
	switch a {
	case config.ClientAuthNone:
		return tls.NoClientCert
	case config.ClientAuthOptional:
		return tls.VerifyClientCertIfGiven
	default:
		return tls.RequireAndVerifyClientCert
	}
}

// bind binds every listener, or none.
func (a *App) bind(cfg *config.Config) (all []bound, err error) {
	systemd, err := listen.Inherit()
	if err != nil {
		return nil, err
	}
	defer func() {
		if unused := systemd.Close(); len(unused) > 0 && err == nil {
			a.opts.Logger.Warn("systemd passed sockets that are not used: name them in listen, such as systemd:"+unused[0],
				"sockets", strings.Join(unused, " "))
		}
		if err != nil {
			for _, b := range all {
				b.close()
			}
			all = nil
		}
	}()
	add := func(b bound, places ...listen.Config) error {
		for _, place := range places {
			listeners, err := listen.Open(place, systemd)
			if err != nil {
				return fmt.Errorf("listen for %s (%s): %w", b.name, b.key, err)
			}
			b.listeners = append(b.listeners, listeners...)
		}
		all = append(all, b)
		return nil
	}
	if err = add(bound{name: Requests, key: "listen", serve: a.server.Serve, shutdown: a.server.Shutdown}, a.requests...); err != nil {
		return all, err
	}
	if a.checks != nil {
		b := bound{name: Checks, key: "forward_auth.grpc_listen", serve: a.checks.Serve, shutdown: a.checks.Shutdown}
		if err = add(b, listen.Config{Address: cfg.ForwardAuth.GRPCListen, Logger: a.opts.Logger}); err != nil {
			return all, err
		}
	}
	// The admin listener is the last to go, so that it can be watched how the others do.
	var others []api
	for _, s := range a.services {
		others = append(others, s.apis()...)
	}
	others = append(others, api{name: Administration, key: "admin", address: cfg.Admin, serve: a.admin.Serve, shutdown: a.admin.Shutdown})
	for _, o := range others {
		if o.address == "" {
			continue
		}
		err = add(bound{name: o.name, key: o.key, serve: o.serve, shutdown: o.shutdown}, listen.Config{Address: o.address, Logger: a.opts.Logger})
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// close closes what a server may know nothing of, because it was told to end before it began to serve.
func (b *bound) close() {
	for _, ln := range b.listeners {
		_ = ln.Close()
	}
}
