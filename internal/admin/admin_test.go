package admin_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/internal/admin"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// TestMain lets net/http's server linger, which it does for half a second after it has answered before the end of a body.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// A fixture is a server and what it was given.
type fixture struct {
	*admin.Server
	sessions *sessions
	log      *strings.Builder
	registry *prometheus.Registry
	ready    error
	reload   error
	restart  []string
	config   error
	blind    bool // looks at no credentials
	reloads  int
	revoked  int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{sessions: &sessions{}, log: &strings.Builder{}, registry: prometheus.NewRegistry()}
	f.Server = admin.New(admin.Config{
		Gatherer: f.registry,
		Ready:    func() error { return f.ready },
		Checks: []admin.Check{
			{Name: "session service", Run: func(context.Context) error { return errors.New("connection refused") }},
			{Name: "disk", Run: func(ctx context.Context) error {
				if _, bounded := ctx.Deadline(); !bounded {
					return errors.New("check has no deadline")
				}
				return nil
			}},
		},
		Upstreams: []admin.Upstream{{
			Sessions: f.sessions,
			Credentials: func(kind upstream.Kind, value []byte) (all []upstream.Credential) {
				for _, c := range []upstream.Credential{
					{Kind: upstream.SessionToken, Name: "X-Session-Token", Value: value},
					{Kind: upstream.Cookie, Name: "ory_kratos_session", Value: value},
					{Kind: upstream.Bearer, Value: value},
				} {
					if !f.blind && (kind == c.Kind || kind == upstream.NoCredential) {
						all = append(all, c)
					}
				}
				return all
			},
			Remembered: f.remembered,
		}},
		Revoked: func() { f.revoked++ },
		Reload:  func() ([]string, error) { f.reloads++; return f.restart, f.reload },
		ConfigYAML: func(w io.Writer) error {
			_, err := io.WriteString(w, "listen: :8080\n")
			return errors.Join(err, f.config)
		},
		Logger: slog.New(slog.NewTextHandler(f.log, nil)),
	})
	return f
}

// sessions records what is revoked.
type sessions struct {
	mu   sync.Mutex
	done []string
}

func (s *sessions) add(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, what)
}

func (s *sessions) RevokeSession(id string)  { s.add("session " + id) }
func (s *sessions) RevokeIdentity(id string) { s.add("identity " + id) }
func (s *sessions) RevokeCredential(c upstream.Credential) {
	s.add(strings.Join([]string{c.Kind.String(), c.Name, string(c.Value)}, " "))
}
func (s *sessions) Flush() { s.add("flush") }

// do sends one request without a connection. Each header is "Name: value".
func (f *fixture) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:9090"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Add(name, value)
		}
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, r)
	return w
}

func TestPaths(t *testing.T) {
	const get, post = "GET, HEAD", "POST"
	paths := map[string]string{
		"/": get, "/metrics": get, "/livez": get, "/healthz": get, "/health/alive": get, "/-/healthy": get,
		"/readyz": get, "/health/ready": get, "/-/ready": get, "/config": get, "/-/sessions": get,
		"/debug/pprof/": get, "/debug/pprof/heap": get, "/debug/pprof/cmdline": get, "/debug/pprof/symbol": get,
		"/debug/pprof/profile": get, "/debug/pprof/trace": get,
		"/-/revoke": post, "/-/flush": post, "/-/reload": post,
	}
	slow := map[string]string{"/debug/pprof/profile": "?seconds=1", "/debug/pprof/trace": "?seconds=0.01"}
	for path, allow := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
			f := newFixture(t)
			query, form := "", "session_id=a"
			if allow == get && (method == "GET" || method == "HEAD") {
				query = slow[path]
			}
			w := f.do(method, path+query, form, "Content-Type: application/x-www-form-urlencoded")
			want := http.StatusOK
			if !strings.Contains(allow, method) {
				want = http.StatusMethodNotAllowed
			}
			if w.Code != want {
				t.Errorf("%s %s: status %d, want %d: %s", method, path, w.Code, want, w.Body)
			}
			if want == http.StatusMethodNotAllowed && w.Header().Get("Allow") != allow {
				t.Errorf("%s %s: Allow %q, want %q", method, path, w.Header().Get("Allow"), allow)
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s: header %v", method, path, w.Header())
			}
			if method != "POST" && (len(f.sessions.done) > 0 || f.reloads > 0) {
				t.Errorf("%s %s changed something", method, path)
			}
		}
	}
	for _, path := range []string{
		"/nothing", "/metrics/", "/livez/x", "/-/", "/-/quit", "/debug/", "/config.yaml", "/debug/pprof/nothing",
	} {
		if w := newFixture(t).do("GET", path, ""); w.Code != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404", path, w.Code)
		}
	}
	index := newFixture(t).do("GET", "/", "").Body.String()
	for path := range paths {
		if !strings.HasPrefix(path, "/debug/pprof/") && !strings.Contains(index, path) {
			t.Errorf("index does not name %s", path)
		}
	}
}

func TestHealth(t *testing.T) {
	f := newFixture(t)
	g := func(target string, status int, body string) {
		t.Helper()
		if w := f.do("GET", target, ""); w.Code != status || w.Body.String() != body {
			t.Errorf("GET %s: %d %q, want %d %q", target, w.Code, w.Body, status, body)
		}
	}
	const checks = "[-] session service: connection refused (readiness does not depend on it)\n[+] disk: ok\n"
	g("/livez", 200, "ok\n")
	g("/readyz", 200, "ok\n")
	g("/readyz?verbose", 200, checks+"ok\n")
	g("/readyz?verbose=true", 200, checks+"ok\n")
	g("/health/ready?verbose", 200, checks+"ok\n")
	f.ready = errors.New("draining")
	g("/livez", 200, "ok\n")
	g("/-/healthy", 200, "ok\n")
	g("/readyz", 503, "not ready: draining\n")
	g("/health/ready", 503, "not ready: draining\n")
	g("/-/ready", 503, "not ready: draining\n")
	g("/readyz?verbose", 503, checks+"not ready: draining\n")
}

func TestFlush(t *testing.T) {
	f := newFixture(t)
	w := f.do("POST", "/-/flush", "")
	if w.Code != 200 || w.Body.String() != "{\"flushed\":true}\n" || strings.Join(f.sessions.done, ",") != "flush" {
		t.Errorf("status %d, body %q, done %v", w.Code, w.Body, f.sessions.done)
	}
}

func TestReload(t *testing.T) {
	f := newFixture(t)
	if w := f.do("POST", "/-/reload", ""); w.Code != 200 || w.Body.String() != "{\"reloaded\":true}\n" || f.reloads != 1 {
		t.Errorf("status %d, body %q, reloads %d", w.Code, w.Body, f.reloads)
	}
	f.restart = []string{"listen", "log"}
	if w := f.do("POST", "/-/reload", ""); w.Code != 200 || w.Body.String() != "{\"reloaded\":true,\"restart_for\":[\"listen\",\"log\"]}\n" {
		t.Errorf("status %d, body %q", w.Code, w.Body)
	}
	f.reload = errors.New("config.yaml:3:1: unknown key")
	if w := f.do("POST", "/-/reload", ""); w.Code != 500 || w.Body.String() != "config.yaml:3:1: unknown key\n" {
		t.Errorf("status %d, body %q", w.Code, w.Body)
	}
}

func TestConfig(t *testing.T) {
	f := newFixture(t)
	w := f.do("GET", "/config", "")
	if w.Code != 200 || w.Body.String() != "listen: :8080\n" || w.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("status %d, body %q, header %v", w.Code, w.Body, w.Header())
	}
	f.config = errors.New("no")
	if w := f.do("GET", "/config", ""); w.Code != 500 || w.Body.String() != "write configuration: no\n" {
		t.Errorf("status %d, body %q", w.Code, w.Body)
	}
}

// TestBrowsers holds who is kept out, on the loopback address and on others.
func TestBrowsers(t *testing.T) {
	f := func(method, target, local string, status int, headers ...string) {
		t.Helper()
		fx := newFixture(t)
		r := httptest.NewRequest(method, target, nil)
		r.Host = "localhost"
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			if name == "Host" {
				r.Host = value
			} else {
				r.Header.Add(name, value)
			}
		}
		if local != "" {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(local))))
		}
		w := httptest.NewRecorder()
		fx.Handler().ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("%s %s at %q with %q: status %d, want %d", method, target, local, headers, w.Code, status)
		}
		if w.Code == http.StatusForbidden && len(fx.sessions.done) > 0 {
			t.Errorf("%s %s at %q with %q was refused and done", method, target, local, headers)
		}
	}
	const loopback, loopback6, other = "127.0.0.1:9090", "[::1]:9090", "192.0.2.1:9090"

	for _, host := range []string{
		"localhost", "localhost:9090", "LocalHost", "127.0.0.1", "127.0.0.1:9090", "[::1]:9090", "[::1]", "10.0.0.1:80", "",
	} {
		f("GET", "/livez", loopback, 200, "Host: "+host)
		f("POST", "/-/flush", loopback6, 200, "Host: "+host)
	}
	for _, host := range []string{
		"evil.example", "evil.example:9090", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1.", "0x7f.1", "gatehouse:9090",
	} {
		f("GET", "/livez", loopback, 403, "Host: "+host)
		f("GET", "/config", loopback6, 403, "Host: "+host)
		f("GET", "/metrics", "", 403, "Host: "+host) // not known where it came by
		f("POST", "/-/flush", loopback, 403, "Host: "+host)
		f("GET", "/metrics", other, 200, "Host: "+host)
		f("POST", "/-/flush", other, 200, "Host: "+host)
	}
	for _, local := range []string{loopback, other} {
		f("POST", "/-/flush", local, 403, "Origin: http://localhost")
		f("POST", "/-/flush", local, 403, "Origin: http://localhost:9090", "Sec-Fetch-Site: same-origin")
		f("POST", "/-/flush", local, 403, "Origin: null")
		f("POST", "/-/flush", local, 403, "Origin: ")
		f("POST", "/-/reload", local, 403, "Sec-Fetch-Site: cross-site")
		f("POST", "/-/reload", local, 403, "Sec-Fetch-Site: same-site")
		f("POST", "/-/reload", local, 403, "Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site")
		f("POST", "/-/revoke", local, 403, "Sec-Fetch-Site: anything")
		f("POST", "/-/flush", local, 200, "Sec-Fetch-Site: none")
		f("POST", "/-/flush", local, 200, "Sec-Fetch-Site: same-origin")
		f("OPTIONS", "/-/flush", local, 403, "Origin: http://evil.example", "Access-Control-Request-Method: POST")
		f("GET", "/livez", local, 200, "Origin: http://evil.example", "Sec-Fetch-Site: cross-site") // a link; nothing can read the answer
		f("POST", "/-/flush?now", local, 400)
		f("POST", "/-/reload?x=y", local, 400)
	}
}
