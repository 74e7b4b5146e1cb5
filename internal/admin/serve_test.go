package admin_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gatehouse-proxy/gatehouse/internal/admin"
)

func TestMetrics(t *testing.T) {
	fx := newFixture(t)
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "took_seconds", Help: "Time.", Buckets: []float64{1, 2}, NativeHistogramBucketFactor: 1.1,
	})
	h.Observe(1.5)
	fx.registry.MustRegister(h)
	f := func(accept, contentType, contains string) string {
		t.Helper()
		w := fx.do("GET", "/metrics", "", "Accept: "+accept)
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), contentType) || !strings.Contains(w.Body.String(), contains) {
			t.Errorf("Accept %q: %d %v %q", accept, w.Code, w.Header(), w.Body)
		}
		return w.Body.String()
	}
	text := f("", "text/plain; version=0.0.4", `took_seconds_bucket{le="2"} 1`)
	f("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0", "# EOF")
	f("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", "application/vnd.google.protobuf",
		"took_seconds")

	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil || families["took_seconds"].GetMetric()[0].GetHistogram().GetSampleCount() != 1 {
		t.Errorf("parsed %v, %v", families, err)
	}
}

// TestMetricsPartial holds that a collector that fails hides no other, and is told to the log.
func TestMetricsPartial(t *testing.T) {
	fx := newFixture(t)
	fx.registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "good_total", Help: "Good."}), failing{})
	w := fx.do("GET", "/metrics", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "good_total 0") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(fx.log.String(), "out of order") {
		t.Errorf("log %q", fx.log)
	}
}

type failing struct{}

var failingDesc = prometheus.NewDesc("failing", "Fails.", nil, nil)

func (failing) Describe(ch chan<- *prometheus.Desc) { ch <- failingDesc }
func (failing) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(failingDesc, errors.New("out of order"))
}

// TestServe goes through a real port once.
func TestServe(t *testing.T) {
	fx := newFixture(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- fx.Serve(ln) }()
	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	f := func(host string, status int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ln.Addr().String()+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("host %q: status %d, want %d", host, resp.StatusCode, status)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	f("", 200)
	f("localhost", 200)
	f("evil.example", 403)
	transport.CloseIdleConnections()
	if err := fx.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := fx.Serve(ln); err != nil {
		t.Errorf("serve after shutdown: %v", err)
	}
}

// TestShutdownEndsLongRequests holds that what waits is told to end, and does not hold up the shutdown.
func TestShutdownEndsLongRequests(t *testing.T) {
	inMemory(t, func(t *testing.T, s *admin.Server, ln *listener, waiting chan error) {
		c := ln.dial()
		c.send("GET /readyz?verbose HTTP/1.1\r\nHost: localhost\r\n\r\n")
		synctest.Wait()
		go func() { _, _ = io.Copy(io.Discard, c.read) }()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("the check ended with %v", err)
		}
	})
}

// TestShutdownGivesUp holds that a request that does not end is cut off when the time is up.
func TestShutdownGivesUp(t *testing.T) {
	inMemory(t, func(t *testing.T, s *admin.Server, ln *listener, _ chan error) {
		c := ln.dial()
		c.send("POST /-/revoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
		if _, err := c.read.Peek(1); err == nil {
			t.Error("the connection is open")
		}
	})
}

// TestTimeouts holds what is cut off and when, and that profiles are not.
func TestTimeouts(t *testing.T) {
	inMemory(t, func(t *testing.T, s *admin.Server, ln *listener, _ chan error) {
		defer s.Shutdown(t.Context())
		// f sends all of what is sent, and looks at the last answer.
		f := func(what, sent string, answers, status int, after time.Duration) {
			t.Helper()
			c := ln.dial()
			defer c.Close()
			began, got := time.Now(), 0
			c.send(sent)
			for range answers {
				resp, err := http.ReadResponse(c.read, nil)
				if err != nil {
					got = 0
					break
				}
				got = resp.StatusCode
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			if got != status || time.Since(began) != after {
				t.Errorf("%s: status %d after %v, want %d after %v", what, got, time.Since(began), status, after)
			}
		}
		const host = " HTTP/1.1\r\nHost: localhost\r\n"
		f("a head that does not end", "GET /livez HTTP/1.1\r\nHost: loc", 1, 0, 10*time.Second)
		f("a body that does not end", "POST /-/revoke"+host+"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{", 1, 400, 10*time.Second)
		f("a check that does not end", "GET /readyz?verbose"+host+"\r\n", 1, 200, 5*time.Second)
		f("a profile", "GET /debug/pprof/heap?seconds=120"+host+"\r\n", 1, 200, 120*time.Second)
		f("a profile after something else", "GET /livez"+host+"\r\nGET /debug/pprof/heap?seconds=120"+host+"\r\n", 2, 200, 120*time.Second)
		f("a connection without a second request", "GET /livez"+host+"\r\n", 2, 0, 120*time.Second)

		c := ln.dial()
		c.send("GET /livez" + host + "\r\n")
		time.Sleep(31 * time.Second)
		if _, err := c.read.Peek(1); err == nil {
			t.Error("an answer that nobody reads is still there after 31s")
		}
	})
}

// inMemory serves a Server in a bubble, without ports. Its one check waits until its context ends, and tells why it did.
func inMemory(t *testing.T, test func(*testing.T, *admin.Server, *listener, chan error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		waiting := make(chan error, 1)
		s := admin.New(admin.Config{
			Gatherer: prometheus.NewRegistry(),
			Ready:    func() error { return nil },
			Checks: []admin.Check{{Name: "waits", Run: func(ctx context.Context) error {
				<-ctx.Done()
				waiting <- ctx.Err()
				return ctx.Err()
			}}},
			Logger: slog.New(slog.DiscardHandler),
		})
		ln := &listener{dialled: make(chan net.Conn), closed: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(ln) }()
		test(t, s, ln, waiting)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// A listener accepts connections that are pipes.
type listener struct {
	dialled chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.dialled:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (l *listener) dial() *client {
	ours, theirs := net.Pipe()
	l.dialled <- theirs
	return &client{ours, bufio.NewReader(ours)}
}

type client struct {
	net.Conn
	read *bufio.Reader
}

// send writes in the background, since a pipe holds nothing.
func (c *client) send(text string) {
	go func() { _, _ = io.WriteString(c, text) }()
}
