package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// listening starts a gateway that listens to a database, and returns its URL once it hears.
func listening(t *testing.T, kratos, backend, dsn string) string {
	t.Helper()
	cfg, err := config.Parse("test.yaml", fmt.Appendf(nil, `
listen: 127.0.0.1:0
admin: ""
app: %s
trusted_proxies: [127.0.0.1]
upstream: { kratos: { url: %s, revocations: { postgres: %q } }, timeout: 20s }
session_cache: { fresh_for: 1h, stale_for: 1h, negative_for: 0s }
limits: { unknown_per_client: 0 }
`, backend, kratos, dsn), nil)
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	a, err := app.New(cfg, app.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("gateway ended: %v", err)
		}
	})
	log.await(t, "revocations are heard")
	return "http://" + a.Address(app.Requests).String()
}

// A hammered session is one that clients use while it ends.
type hammered struct {
	token string
	over  atomic.Bool // somebody was refused: from then on everybody is
}

// use asks for the session by one of the faces, and judges the answer.
func (s *hammered) use(t *testing.T, url string, n int) (status int) {
	over := s.over.Load()
	path := []string{"/private", "/sessions/whoami", "/.gatehouse/auth"}[n%3]
	req, err := http.NewRequest(http.MethodGet, url+path, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Header = http.Header{
		"X-Session-Token": {s.token}, "X-Forwarded-Method": {"GET"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"a"}, "X-Forwarded-Uri": {"/"},
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if over && resp.StatusCode < 300 {
		t.Errorf("%s: got status %d at %s after the end had been noticed", s.token, resp.StatusCode, path)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		s.over.Store(true)
	}
	return resp.StatusCode
}

// TestDatabaseRace ends one session after the other in the database of Kratos, while 8 clients use it. Nobody gets through any more once
// somebody was refused, and that happens soon. How soon is told and not judged.
func TestDatabaseRace(t *testing.T) {
	const clients, most, enough = 8, 1000, 10 * time.Second
	d := startDatabase(t)
	d.execFile("../../deploy/kratos/revocations.up.sql")
	id := func(n int) string { return fmt.Sprintf("0b000000-0000-4000-8000-%012d", n) }
	d.exec(`insert into identities (id) values ('` + ada + `')`)
	d.exec(fmt.Sprintf(`insert into sessions (id, identity_id, active, expires_at)
		select ('0b000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, '%s', true, now() + interval '1 day' from generate_series(0, %d) n`, ada, most))
	service := &upstreamtest.Service{}
	backend := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(backend.Close)
	url := listening(t, service.Start(t).String(), backend.URL, d.dsn())
	conn, err := pgx.Connect(t.Context(), d.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())

	var current atomic.Pointer[hammered]
	current.Store(&hammered{token: "nobody"})
	var using sync.WaitGroup
	stop := make(chan struct{})
	defer func() {
		close(stop)
		using.Wait()
	}()
	for i := range clients {
		using.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
					current.Load().use(t, url, n)
				}
			}
		})
	}
	var took []time.Duration
	for n, began := 0, time.Now(); n < most && time.Since(began) < enough; n++ {
		s := &hammered{token: fmt.Sprintf("token-%d", n)}
		service.SignIn(upstreamtest.Login{SessionID: id(n), IdentityID: ada, Token: s.token})
		current.Store(s)
		if status := s.use(t, url, n); status != http.StatusOK {
			t.Fatalf("round %d: got status %d before the end", n, status)
		}
		service.SignOut(id(n))
		if _, err := conn.Exec(t.Context(), "update sessions set active = false where id = $1", id(n)); err != nil {
			t.Fatal(err)
		}
		committed := time.Now()
		for s.use(t, url, n) != http.StatusUnauthorized {
			if time.Since(committed) > time.Minute {
				t.Fatalf("round %d: the session still opens doors a minute after it ended", n)
			}
		}
		took = append(took, time.Since(committed))
	}
	slices.Sort(took)
	t.Logf("%d rounds, from the commit to the first refusal: p50 %v, p99 %v, at most %v",
		len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
}
