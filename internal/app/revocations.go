package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/gatehouse-proxy/gatehouse/internal/admin"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/internal/revocation/postgres"
	"github.com/gatehouse-proxy/gatehouse/internal/revocation/webhook"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/sessioncache"
)

// A hearing is what is heard from the database of Kratos, and whether it is.
type hearing struct {
	*sessioncache.Cache
	service  string // as metrics have it
	metrics  *metrics.Metrics
	deaf     atomic.Bool
	listener *postgres.Listener
}

// newHearing returns nil if nothing of a service is to be heard. Its cache is degraded until something is.
func newHearing(s *service, m *metrics.Metrics, logger *slog.Logger) (*hearing, error) {
	if s.Kratos == nil || s.Kratos.Revocations == nil {
		return nil, nil
	}
	h := &hearing{Cache: s.cache, service: s.label(), metrics: m}
	var err error
	h.listener, err = postgres.New(string(s.Kratos.Revocations.Postgres), h, func() { m.Revoked(metrics.RevokedByPostgres) }, logger)
	if err != nil {
		return nil, fmt.Errorf("hear revocations: %w", err)
	}
	return h, nil
}

// Degrade implements [postgres.Cache].
func (h *hearing) Degrade(degraded bool) {
	h.Cache.Degrade(degraded)
	h.deaf.Store(degraded)
	h.metrics.RevocationsHeard(h.service, metrics.RevokedByPostgres, !degraded)
}

var errDeaf = errors.New("not heard from Kratos' database: sessions are believed for session_cache.fresh_for_degraded only")

func (h *hearing) check(name string) admin.Check {
	return admin.Check{Name: name, Run: func(context.Context) error {
		if h.deaf.Load() {
			return errDeaf
		}
		return nil
	}}
}

// hooks are what messages are taken in by.
type hooks struct {
	*webhook.Receiver                              // about all services
	of                map[string]*webhook.Receiver // about one, by its name
	revoked           func()
}

// An auditor tells the operator what messages end, in the words of the admin listener. Ids are no secrets.
type auditor struct {
	webhook.Cache
	logger *slog.Logger // with the name of the service, if messages are about one of several
}

// RevokeSession implements [webhook.Cache], and so do the methods below.
func (a auditor) RevokeSession(id string) {
	a.Cache.RevokeSession(id)
	a.logger.Info("revoked by a message", "by", "session_id", "session_id", id)
}

func (a auditor) RevokeIdentity(id string) {
	a.Cache.RevokeIdentity(id)
	a.logger.Info("revoked by a message", "by", "identity_id", "identity_id", id)
}

func (a auditor) Flush() {
	a.Cache.Flush()
	a.logger.Info("flushed by a message")
}

// newHooks returns nil if there are none. revoked is called for each message that was taken in.
func newHooks(cfg *config.Hooks, all services, logger *slog.Logger, revoked func()) (proxy.Hooks, error) {
	if cfg == nil {
		return nil, nil
	}
	text := func(secrets []config.Secret) (all []string) {
		for _, s := range secrets {
			all = append(all, string(s))
		}
		return all
	}
	r, err := webhook.New(auditor{all, logger}, text(cfg.Secrets), text(cfg.Keys))
	if err != nil {
		return nil, fmt.Errorf("build hooks: %w", err)
	}
	h := hooks{r, map[string]*webhook.Receiver{"": r}, revoked}
	for _, s := range all {
		if s.name != "" {
			h.of[s.name] = r.For(auditor{s.cache, logger.With("upstream", s.name)})
		}
	}
	return h, nil
}

func pathOf(cfg *config.Hooks) string {
	if cfg == nil {
		return ""
	}
	return cfg.Path
}

// Receive implements [proxy.Hooks].
func (h hooks) Receive(service string, header func(name string) string, body []byte) policy.Reason {
	r, known := h.of[service]
	if !known {
		return policy.NoService
	}
	switch err := r.Receive(header, body); {
	case err == nil:
		h.revoked()
		return policy.MessageReceived
	case errors.Is(err, webhook.ErrUnsigned):
		return policy.MessageUnsigned
	case errors.Is(err, webhook.ErrOld):
		return policy.MessageOld
	case errors.Is(err, webhook.ErrReplayed):
		return policy.MessageReplayed
	default:
		return policy.MessageUnread
	}
}
