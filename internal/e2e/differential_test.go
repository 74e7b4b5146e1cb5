package e2e

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/hostile"
)

// Of 5,000 connections full of what has deceived servers before, whatever Gatehouse lets pass is read by nginx as what the application
// gets, and is judged by the host and path by which nginx would serve it. The same ones are read by net/http in the tests of proxy.
func TestWhatPassesIsWhatNginxReads(t *testing.T) {
	const connections = 5000
	behindGate, behindNginx := &hostile.Recorder{}, &hostile.Recorder{}
	judge := &hostile.Judge{}
	gate := startGate(t, judge, serve(t, behindGate))
	nginx := startNginx(t, fmt.Sprintf(`
		underscores_in_headers on;
		proxy_ignore_client_abort on; # clients here end their side after the last request
		location / {
			proxy_pass http://%s/; # with a path, so that the application gets nginx's own reading of it
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
		}`, serve(t, behindNginx)))

	passed, refused, doubtful := 0, 0, 0
	for seed := range uint64(connections) {
		sent := hostile.Connection(seed)
		account := func(name, addr string, seen *hostile.Recorder) hostile.Account {
			received, err := hostile.Send(addr, sent, 20*time.Second)
			if err != nil {
				t.Fatalf("seed %d: %s: %v", seed, name, err)
			}
			return hostile.Account{Server: name, Statuses: hostile.Statuses(received), Readings: seen.Take()}
		}
		ours, theirs := account("the gateway", gate, behindGate), account("nginx", nginx, behindNginx)
		if err := hostile.Check(ours, judge.Take(), theirs); err != nil {
			t.Errorf("seed %d: %v\nsent %.600q", seed, err, sent)
		}
		passed += len(ours.Readings)
		refused += len(ours.Statuses) - len(ours.Readings)
		if !hostile.Agree(ours, theirs) {
			doubtful++
		}
	}
	t.Logf("passed %d, refused %d; nginx read %d connections in another way", passed, refused, doubtful)
	if passed < connections/4 || refused < connections/4 || doubtful < connections/20 {
		t.Error("the requests do not try what they should")
	}
}

// serve runs an application and returns its address.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// startGate runs a gateway that lets everybody through to an application, and returns its address.
func startGate(t *testing.T, logs slog.Handler, application string) string {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(configuration+`
app: http://`+application+`
log: { access: true }
routes: [{ match: { path: /* }, access: public }]
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	a, err := app.New(cfg, app.Options{Logger: slog.New(logs), OnReady: func() { close(ready) }})
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
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("gateway ended: %v", err)
		}
	})
	return a.Address(app.Requests).String()
}
