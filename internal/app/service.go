package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/internal/sessiontoken"
	"github.com/gatehouse-proxy/gatehouse/internal/whoami"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
	"github.com/gatehouse-proxy/gatehouse/upstream/guard"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

// A service is a session service as the rest of the gateway sees it: a guarded Store, a way to pass questions through, and what is
// remembered of its sessions. The embedded service is asked by the same client as the service that it stands in for, over connections in
// memory.
type service struct {
	*config.Upstream
	name     string // in upstreams; empty if it is the only one
	key      string // of its section
	url      string
	client   client
	guard    *guard.Guard
	embedded *embedded.Service // nil unless it is ours
	revoked  atomic.Pointer[func(sessionID string)]

	cache   *sessioncache.Cache
	hearing *hearing // nil if revocations are not heard from a database
	face    *proxy.Service
	gate    atomic.Pointer[proxy.Gate] // nil until there is one
}

// newService returns a service that remembers nothing yet.
func newService(cfg *config.Config, u config.NamedUpstream, m *metrics.Metrics, logger *slog.Logger, version string) (*service, error) {
	s := &service{Upstream: u.Upstream, name: u.Name, key: u.Key}
	base, err := urlOf(u)
	if err != nil {
		return nil, err
	}
	s.url = base.String()
	if own := u.Embedded; own != nil {
		s.embedded, err = embedded.Open(embedded.Config{
			Dialect: whoami.Dialect(own.Dialect), Path: own.Path, Cookie: own.Cookie, Lifespan: own.Lifespan, BaseURL: s.url,
			Revoked: s.onEnded,
		})
		if err != nil {
			return nil, err
		}
	}
	// One connection more than there are questions, so that a service under full load can still say whether it is ready.
	s.client, err = newClient(u, s.embedded, httpclient.Config{
		URL: base, MaxConns: u.MaxInFlight + 1, UserAgent: "gatehouse/" + version, Remaining: m.RateLimit(s.label()),
	})
	if err != nil {
		s.client = nil
		s.close()
		return nil, fmt.Errorf("build client of %s: %w", s.called("session service"), err)
	}
	if s.name != "" {
		logger = logger.With("upstream", s.name)
	}
	s.guard = guard.New(&watch{store: toldAs(cfg, u.Upstream, s.client), url: s.url, logger: logger}, guard.Config{
		Timeout: u.Timeout, MaxInFlight: u.MaxInFlight,
		UnknownPerClient: cfg.Limits.UnknownPerClient, Observe: m.Upstream(s.label()),
	})
	m.WatchGuard(s.label(), s.guard)
	return s, nil
}

// onRevoked says who is told when the embedded service ends a session.
func (s *service) onRevoked(f func(sessionID string)) { s.revoked.Store(&f) }

func (s *service) onEnded(sessionID, _ string) {
	if f := s.revoked.Load(); f != nil {
		(*f)(sessionID)
	}
}

// passthrough returns what passes questions through to the service, or nil if whoami answers all of them from memory: where the service
// has no questions of its own, or whoami speaks another dialect than the service.
func (s *service) passthrough(cfg *config.Config) proxy.Passthrough {
	f, can := s.client.(forwarder)
	if !can || cfg.DialectOf(s.Upstream) != s.Service().Dialect {
		return nil
	}
	return forwarding{s.guard, f}
}

// tokenBytes is how much of session tokens is remembered. One takes about 2 KiB, and lives for half a minute.
const tokenBytes = 32 << 20

// sessionTokens returns what hands out the tokens of the service, or nil if it makes none. What it asks is within the same limits as all
// others.
func (s *service) sessionTokens() proxy.SessionTokens {
	maker, can := s.client.(tokenMaker)
	if !can {
		return nil
	}
	return sessiontoken.New(s.cache, func(
		ctx context.Context, c upstream.Credential, template string, client netip.Addr,
	) (a sessiontoken.Answer, err error) {
		err = s.guard.Do(ctx, c.From, func(ctx context.Context) error {
			t, err := maker.Token(ctx, c, template, client)
			a = sessiontoken.Answer(t)
			return err
		})
		return a, err
	}, tokenBytes)
}

// A forwarding passes questions through, within the same limits as all others.
type forwarding struct {
	guard *guard.Guard
	to    forwarder
}

// Forward passes a question through.
func (f forwarding) Forward(ctx context.Context, c upstream.Credential, query []byte) (reply upstream.Reply, err error) {
	err = f.guard.Do(ctx, c.From, func(ctx context.Context) error {
		var err error
		reply, err = f.to.Forward(ctx, c, query)
		if err == nil && reply.Status == http.StatusUnauthorized {
			return upstream.ErrNoSession // for the guard to count; the caller gets the reply
		}
		return err
	})
	if reply.Status != 0 {
		return reply, nil
	}
	return reply, err
}

// ready returns what asks the service whether it can be believed, or nil if it cannot be asked.
func (s *service) ready() func(context.Context) error {
	r, can := s.client.(readier)
	if !can {
		return nil
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, s.Timeout)
		defer cancel()
		return r.Ready(ctx)
	}
}

func (s *service) close() {
	if s.face != nil && s.face.API != nil && s.face.API.Service != nil {
		s.face.API.Service.Close()
	}
	if s.cache != nil {
		s.cache.Close()
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.embedded != nil {
		_ = s.embedded.Close()
	}
}

// An api is what the embedded service offers to others.
type api struct {
	name, key, address string
	serve              func(net.Listener) error
	shutdown           func(context.Context) error
}

func (s *service) apis() []api {
	if s.embedded == nil {
		return nil
	}
	return []api{
		newAPI(s.called(Service), s.key+".embedded.listen", s.Embedded.Listen, s.embedded.Public()),
		newAPI(s.called(ServiceAdmin), s.key+".embedded.admin_listen", s.Embedded.AdminListen, s.embedded.Admin()),
	}
}

func newAPI(name, key, address string, h http.Handler) api {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	shutdown := func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			_ = server.Close() // cuts off what is left
		}
		return err
	}
	return api{name: name, key: key, address: address, shutdown: shutdown, serve: func(ln net.Listener) error {
		if err := server.Serve(ln); err != http.ErrServerClosed { //nolint:errorlint // documented to be this very value
			return err
		}
		return nil
	}}
}
