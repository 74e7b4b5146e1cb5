package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/guard"
)

// A watch is a Store in front of the client of the session service. It tells the operator when the service stops answering, with the cause,
// and when it answers again. What follows from an outage is reported where it happens, and while sessions are served from memory nothing
// follows.
type watch struct {
	store  upstream.Store
	url    string
	logger *slog.Logger

	mu       sync.Mutex
	since    time.Time // zero while the service answers
	failures int

	badTold time.Time // when the operator was last told of a bad question
	bad     int       // how many there were since
}

// tellOfBadEvery is how often the operator is told of questions that were taken for bad ones, of which clients can cause many.
const tellOfBadEvery = time.Minute

func (w *watch) Session(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
	a, err := w.store.Session(ctx, c)
	switch {
	case guard.Unasked(err) || errors.Is(ctx.Err(), context.Canceled): // neither says anything of the service
	case errors.Is(err, upstream.ErrBadQuestion):
		w.heardBad(err)
	default:
		w.heard(err)
	}
	return a, err
}

// heardBad notes that a question was taken for a bad one, which is no failure of the service.
func (w *watch) heardBad(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.badTold) < tellOfBadEvery {
		w.bad++
		return
	}
	w.logger.Warn("question to the session service was turned away: a session that is known goes on for session_cache.stale_for, any other gets 503",
		"url", w.url, "error", err, "not_logged", w.bad)
	w.badTold, w.bad = time.Now(), 0
}

// heard notes what became of a question.
func (w *watch) heard(err error) {
	answered := err == nil || upstream.Definite(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch down := !w.since.IsZero(); {
	case answered && down:
		w.logger.Info("session service answers again", "url", w.url, "down_for", time.Since(w.since).Round(time.Millisecond).String(),
			"failed_questions", w.failures)
		w.since, w.failures = time.Time{}, 0
	case !answered && !down:
		w.logger.Warn("session service gives no answer: known sessions go on for session_cache.stale_for, everybody else gets 503",
			"url", w.url, "error", err)
		w.since, w.failures = time.Now(), 1
	case !answered:
		w.failures++
	}
}
