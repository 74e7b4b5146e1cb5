package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/admin"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/extauthz"
	"github.com/gatehouse-proxy/gatehouse/internal/listen"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// Options is what an App needs beside its configuration.
type Options struct {
	Logger  *slog.Logger
	Build   metrics.BuildInfo
	Reread  func() (*config.Config, error) // reads the configuration again for a reload; nil if it cannot be reloaded
	OnReady func()                         // called once, when everything is being served; may be nil
}

// An App is one gateway with everything that belongs to it.
type App struct {
	opts     Options
	cfg      atomic.Pointer[config.Config] // in force
	metrics  *metrics.Metrics
	services services
	apps     *apps
	server   *proxy.Server
	checks   *extauthz.Server // nil if Envoy does not ask by gRPC
	admin    *admin.Server
	state    atomic.Pointer[error] // why it is not ready; nil error when it is

	certificates *listen.Certificates
	requests     []listen.Config
	bound        []bound // set before OnReady is called, and constant from then on

	reloading chan struct{}     // holds one token: reloads do not overlap
	keys      [sha256.Size]byte // the digest of the keys of identity tokens that were last tried; for who holds the token of reloading
}

var (
	errStarting = errors.New("starting")
	errDraining = errors.New("shutting down")
	errEnded    = errors.New("a listener ended by itself")
)

// New builds an App from a valid configuration. Nothing is bound or asked yet. An App that was built must be run.
func New(cfg *config.Config, opts Options) (_ *App, err error) {
	a := &App{opts: opts, metrics: metrics.New(opts.Build), reloading: make(chan struct{}, 1)}
	a.cfg.Store(cfg)
	a.state.Store(&errStarting)

	if a.services, err = openServices(cfg, a.metrics, opts); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.services.close()
		}
	}()
	a.apps = &apps{log: opts.Logger, metrics: a.metrics}
	compiled, pools, err := a.compile(cfg)
	if err != nil {
		return nil, err
	}
	login, err := loginOf(cfg)
	if err != nil {
		return nil, err
	}
	a.certificates = listen.NewCertificates(opts.Logger, a.metrics)
	if a.requests, err = a.requestListeners(cfg); err != nil {
		return nil, err
	}
	hooks, err := newHooks(cfg.Hooks, a.services, a.opts.Logger, func() { a.metrics.Revoked(metrics.RevokedByWebhook) })
	if err != nil {
		return nil, err
	}
	a.apps.use(pools)
	a.server = proxy.NewServer(proxy.Config{
		Gate:     a.services.gate(compiled),
		Services: a.services.faces(),
		Observer: a.metrics,
		Trusted:  trustedOf(cfg),
		Limits:   limitsOf(&cfg.Limits),
		Tunnels: proxy.TunnelConfig{
			Max: cfg.Limits.Tunnels, MaxPerClient: cfg.Limits.TunnelsPerClient, Idle: cfg.Limits.TunnelIdle,
		},
		Login:           login,
		ForwardAuthPath: cfg.ForwardAuth.Path,
		WhoamiPath:      cfg.Whoami.Path,
		Hooks:           hooks,
		HooksPath:       pathOf(cfg.Hooks),
		Explain:         cfg.Explain,
		AccessLog:       cfg.Log.Access,
		Logger:          a.opts.Logger,
	})
	if cfg.ForwardAuth.GRPCListen != "" {
		a.checks = extauthz.New(a.server)
	}
	a.metrics.SetPolicy(compiled)
	a.metrics.WatchConnections(a.server.Connections)
	a.metrics.WatchTunnels(a.server.Tunnels)
	a.metrics.WatchApps(a.down)
	a.metrics.Reloaded(true, time.Now())
	a.admin = a.newAdmin()
	return a, nil
}

func (a *App) newAdmin() *admin.Server {
	return admin.New(admin.Config{
		Gatherer:   a.metrics.Gatherer(),
		Ready:      func() error { return *a.state.Load() },
		Checks:     a.services.checks(),
		Upstreams:  a.services.upstreams(a.cfg.Load()),
		Reload:     a.Reload,
		ConfigYAML: func(w io.Writer) error { return a.cfg.Load().Print(w) },
		Revoked:    func() { a.metrics.Revoked(metrics.RevokedByAdmin) },
		Logger:     a.opts.Logger,
	})
}

// Run serves until ctx ends, then goes out of readiness, waits for what is under way, and closes everything. It returns nil if all of it
// went well, and an error if something could not be bound, failed while running, or had to be cut off.
func (a *App) Run(ctx context.Context) error {
	cfg := a.cfg.Load()
	defer a.close()
	var err error
	if a.bound, err = a.bind(cfg); err != nil {
		return err
	}
	watching, stopWatching := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() { a.certificates.Watch(watching) })
	watch.Go(func() { a.watchKeys(watching) })
	for _, u := range cfg.Services() {
		watch.Go(func() { greet(watching, u, a.opts.Logger) })
	}
	for _, s := range a.services {
		if s.hearing != nil {
			watch.Go(func() { s.hearing.listener.Run(watching) })
		}
	}
	defer func() {
		stopWatching()
		watch.Wait()
	}()
	failed := make(chan error)
	running := 0
	for _, b := range a.bound {
		for _, ln := range b.listeners {
			running++
			go func() { failed <- b.serve(ln) }()
			a.opts.Logger.Info("listening", "for", b.name, "address", ln.Addr().String())
		}
	}
	var ready error
	a.state.Store(&ready)
	if a.opts.OnReady != nil {
		a.opts.OnReady()
	}

	select {
	case err = <-failed:
		running--
		err = fmt.Errorf("serve: %w", cmp.Or(err, errEnded))
	case <-ctx.Done():
	}
	a.state.Store(&errDraining)
	a.opts.Logger.Info("shutting down", "delay", cfg.Shutdown.Delay.String(), "timeout", cfg.Shutdown.Timeout.String())
	if err == nil {
		pause(cfg.Shutdown.Delay)
	}
	err = errors.Join(err, a.drain(cfg.Shutdown.Timeout))
	for range running {
		if e := <-failed; e != nil {
			err = errors.Join(err, fmt.Errorf("serve: %w", e))
		}
	}
	return err
}

// Address returns where something is served, one of the names below: the first place if there are several. It is nil for what is not
// served, and may be called once OnReady has been called. Of several session services, what is served has the name of the service after
// it and a space.
func (a *App) Address(name string) net.Addr {
	if all := a.Addresses(name); len(all) > 0 {
		return all[0]
	}
	return nil
}

// Addresses is [App.Address] for all places, in the order of the configuration.
func (a *App) Addresses(name string) (all []net.Addr) {
	for _, b := range a.bound {
		if b.name == name {
			for _, ln := range b.listeners {
				all = append(all, ln.Addr())
			}
		}
	}
	return all
}

// The names of what is served, as the log and errors have them.
const (
	Requests       = "requests"
	Checks         = "checks of Envoy"
	Administration = "administration"
	Service        = "session service"
	ServiceAdmin   = "session service administration"
)

// pause waits for d in real time.
func pause(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

// drain ends the listeners in the order in which they were bound, the data plane first, and what is still under way after timeout is cut
// off.
func (a *App) drain(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var errs []error
	for _, b := range a.bound {
		if err := b.shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, fmt.Errorf("drain %s: shutdown.timeout (%s) has passed, and what was under way was cut off", b.name, timeout))
		} else if err != nil {
			errs = append(errs, fmt.Errorf("drain %s: %w", b.name, err))
		}
		b.close()
	}
	return errors.Join(errs...)
}

// close releases what New built. Nothing is served any more when it is called.
func (a *App) close() {
	a.apps.use(nil)
	a.services.close()
}
