package embedded_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
)

// TestMain lets net/http's server linger, which it does for half a second after it has answered before the end of a body.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// A world is a service, and connections to both of its APIs that work in a synctest bubble.
type world struct {
	t     *testing.T
	s     *embedded.Service
	admin *http.Client
	pub   *http.Client
}

// open starts a service that ends with the test.
func open(t *testing.T, cfg embedded.Config) *world {
	t.Helper()
	s, err := embedded.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, s: s}
	w.pub = client(t, s.Dial)
	w.admin = client(t, serve(t, s.Admin()))
	return w
}

type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func client(t *testing.T, dial dialer) *http.Client {
	transport := &http.Transport{DialContext: dial, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// serve serves h over connections in memory: one server for each, which ends with it.
func serve(t *testing.T, h http.Handler) dialer {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		l.conn <- far
		srv := &http.Server{Handler: h}
		done := make(chan struct{})
		go func() { defer close(done); _ = srv.Serve(l) }()
		t.Cleanup(func() { _ = near.Close(); _ = srv.Close(); <-done })
		return near, nil
	}
}

type oneConn struct {
	conn   chan net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { close(l.closed); return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }

// raw sends a request as it is, and returns the response with its body.
func (w *world) raw(admin bool, request string) (*http.Response, string) {
	w.t.Helper()
	dial := dialer(w.s.Dial)
	if admin {
		dial = serve(w.t, w.s.Admin())
	}
	conn, err := dial(w.t.Context(), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		w.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	return readResponse(w.t, conn, method)
}

func readResponse(t *testing.T, r io.Reader, method string) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(r), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// An answer is what the tests look at most often.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request with headers, given as "Name: value". A body makes it JSON.
func call(t *testing.T, c *http.Client, method, target, body string, headers ...string) answer {
	t.Helper()
	if strings.HasPrefix(target, "/") {
		target = "http://service.test" + target
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(got)}
}

func (w *world) public(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return call(w.t, w.pub, method, path, body, headers...)
}

func (w *world) adminCall(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return call(w.t, w.admin, method, path, body, headers...)
}

// must makes an admin call that has to succeed.
func (w *world) must(method, path, body string) answer {
	w.t.Helper()
	a := w.adminCall(method, path, body)
	if a.status/100 != 2 {
		w.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}

func (w *world) whoami(header string) int {
	w.t.Helper()
	return w.public("GET", "/sessions/whoami", "", header).status
}

func (w *world) create(n embedded.NewSession) embedded.Created {
	w.t.Helper()
	c, err := w.s.Create(n)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// user is a new session of a new identity.
func user(email string) embedded.NewSession {
	traits, _ := json.Marshal(map[string]string{"email": email})
	return embedded.NewSession{Identity: &embedded.NewIdentity{Traits: traits}}
}

func tokenHeader(c embedded.Created) string { return "X-Session-Token: " + c.SessionToken }

func cookieHeader(c embedded.Created) string {
	return "Cookie: " + c.SessionCookie.Name + "=" + c.SessionCookie.Value
}
