package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
)

// Options says how a demo is run.
type Options struct {
	// Listen is where the gateway is served: host:port. If it cannot be had, that is an error. Empty means 127.0.0.1:8080, or any free
	// port if that one is in use. Port 0 means any free port, for everything else in the demo as well.
	Listen string

	Out    io.Writer    // gets one message, when everything is being served
	Logger *slog.Logger // should begin at warnings, so that the message stays readable
	Build  metrics.BuildInfo
}

// Run runs the demo until ctx ends. It returns nil if everything could be started and has been closed in order. Whatever it returns,
// nothing of the demo is left then.
func Run(ctx context.Context, o Options) error {
	places, err := choosePlaces(o.Listen)
	if err != nil {
		return err
	}
	cfg, err := places.config()
	if err != nil {
		return err
	}
	message, err := places.guide()
	if err != nil {
		return err
	}
	// Before the gateway is there, since it is the gateway that says when everything is.
	ln, err := net.Listen("tcp", places.App)
	if err != nil {
		return fmt.Errorf("listen for example application: %w", err)
	}
	defer func() { _ = ln.Close() }()
	gateway, err := app.New(cfg, app.Options{
		Logger: o.Logger, Build: o.Build,
		OnReady: func() { _, _ = o.Out.Write(message) }, // a demo goes on if nobody reads
	})
	if err != nil {
		return fmt.Errorf("build gateway: %w", err)
	}
	example := newExample(cfg, o.Logger)

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := example.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve example application: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		// By the time that the gateway has ended, nobody is left whom the application could answer.
		return errors.Join(gateway.Run(ctx), example.Close())
	})
	return g.Wait()
}

func newExample(cfg *config.Config, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           newSite(cfg, logger),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
