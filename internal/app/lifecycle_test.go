package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// TestReload holds that routes and identity headers change all at once or not at all, that sessions survive, and that what needs a restart
// is said by name.
func TestReload(t *testing.T) {
	w := start(t, "routes: [{ match: { path: /private }, access: session }]", "identity_headers: { X-User-Id: identity.id }")
	login := w.service.SignIn(upstreamtest.Login{Token: "known"})
	original := w.yaml
	check := func(when, path string, want int, wantLines ...string) {
		t.Helper()
		a := w.get(w.url+path, "X-Session-Token", "known")
		if a.status != want {
			t.Errorf("%s: got status %d for %s, want %d", when, a.status, path, want)
		}
		for _, line := range wantLines {
			if !strings.Contains(a.body, line+"\r\n") {
				t.Errorf("%s: application did not get %q", when, line)
			}
		}
	}
	check("before", "/private", http.StatusOK, "X-User-Id: "+login.IdentityID)
	check("before", "/other", http.StatusForbidden)

	w.configure(strings.NewReplacer("path: /private", "path: /other", "X-User-Id", "X-Who", "explain: true", "explain: false").Replace(original))
	if a := w.do(http.MethodPost, w.admin+"/-/reload", ""); a.status != http.StatusOK {
		t.Fatalf("reload answered %d: %s", a.status, a.body)
	}
	check("after", "/private", http.StatusForbidden)
	check("after", "/other", http.StatusOK, "X-Who: "+login.IdentityID)
	if n := w.service.Questions(); n != 1 {
		t.Errorf("the service was asked %d times, want once: sessions survive a reload", n)
	}
	if log := w.log.String(); !strings.Contains(log, `"restart_for":["explain"]`) {
		t.Error("the log does not say that explain needs a restart")
	}

	w.configure(original, "tls: { cert_file: none, key_file: none }")
	if a := w.do(http.MethodPost, w.admin+"/-/reload", ""); !strings.Contains(a.body, `"restart_for":["tls"]`) {
		t.Errorf("reload answered %s, want it to name tls", a.body)
	}
	w.configure(strings.NewReplacer("path: /private", "path: /other", "X-User-Id", "X-Who").Replace(original))
	w.do(http.MethodPost, w.admin+"/-/reload", "")

	w.configure(original, "rotues: []")
	if a := w.do(http.MethodPost, w.admin+"/-/reload", ""); a.status < 400 {
		t.Errorf("reload of a wrong configuration answered %d", a.status)
	}
	check("after a failed reload", "/other", http.StatusOK, "X-Who: "+login.IdentityID)
	if m := w.get(w.admin + "/metrics").body; !strings.Contains(m, "gatehouse_config_last_reload_successful 0\n") {
		t.Error("the metric does not say that the last reload failed")
	}
}

// TestShutdown holds that a request which is under way when the gateway is told to end is answered, that the gateway is not ready from then
// on, and that it ends cleanly.
func TestShutdown(t *testing.T) {
	w := start(t)
	w.service.SignIn(upstreamtest.Login{Token: "known"})
	if a := w.get(w.admin + "/readyz"); a.status != http.StatusOK {
		t.Fatalf("readyz answered %d, want 200", a.status)
	}
	release := w.service.Hold()
	answered := make(chan answer, 1)
	go func() { answered <- w.get(w.url+"/private", "X-Session-Token", "known") }()
	w.service.Await(1)
	ended := make(chan error, 1)
	go func() { ended <- w.stop() }()
	for { // until it no longer accepts
		c, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			break
		}
		_ = c.Close()
	}
	release()
	if a := <-answered; a.status != http.StatusOK {
		t.Errorf("the request under way was answered with %d, want 200", a.status)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestListenErrors holds that an address that cannot be bound ends the gateway with a message that says what to do, and that nothing of
// others is removed to make room.
func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	served, err := net.Listen("unix", filepath.Join(dir, "served"))
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()

	f := func(address, want string) {
		t.Helper()
		err := runAt(t, address)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one that says %q", address, err, want)
		}
	}
	f(taken.Addr().String(), "listen for requests (listen): address "+taken.Addr().String()+" is in use by another process: choose another")
	f("unix:"+file, "is no socket")
	f("unix:"+served.Addr().String(), "is served by another process")
	f("unix:"+filepath.Join(dir, "missing", "socket"), "no such file or directory")

	for key, text := range map[string]string{
		"admin":                          "upstream: { kratos: { url: 'http://127.0.0.1:1' } }\nadmin: TAKEN",
		"forward_auth.grpc_listen":       "upstream: { kratos: { url: 'http://127.0.0.1:1' } }\nadmin: ''\nforward_auth: { grpc_listen: TAKEN }",
		"upstream.embedded.listen":       "upstream: { embedded: { listen: TAKEN, admin_listen: '' } }\nadmin: ''",
		"upstreams.a.embedded.listen":    "upstreams: { a: { embedded: { listen: TAKEN, admin_listen: '' } } }\nadmin: ''\nroutes: [{ match: { path: /* }, access: session, upstream: a }]",
		"upstream.embedded.admin_listen": "upstream: { embedded: { listen: '127.0.0.1:0', admin_listen: TAKEN } }\nadmin: ''",
	} {
		err := run(t, "listen: 127.0.0.1:0\n"+strings.ReplaceAll(text, "TAKEN", taken.Addr().String())+"\n")
		if err == nil || !strings.Contains(err.Error(), "("+key+"): address "+taken.Addr().String()) {
			t.Errorf("%s: got error %v", key, err)
		}
	}

	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("the file was changed: %q, %v", b, err)
	}
}

// TestUnixSocket holds that a gateway serves a unix socket, takes the place of one that was left behind, and believes its peers if told to.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()

	w := start(t, "listen: unix:"+path, "trusted_proxies: [unix]")
	w.service.SignIn(upstreamtest.Login{Token: "known"})
	w.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	w.url = "http://gatehouse"
	for _, face := range faces {
		if a := face.ask(w, "X-Session-Token", "known"); a.status != http.StatusOK {
			t.Errorf("%s: got status %d, want 200", face.name, a.status)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket has mode %v (%v), want 0660", info.Mode().Perm(), err)
	}
}

// runAt runs a gateway that listens at an address, and returns what it ended with.
func runAt(t *testing.T, address string) error {
	t.Helper()
	return run(t, fmt.Sprintf("listen: [%s]\nadmin: ''\nupstream: { kratos: { url: http://127.0.0.1:1 } }\n", address))
}

// run runs a gateway of a configuration until it serves, and returns what it ended with.
func run(t *testing.T, text string) error {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a, err := app.New(cfg, app.Options{Logger: slog.New(slog.DiscardHandler), OnReady: cancel})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}
