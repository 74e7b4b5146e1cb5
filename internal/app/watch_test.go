package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// TestWatch holds that the operator is told once when the service stops answering, and once when it answers again; and of questions that were
// turned away, of which clients can cause as many as they like, once a minute.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		fake := new(upstreamtest.Fake)
		alice := upstreamtest.Token("alice")
		fake.Know(alice, upstream.Answer{Session: upstreamtest.Session("s", "i")})
		w := &watch{store: fake, url: "http://kratos", logger: slog.New(slog.NewTextHandler(&log, nil))}
		f := func(answer error, times int, want ...string) {
			t.Helper()
			log.Reset()
			fake.Fail(answer)
			for range times {
				_, _ = w.Session(context.Background(), alice)
			}
			if n := strings.Count(log.String(), "\n"); n != len(want) {
				t.Errorf("%v: %d lines, want %d:\n%s", answer, n, len(want), log.String())
			}
			for _, text := range want {
				if !strings.Contains(log.String(), text) {
					t.Errorf("%v: the log does not say %q:\n%s", answer, text, log.String())
				}
			}
		}
		bad := fmt.Errorf("status 400: %w", upstream.ErrBadQuestion)
		f(nil, 10)
		f(bad, 10, "turned away")
		f(nil, 10)
		f(errors.New("down"), 10, "gives no answer")
		f(bad, 10)
		time.Sleep(tellOfBadEvery)
		f(bad, 10, "not_logged=19")
		f(upstream.ErrNoSession, 1, "failed_questions=10")
		f(upstream.ErrNoSession, 10)
	})
}
