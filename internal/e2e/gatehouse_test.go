package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

// A gatehouse is a running gateway with the embedded session service behind it.
type gatehouse struct {
	url     string // of the gateway
	service string // of the session service's admin API
}

const configuration = `
listen: 127.0.0.1:0
admin: ""
upstream: { embedded: { listen: "", admin_listen: 127.0.0.1:0 } }
`

func start(t *testing.T) *gatehouse {
	t.Helper()
	return startWith(t, configuration)
}

func startWith(t *testing.T, configuration string) *gatehouse {
	t.Helper()
	a, _ := run(t, configuration)
	return &gatehouse{
		url:     "http://" + a.Address(app.Requests).String(),
		service: "http://" + a.Address(app.ServiceAdmin).String(),
	}
}

// run runs a gateway until the test ends, or until stop is called.
func run(t testing.TB, configuration string) (a *app.App, stop func()) {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(configuration), nil)
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	a, err = app.New(cfg, app.Options{Logger: slog.New(slog.DiscardHandler), OnReady: func() { close(ready) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("gateway ended: %v", err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("gateway ended: %v", err)
		}
	})
	t.Cleanup(stop)
	return a, stop
}

// A created is what the session service says of a session that it has made.
type created struct {
	Token   string                       `json:"session_token"`
	Cookie  struct{ Name, Value string } `json:"session_cookie"`
	Session struct{ ID string }          `json:"session"`
}

func (g *gatehouse) createSession(t *testing.T, email string) created {
	t.Helper()
	return g.create(t, fmt.Sprintf(`{"identity":{"traits":{"email":%q}}}`, email))
}

func (g *gatehouse) create(t *testing.T, body string) (c created) {
	t.Helper()
	resp, err := http.Post(g.service+"/admin/sessions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&c); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("create session: status %s, %v", resp.Status, err)
	}
	return c
}

func (g *gatehouse) endSession(t *testing.T, id string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, g.service+"/admin/sessions/"+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("end session: status %s", resp.Status)
	}
}
