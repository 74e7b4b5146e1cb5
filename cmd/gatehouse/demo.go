//go:build !core

package main

import (
	"errors"
	"log/slog"

	"github.com/gatehouse-proxy/gatehouse/internal/demo"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
)

// runDemo runs everything in one process until a signal ends it.
func runDemo(c *call) error {
	listen := c.flags.String("listen", "", "`ADDRESS` of the gateway; default 127.0.0.1:8080, or any free port if that is in use")
	if _, err := c.parse(0); err != nil {
		return err
	}
	v := readVersion()
	err := demo.Run(c.ctx, demo.Options{
		Listen: *listen,
		Out:    c.stdout,
		Logger: slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Build:  metrics.BuildInfo{Version: v.Version, Revision: v.Revision},
	})
	if errors.Is(err, demo.ErrAddress) {
		return usageError{err}
	}
	return err
}
