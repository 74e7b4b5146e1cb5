//go:build !core

package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// channel is what the triggers notify.
const channel = "gatehouse_revocations"

// triggers are those that must be there, by table.
var triggers = map[string][]string{
	"sessions":   {"gatehouse_session_updated", "gatehouse_session_deleted", "gatehouse_sessions_truncated"},
	"identities": {"gatehouse_identity_updated", "gatehouse_identity_deleted"},
}

// The listener's own times.
const (
	connectTimeout = 10 * time.Second
	echoEvery      = 2 * time.Second // how often it makes sure that it hears
	echoTimeout    = 5 * time.Second // how long a notification of its own may take to come back
	leastPause     = 100 * time.Millisecond
	longestPause   = 5 * time.Second // between two attempts to connect
)

// A Listener listens to one database. It must be run.
type Listener struct {
	config  *pgx.ConnConfig
	cache   Cache
	heard   func() // a revocation
	logger  *slog.Logger
	problem bool // it was said that it does not hear
}

// New returns a Listener for the database of dsn, which is a URL or a list of key=value pairs. The cache is degraded from now on, until
// the Listener hears. heard is called for every revocation. The error does not tell the DSN, which may hold a password.
func New(dsn string, cache Cache, heard func(), logger *slog.Logger) (*Listener, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("read address of Kratos' database: want postgres://user:password@host:5432/database, or key=value pairs")
	}
	config.ConnectTimeout = connectTimeout
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	config.RuntimeParams["application_name"] = "gatehouse"
	cache.Degrade(true)
	return &Listener{config: config, cache: cache, heard: heard, logger: logger}, nil
}

// Run listens until ctx ends, and connects again whenever it has to.
func (l *Listener) Run(ctx context.Context) {
	pause := leastPause
	for {
		heard, err := l.listen(ctx)
		l.cache.Degrade(true)
		if ctx.Err() != nil {
			return
		}
		if heard {
			pause = leastPause
		}
		if !l.problem {
			l.problem = true
			l.logger.Error("revocations are not heard from Kratos' database: sessions are believed for fresh_for_degraded only",
				"database", l.config.Host, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// listen connects and listens until something fails. It reports whether it could hear at any time.
func (l *Listener) listen(ctx context.Context) (heard bool, err error) {
	echo := rand.Text()
	config := l.config.Copy()
	echoes := make(chan struct{}, 1)
	config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { l.notice(n, echo, echoes) }
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, fmt.Errorf("connect to Kratos' database: %w", unquoted(err))
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // there is nothing more to be had of it
	}()
	if err := l.begin(ctx, conn); err != nil {
		return false, err
	}
	for {
		if err := l.hearEcho(ctx, conn, echo, echoes); err != nil {
			return heard, err
		}
		if !heard {
			heard, l.problem = true, false
			// What was answered before this moment may have ended unheard; what is answered after it has not.
			l.cache.Flush()
			l.cache.Degrade(false)
			l.logger.Info("revocations are heard from Kratos' database", "database", l.config.Host)
		}
		if err := wait(ctx, conn, echoEvery); err != nil {
			return heard, err
		}
	}
}

// begin makes the connection one that hears.
func (l *Listener) begin(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for table, names := range triggers {
		var there int
		err := conn.QueryRow(ctx, "select count(*) from pg_trigger where tgrelid = to_regclass($1) and tgname = any($2) and tgenabled in ('O', 'A')",
			table, names).Scan(&there)
		if err != nil {
			return fmt.Errorf("look for the triggers on %s: %w", table, unquoted(err))
		}
		if there != len(names) {
			return fmt.Errorf("%d of %d triggers are on table %s: run deploy/kratos/revocations.up.sql in this database", there, len(names), table)
		}
	}
	if _, err := conn.Exec(ctx, "listen "+channel); err != nil {
		return fmt.Errorf("listen: %w", unquoted(err))
	}
	return nil
}

// hearEcho sends a notification and waits until it comes back. What comes before it is heard, too.
func (l *Listener) hearEcho(ctx context.Context, conn *pgx.Conn, echo string, echoes <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, echoTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, "select pg_notify($1, $2)", channel, "echo "+echo); err != nil {
		return fmt.Errorf("notify: %w", unquoted(err))
	}
	for {
		select {
		case <-echoes:
			return nil
		default:
		}
		if err := conn.PgConn().WaitForNotification(ctx); err != nil {
			return fmt.Errorf("hear its own notification: %w: connect to the primary itself, not to a replica or to a pooler in transaction mode",
				unquoted(err))
		}
	}
}

// wait takes in notifications for d.
func wait(ctx context.Context, conn *pgx.Conn, d time.Duration) error {
	until, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		err := conn.PgConn().WaitForNotification(until)
		switch {
		case err == nil:
		case until.Err() != nil && ctx.Err() == nil && !conn.IsClosed():
			return nil
		default:
			return fmt.Errorf("wait for notifications: %w", unquoted(err))
		}
	}
}

// notice takes one notification in. It is called by whatever reads from the connection.
func (l *Listener) notice(n *pgconn.Notification, echo string, echoes chan<- struct{}) {
	if n.Channel != channel {
		return
	}
	what, id, _ := strings.Cut(n.Payload, " ")
	switch {
	case what == "echo":
		if id == echo { // others are those of other gateways
			select {
			case echoes <- struct{}{}:
			default:
			}
		}
		return
	case what == "session" && id != "":
		l.cache.RevokeSession(id)
	case what == "identity" && id != "":
		l.cache.RevokeIdentity(id)
	default:
		l.cache.Flush()
	}
	l.heard()
}

// unquoted returns err without what a database may quote of a connection's settings.
func unquoted(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("database says: %s (%s)", e.Message, e.Code)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		if e := errors.Unwrap(err); e != nil {
			return e
		}
	}
	return err
}
