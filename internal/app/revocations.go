package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/gatehouse-proxy/gatehouse/internal/admin"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/internal/revocation/postgres"
	"github.com/gatehouse-proxy/gatehouse/internal/revocation/webhook"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A hearing is what is heard from the database of Kratos, and whether it is.
type hearing struct {
	*sessioncache.Cache
	metrics  *metrics.Metrics
	deaf     atomic.Bool
	listener *postgres.Listener
}

// newHearing returns nil if nothing is to be heard. The cache is degraded until something is.
func (a *App) newHearing(cfg *config.Config) (*hearing, error) {
	if cfg.Upstream.Kratos == nil || cfg.Upstream.Kratos.Revocations == nil {
		return nil, nil
	}
	h := &hearing{Cache: a.cache, metrics: a.metrics}
	var err error
	h.listener, err = postgres.New(string(cfg.Upstream.Kratos.Revocations.Postgres), h,
		func() { a.metrics.Revoked(metrics.RevokedByPostgres) }, a.opts.Logger)
	if err != nil {
		return nil, fmt.Errorf("hear revocations: %w", err)
	}
	return h, nil
}

// listenFor begins to hear what tells of revocations, apart from the session service itself.
func (a *App) listenFor(cfg *config.Config) (hooks proxy.Hooks, err error) {
	if a.hearing, err = a.newHearing(cfg); err != nil {
		return nil, err
	}
	return newHooks(cfg.Hooks, a.cache, func() { a.metrics.Revoked(metrics.RevokedByWebhook) })
}

// Degrade implements [postgres.Cache].
func (h *hearing) Degrade(degraded bool) {
	h.Cache.Degrade(degraded)
	h.deaf.Store(degraded)
	h.metrics.RevocationsHeard(metrics.RevokedByPostgres, !degraded)
}

var errDeaf = errors.New("not heard from Kratos' database: sessions are believed for session_cache.fresh_for_degraded only")

func (h *hearing) check() admin.Check {
	return admin.Check{Name: "revocations", Run: func(context.Context) error {
		if h.deaf.Load() {
			return errDeaf
		}
		return nil
	}}
}

// remembered tells the admin listener what is remembered.
func (a *App) remembered(limit int, want func(*upstream.Session) bool) (list []admin.Remembered, more bool) {
	found, more := a.cache.Remembered(limit, want)
	for _, f := range found {
		list = append(list, admin.Remembered(f))
	}
	return list, more
}

// hooks are what messages are taken in by.
type hooks struct {
	*webhook.Receiver
	revoked func()
}

// newHooks returns nil if there are none. revoked is called for each message that was taken in.
func newHooks(cfg *config.Hooks, cache webhook.Cache, revoked func()) (proxy.Hooks, error) {
	if cfg == nil {
		return nil, nil
	}
	text := func(secrets []config.Secret) (all []string) {
		for _, s := range secrets {
			all = append(all, string(s))
		}
		return all
	}
	r, err := webhook.New(cache, text(cfg.Secrets), text(cfg.Keys))
	if err != nil {
		return nil, fmt.Errorf("build hooks: %w", err)
	}
	return hooks{r, revoked}, nil
}

func pathOf(cfg *config.Hooks) string {
	if cfg == nil {
		return ""
	}
	return cfg.Path
}

// Receive implements [proxy.Hooks].
func (h hooks) Receive(header func(name string) string, body []byte) policy.Reason {
	switch err := h.Receiver.Receive(header, body); {
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
