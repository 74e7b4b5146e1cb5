package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/gatehouse-proxy/gatehouse/internal/admin"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// services are all session services of a gateway, in the order of their names. They share nothing: each has a client, limits, a cache and
// revocations of its own.
type services []*service

// openServices opens all session services of a configuration, with what remembers their sessions. Whoever gets them closes them.
func openServices(cfg *config.Config, m *metrics.Metrics, opts Options) (all services, err error) {
	defer func() {
		if err != nil {
			all.close()
			all = nil
		}
	}()
	for _, u := range cfg.Services() {
		s, err := newService(cfg, u, m, opts.Logger, opts.Build.Version)
		if err != nil {
			return all, err
		}
		all = append(all, s)
		if err := s.remember(cfg, m, opts); err != nil {
			return all, err
		}
	}
	return all, nil
}

// only returns what the routes that name no service have: the one of upstream, or nil.
func (all services) only() *proxy.Service {
	if len(all) == 1 && all[0].name == "" {
		return all[0].face
	}
	return nil
}

// gate returns a gate before the services that judges by p.
func (all services) gate(p *policy.Policy) *proxy.Gate {
	g := proxy.NewGate(all.only(), p)
	for _, s := range all {
		s.gate.Store(g)
	}
	return g
}

// faces returns the services as requests meet them.
func (all services) faces() (list []*proxy.Service) {
	for _, s := range all {
		list = append(list, s.face)
	}
	return list
}

// byName returns the services as requests meet them.
func (all services) byName() map[string]*proxy.Service {
	byName := map[string]*proxy.Service{}
	for _, s := range all {
		byName[s.name] = s.face
	}
	return byName
}

// headersOf returns the identity headers, and where each service says them.
func headersOf(cfg *config.Config, byName map[string]*proxy.Service) []policy.Header {
	headers := make([]policy.Header, len(cfg.IdentityHeaders))
	for i, h := range cfg.IdentityHeaders {
		headers[i] = policy.Header{Name: h.Name, Path: h.Path, Paths: map[policy.Service]string{}}
		for _, name := range slices.Sorted(maps.Keys(cfg.Upstreams)) {
			if path, own := cfg.Upstreams[name].HeadersOf()[h.Name]; own {
				headers[i].Paths[byName[name]] = path
			}
		}
	}
	return headers
}

// RevokeSession and the methods below end sessions of all services, for those who do not say of which.
func (all services) RevokeSession(id string) {
	for _, s := range all {
		s.cache.RevokeSession(id)
	}
}

// RevokeIdentity implements [webhook.Cache].
func (all services) RevokeIdentity(id string) {
	for _, s := range all {
		s.cache.RevokeIdentity(id)
	}
}

// Flush implements [webhook.Cache].
func (all services) Flush() {
	for _, s := range all {
		s.cache.Flush()
	}
}

func (all services) close() {
	for _, s := range all {
		s.close()
	}
}

// checks returns what the admin listener tells of the services.
func (all services) checks() (checks []admin.Check) {
	for _, s := range all {
		if ready := s.ready(); ready != nil {
			checks = append(checks, admin.Check{Name: s.called("session_service"), Run: ready})
		}
		if s.hearing != nil {
			checks = append(checks, s.hearing.check(s.called("revocations")))
		}
	}
	return checks
}

// upstreams returns the services as the admin listener has them.
func (all services) upstreams(cfg *config.Config) (list []admin.Upstream) {
	for i, u := range cfg.Services() {
		s := all[i]
		list = append(list, admin.Upstream{
			Name:     s.name,
			Sessions: s.cache,
			Credentials: func(kind upstream.Kind, value []byte) []upstream.Credential {
				return credentialsFor(cfg, u.Upstream, kind, value)
			},
			Remembered: func(limit int, want func(*upstream.Session) bool) (list []admin.Remembered, more bool) {
				found, more := s.cache.Remembered(limit, want)
				for _, f := range found {
					list = append(list, admin.Remembered(f))
				}
				return list, more
			},
		})
	}
	return list
}

// remember begins to remember sessions of the service, and to hear what ends them.
func (s *service) remember(cfg *config.Config, m *metrics.Metrics, opts Options) (err error) {
	s.cache, err = sessioncache.New(s.guard, sessioncache.Config{
		Service:     s.url,
		Size:        cfg.SessionCache.Size,
		FreshFor:    cfg.SessionCache.FreshFor,
		StaleFor:    cfg.SessionCache.StaleFor,
		NegativeFor: cfg.SessionCache.NegativeFor,
		Known:       s.guard.Known(),
		Ready:       s.ready(),

		FreshForDegraded: cfg.SessionCache.FreshForDegraded,

		DropBody: !cfg.Whoami.KeepBody,
		Prepare:  s.prepare,
	})
	if err != nil {
		return fmt.Errorf("build session cache: %w", err)
	}
	s.onRevoked(func(sessionID string) {
		s.cache.RevokeSession(sessionID)
		m.Revoked(metrics.RevokedByService)
	})
	if s.hearing, err = newHearing(s, m, opts.Logger); err != nil {
		return err
	}
	api, err := s.sessionAPI(m, opts.Logger)
	if err != nil {
		return err
	}
	s.face = &proxy.Service{
		API:           api,
		Label:         s.name,
		Credentials:   credentialsOf(cfg, s.Upstream),
		Sessions:      s.cache,
		Unattended:    s.cache.Unattended(),
		Revocations:   s.cache,
		Passthrough:   s.passthrough(cfg),
		WhoamiDialect: whoamiOf(cfg, s.Upstream),
		Tag:           s.cache.Tag,

		SessionTokens:    s.sessionTokens(),
		SessionTokenPath: s.TokenPath(),
	}
	if !cfg.Whoami.KeepBody {
		s.face.Statements = asked{s.guard}
	}
	m.WatchCache(s.label(), s.cache.Stats)
	return nil
}

// prepare has the policy in force look at a session before it is remembered.
func (s *service) prepare(session *upstream.Session) {
	if g := s.gate.Load(); g != nil {
		g.Policy().Prepare(session, s.face)
	}
}

// label returns what metrics call the service: its name, or what kind of service it is if it is the only one.
func (s *service) label() string { return cmp.Or(s.name, s.Service().Kind) }

// called returns what something of the service is called, to tell it from that of the others.
func (s *service) called(what string) string {
	if s.name == "" {
		return what
	}
	return what + " " + s.name
}
