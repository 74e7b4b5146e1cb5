package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/internal/sessionapi"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// sessionAPI returns what passes calls on to the service's own session API, or nil if none are.
func (s *service) sessionAPI(m *metrics.Metrics, logger *slog.Logger) (*proxy.SessionAPI, error) {
	table, base := s.SessionAPI()
	if len(table) == 0 {
		return nil, nil
	}
	at, err := urlOf(config.NamedUpstream{Name: s.name, Upstream: s.Upstream})
	if err != nil {
		return nil, err
	}
	where := config.Default().App // with the times of any application: a password takes longer to check than a session
	where.URL = at.Scheme + "://" + at.Host
	network, address, secured := where.Target()
	if s.name != "" {
		logger = logger.With("upstream", s.name)
	}
	pool := proxy.AppConfig{
		Name: where.URL, What: "session service", Network: network, Address: address, MaxConns: where.MaxConns,
		DialTimeout: appDialTimeout, ConnWait: appConnWait, HeadTimeout: where.HeadTimeout, IdleTimeout: where.IdleTimeout,
		KeepAlive: appKeepAlive, MaxAge: appMaxAge, LookEvery: appLookEvery,
		Observer: m.App(where.URL), Logger: logger,
	}
	if s.embedded != nil {
		pool.Dial = s.embedded.Dial
	}
	if secured {
		name, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("read url of %s: %w", s.called("session service"), err)
		}
		pool.TLS = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, ServerName: name}
	}
	kind := s.Service()
	takes := proxy.Credentials{TokenHeader: http.CanonicalHeaderKey(kind.TokenHeader), Cookie: kind.Cookie, Query: kind.Query, Bearer: kind.Bearer}
	api := &proxy.SessionAPI{
		Service: proxy.NewApp(pool), Takes: takes, Base: base,
		Calls: calls{sessionapi.New(sessionapi.Config{
			Table: table, Cache: s.cache, TokenHeader: takes.TokenHeader, Cookie: takes.Cookie, Bearer: takes.Bearer,
			Revoked: func() { m.Revoked(metrics.RevokedBySessionAPI) }, Logger: logger,
		})},
	}
	if secured || s.Wacht != nil || s.Crossid != nil {
		api.Host = at.Host // who is reached by TLS, or has many tenants, is found by its own name
	}
	return api, nil
}

// down says for each application by name, and for each session service whose API is called, whether it is out of reach.
func (a *App) down() map[string]bool {
	all := a.apps.down()
	for _, s := range a.services {
		if api := s.face.API; api != nil {
			all[api.Service.Name()] = all[api.Service.Name()] || api.Service.Down()
		}
	}
	return all
}

// calls are a session API as the proxy calls it.
type calls struct{ *sessionapi.API }

// Begin implements [proxy.APICalls].
func (c calls) Begin(ctx context.Context, call proxy.APICall) (proxy.APIEnding, error) {
	e, err := c.API.Begin(ctx, sessionapi.Call(call))
	if err != nil {
		return nil, err
	}
	return e, nil
}
