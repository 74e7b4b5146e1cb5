//go:build core

package postgres

import (
	"context"
	"log/slog"

	"github.com/gatehouse-proxy/gatehouse/internal/parts"
)

// A Listener would listen to a database, but none is built.
type Listener struct{}

// New fails: this build cannot speak to a database.
func New(string, Cache, func(), *slog.Logger) (*Listener, error) { return nil, parts.Postgres }

// Run is never called.
func (*Listener) Run(context.Context) {}
