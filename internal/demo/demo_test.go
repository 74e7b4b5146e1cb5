package demo_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/demo"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
)

// A running is a demo that runs, and a client of it.
type running struct {
	t     *testing.T
	guide string
	urls  map[string]string // by name, as printed
	http  *http.Client
	stop  func() error // ends the demo and returns what Run did; may be called again
}

// output is where a demo prints: one message.
type output chan string

func (o output) Write(p []byte) (int, error) { o <- string(p); return len(p), nil }

var placeLine = regexp.MustCompile(`(?m)^  ([a-z, ]*[a-z]) {3,}(http://[0-9.]+:[0-9]+) `)

func start(t *testing.T) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, ended := make(output, 1), make(chan error, 1)
	go func() {
		ended <- demo.Run(ctx, demo.Options{
			Listen: "127.0.0.1:0", Out: out, Logger: testLogger(t), Build: metrics.BuildInfo{Version: "test"},
		})
		close(ended)
	}()
	r := &running{t: t, urls: map[string]string{}}
	select {
	case r.guide = <-out:
	case err := <-ended:
		cancel()
		t.Fatalf("the demo ended before it was ready: %v", err)
	}
	for _, m := range placeLine.FindAllStringSubmatch(r.guide, -1) {
		r.urls[m[1]] = m[2]
	}
	if len(r.urls) != 5 {
		t.Errorf("%d places were printed, want 5: %v", len(r.urls), r.urls)
	}
	transport := &http.Transport{}
	r.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r.stop = func() error { cancel(); return <-ended }
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("the demo ended with an error: %v", err)
		}
		transport.CloseIdleConnections()
	})
	return r
}

// testLogger writes to the log of the test. A demo in which all goes well logs nothing that matters.
func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// do sends a request and returns the status and the body. Head holds names and values in turn.
func (r *running) do(method, url, body string, head ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(head); i += 2 {
		req.Header[head[i]] = append(req.Header[head[i]], head[i+1]) // with the name as it is
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (r *running) signIn(user string) (token string) {
	r.t.Helper()
	status, body := r.do("POST", r.urls["gateway"]+"/sign-in", "user="+user)
	if status != 200 {
		r.t.Fatalf("sign in as %s: got %d %s", user, status, body)
	}
	return strings.TrimSpace(body)
}

// TestStory is what a user is meant to see, as a program sees it.
func TestStory(t *testing.T) {
	r := start(t)
	gateway := r.urls["gateway"]
	f := func(method, path, token string, wantStatus int, want ...string) string {
		t.Helper()
		var head []string
		if token != "" {
			head = []string{"X-Session-Token", token}
		}
		status, body := r.do(method, gateway+path, "", head...)
		if status != wantStatus {
			t.Errorf("%s %s: got %d, want %d: %s", method, path, status, wantStatus, body)
		}
		for _, part := range want {
			if !strings.Contains(body, part) {
				t.Errorf("%s %s: got %q, which lacks %q", method, path, body, part)
			}
		}
		return body
	}
	f("GET", "/", "", 200, "Hello stranger\n")
	f("GET", "/private", "", 401)
	f("GET", "/private/deep", "", 401)
	f("GET", "/admin", "", 401)
	f("GET", "/sessions/whoami", "", 401)
	f("GET", "/assets/style.css", "", 200)
	f("GET", "/nowhere", "", 403)
	f("GET", "/sign-in", "", 403)
	f("POST", "/sign-out", "", 401)

	alice := r.signIn("alice")
	f("GET", "/private", alice, 200, "Hello alice\n", "\nX-User-Id: a11ce000-0000-4000-8000-000000000001\n", "\nX-User-Name: alice\n",
		"\nX-User-Email: alice@example.com\n", "\nX-Session-Id: ", "\nX-Session-Aal: aal1\n", "\nX-Gatehouse-Cache: miss\n")
	f("GET", "/private", alice, 200, "hit\n")
	f("GET", "/", alice, 200, "Hello alice\n", "hit\n")
	f("GET", "/sessions/whoami", alice, 200, `"active":true`, `"username":"alice"`)
	f("GET", "/admin", alice, 403)

	carol := r.signIn("carol")
	f("GET", "/admin", carol, 200, "Hello carol\n", "\nX-Session-Aal: aal2\n")
	f("GET", "/admin/deep", carol, 200)

	f("POST", "/sign-out", alice, 200, "Signed out.\n")
	f("GET", "/private", alice, 401)
	f("GET", "/sessions/whoami", alice, 401)
	f("GET", "/", alice, 200, "Hello stranger\n")
	f("GET", "/private", carol, 200, "Hello carol\n")
}

func TestSpoofedIdentity(t *testing.T) {
	r := start(t)
	spoofed := []string{
		"X-User-Id", "mallory", "X-User-Name", "mallory", "x_user_name", "mallory", "X-Session-Id", "mallory", "X-Session-Aal", "mallory",
		"X-Gatehouse-Cache", "mallory",
	}
	if status, body := r.do("GET", r.urls["gateway"]+"/", "", spoofed...); status != 200 || body != "Hello stranger\n" {
		t.Errorf("without a session: got %d %s", status, body)
	}
	if status, _ := r.do("GET", r.urls["gateway"]+"/private", "", spoofed...); status != 401 {
		t.Errorf("without a session: got %d", status)
	}
	status, body := r.do("GET", r.urls["gateway"]+"/private", "", append(spoofed, "X-Session-Token", r.signIn("bob"))...)
	if status != 200 || !strings.HasPrefix(body, "Hello bob\nX-User-Id: b0b00000-") || strings.Contains(body, "mallory") {
		t.Errorf("with a session: got %d %s", status, body)
	}
}

// TestStoryInBrowser is the same with cookies and forms.
func TestStoryInBrowser(t *testing.T) {
	r := start(t)
	gateway := r.urls["gateway"]
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.http.Jar, r.http.CheckRedirect = jar, nil
	f := func(method, path, body string, wantStatus int, want string) {
		t.Helper()
		status, got := r.do(method, gateway+path, body, "Accept", "text/html,*/*;q=0.8", "Origin", gateway, "Sec-Fetch-Site", "same-origin")
		if status != wantStatus || !strings.Contains(got, want) {
			t.Errorf("%s %s: got %d, want %d with %q: %s", method, path, status, wantStatus, want, got)
		}
	}
	f("GET", "/", "", 200, "Sign in as Carol")
	f("GET", "/private", "", 200, "<code>/private</code> needs a session.") // whoever is led follows at once
	back := "&return_to=" + url.QueryEscape(gateway+"/private")
	f("POST", "/sign-in", "user=alice"+back, 200, "This is <code>/private</code>")
	f("GET", "/admin", "", 200, "<code>/admin</code> needs a session with a second factor.")
	f("POST", "/sign-in", "user=carol", 200, ">miss</strong>")
	f("GET", "/", "", 200, ">hit</strong>")
	f("GET", "/admin", "", 200, "<td>carol@example.com</td>")

	base, _ := url.Parse(gateway)
	sessions := func() []*http.Cookie {
		return slices.DeleteFunc(jar.Cookies(base), func(c *http.Cookie) bool { return c.Name != "gatehouse_demo_session" })
	}
	old := sessions()
	f("POST", "/sign-out", "", 200, "Sign in as Carol")
	if len(old) != 1 || len(sessions()) != 0 {
		t.Errorf("there were %d cookies, and %d are left", len(old), len(sessions()))
	}
	jar.SetCookies(base, old)
	f("GET", "/private", "", 200, "Sign in as Carol")

	status, body := r.do("POST", gateway+"/sign-in", "user=alice", "Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site")
	if status != 403 || strings.Contains(body, "ory_st_") {
		t.Errorf("a form of another site: got %d %s", status, body)
	}
}

// TestCommands pastes what is printed into a shell.
func TestCommands(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "grep"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("the printed commands cannot be tested without %s: install it", tool)
		}
	}
	r := start(t)
	want := [][]string{
		{"HTTP/1.1 401 ", "\r\nX-Gatehouse-Reason: no_credential\r\n"},
		{},
		{"HTTP/1.1 200 ", "Hello alice\n", "\nX-User-Name: alice\n", "\nX-Gatehouse-Cache: miss\n"},
		{"HTTP/1.1 200 ", `"username":"alice"`},
		{"HTTP/1.1 204 "},
		{"HTTP/1.1 401 ", "\r\nX-Gatehouse-Reason: no_session\r\n"},
		{`gatehouse_session_lookups_total{outcome="hit",upstream="embedded"} `},
	}
	got := r.paste(t, commands(r.guide))
	if len(got) != len(want) {
		t.Fatalf("%d commands were printed, want %d:\n%s", len(got), len(want), r.guide)
	}
	for i, output := range got {
		for _, part := range want[i] {
			if !strings.Contains(output, part) {
				t.Errorf("command %d printed %q, which lacks %q", i+1, output, part)
			}
		}
	}

	// The text says to run the third twice.
	twice := commands(r.guide)[1:3]
	got = r.paste(t, append(twice, twice[1]))
	if !strings.Contains(got[1], "-Cache: miss\n") || !strings.Contains(got[2], "hit\n") {
		t.Errorf("got %q", got[1:])
	}
}

// commands returns the lines of the guide that are meant for a shell.
func commands(guide string) (lines []string) {
	for line := range strings.Lines(guide) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "curl ") || strings.HasPrefix(line, "TOKEN=") {
			lines = append(lines, line)
		}
	}
	return lines
}

// paste runs commands in one shell and returns what each of them printed. Each must succeed.
func (r *running) paste(t *testing.T, commands []string) []string {
	t.Helper()
	const end = "--- end of command ---\n"
	var script strings.Builder
	for i, c := range commands {
		script.WriteString(c + "\n" + `[ $? = 0 ] || echo "command ` + strconv.Itoa(i+1) + ` failed" >&2` + "\nprintf '%s' '" + end + "'\n")
	}
	cmd := exec.CommandContext(t.Context(), "bash")
	cmd.Stdin = strings.NewReader(script.String())
	// Neither a proxy nor a .curlrc of whoever runs the test.
	cmd.Env = append(os.Environ(), "no_proxy=127.0.0.1", "NO_PROXY=127.0.0.1", "HOME="+t.TempDir())
	var failures strings.Builder
	cmd.Stderr = &failures
	out, err := cmd.Output()
	if err != nil || strings.Contains(failures.String(), "failed") {
		t.Fatalf("paste commands: %v: %s", err, failures.String())
	}
	parts := strings.Split(string(out), end)
	return parts[:len(parts)-1]
}

// TestEnds ends a demo to which clients are still connected.
func TestEnds(t *testing.T) {
	r := start(t)
	r.do("GET", r.urls["gateway"]+"/private", "", "X-Session-Token", r.signIn("alice"))
	for _, address := range r.urls {
		r.do("GET", address+"/", "")
	}
	if err := r.stop(); err != nil {
		t.Errorf("got %v", err)
	}
	for name, address := range r.urls {
		if c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://")); err == nil {
			_ = c.Close()
			t.Errorf("the %s still listens", name)
		}
	}
}

func TestEndsBeforeItBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := make(output, 1)
	if err := demo.Run(ctx, demo.Options{Listen: "127.0.0.1:0", Out: out, Logger: testLogger(t)}); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestAddressInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	out := make(output, 1)
	err = demo.Run(t.Context(), demo.Options{Listen: ln.Addr().String(), Out: out, Logger: testLogger(t)})
	want := ln.Addr().String() + " is in use by another process: choose another --listen"
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "bind:") || len(out) > 0 {
		t.Errorf("got %v, and %d messages", err, len(out))
	}
}

// TestSilentReader checks that nobody has to read what is printed.
func TestSilentReader(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	closed := writer(func([]byte) (int, error) { cancel(); return 0, errors.New("nobody reads") })
	if err := demo.Run(ctx, demo.Options{Listen: "127.0.0.1:0", Out: closed, Logger: testLogger(t)}); err != nil {
		t.Errorf("got %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
