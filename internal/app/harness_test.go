package app_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"),                    // lingers for half a second after a refusal
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one a process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // notices within 10 s that its server ended
	)
}

// A world is a gateway between a session service with faults and an application.
type world struct {
	t       *testing.T
	service *upstreamtest.Service
	app     *app.App
	url     string // of the gateway
	admin   string // of its admin listener
	log     *syncBuffer
	client  *http.Client
	stop    func() error // ends the gateway and returns what Run returned
	yaml    string       // what a reload reads
	mu      sync.Mutex
}

// start runs a gateway with the lines of configuration given, beside those that every test needs. The application answers every request
// with the request as it got it.
func start(t *testing.T, lines ...string) *world {
	t.Helper()
	w := &world{t: t, service: &upstreamtest.Service{}, log: &syncBuffer{}}
	echo := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { _ = r.Write(rw) }))
	t.Cleanup(echo.Close)
	base := []string{
		"listen: 127.0.0.1:0",
		"admin: 127.0.0.1:0",
		"app: " + echo.URL,
		"explain: true",
		"trusted_proxies: [127.0.0.1]",
		upstreamTimeout("10s"),
	}
	url := w.service.Start(t).String()
	w.configure(strings.ReplaceAll(strings.Join(override(base, lines), "\n"), "SERVICE", url))

	cfg, err := w.reread()
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	w.app, err = app.New(cfg, app.Options{
		Logger:  slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Reread:  w.reread,
		OnReady: func() { close(ready) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.app.Run(ctx) }()
	w.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	w.client = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		if err := w.stop(); err != nil {
			t.Errorf("gateway ended: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("gateway ended: %v", err)
	}
	w.url = "http://" + w.app.Address(app.Requests).String()
	w.admin = "http://" + w.app.Address(app.Administration).String()
	return w
}

// upstreamTimeout is the line of configuration that says how long a question may take. The machine may be busy: only who waits for it wants
// it to be short.
func upstreamTimeout(d string) string {
	return "upstream: { kratos: { url: SERVICE }, timeout: " + d + " }"
}

// override returns base and lines, without the lines of base whose key lines has too.
func override(base, lines []string) []string {
	key := func(line string) string {
		k, _, _ := strings.Cut(line, ":")
		return strings.Replace(k, "upstreams", "upstream", 1) // either of the two
	}
	base = slices.DeleteFunc(base, func(b string) bool {
		return slices.ContainsFunc(lines, func(l string) bool { return key(l) == key(b) })
	})
	return append(base, lines...)
}

// configure sets what is read when the configuration is read again.
func (w *world) configure(lines ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.yaml = strings.Join(lines, "\n") + "\n"
}

func (w *world) reread() (*config.Config, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return config.Parse("test.yaml", []byte(w.yaml), nil)
}

// An answer is what a request brought.
type answer struct {
	status int
	header http.Header
	body   string
}

// get sends a GET with the header lines given as name and value in turn. It may be called from any goroutine.
func (w *world) get(url string, header ...string) answer {
	return w.do(http.MethodGet, url, "", header...)
}

func (w *world) do(method, url, body string, header ...string) answer {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return answer{}
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Error(err)
		return answer{}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Error(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// A face is one way to ask about a credential.
type face struct {
	name string
	ask  func(w *world, header ...string) answer
}

var faces = []face{
	{"proxy", func(w *world, header ...string) answer { return w.get(w.url+"/private", header...) }},
	{"whoami", func(w *world, header ...string) answer { return w.get(w.url+"/sessions/whoami", header...) }},
	{"forward_auth", func(w *world, header ...string) answer {
		return w.get(w.url+"/.gatehouse/auth", append(header, "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https",
			"X-Forwarded-Host", "app.example.com", "X-Forwarded-Uri", "/private")...)
	}},
}

// A syncBuffer is a buffer that several goroutines may write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
