package demo

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
)

// A stage is the example application as the gateway sees it, and the session service behind it.
type stage struct {
	t       *testing.T
	site    http.Handler
	service *embedded.Service
	admin   *httptest.Server
}

func newStage(t *testing.T) *stage {
	t.Helper()
	p := places{Gateway: "127.0.0.1:1", Admin: "127.0.0.1:2", Service: "127.0.0.1:3", ServiceAdmin: "127.0.0.1:4", App: "127.0.0.1:5"}
	cfg, err := p.config()
	if err != nil {
		t.Fatal(err)
	}
	service, err := embedded.Open(embedded.Config{Cookie: cfg.Upstream.Embedded.Cookie})
	if err != nil {
		t.Fatal(err)
	}
	admin := httptest.NewServer(service.Admin())
	cfg.Upstream.Embedded.AdminListen = admin.Listener.Addr().String()
	t.Cleanup(func() {
		admin.Close()
		if err := service.Close(); err != nil {
			t.Error(err)
		}
	})
	return &stage{t, newSite(cfg, slog.New(slog.NewTextHandler(t.Output(), nil))), service, admin}
}

// ask sends one request to the application. Head holds names and values in turn.
func (s *stage) ask(method, target, body string, head ...string) *http.Response {
	s.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for pair := range slices.Chunk(head, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	s.site.ServeHTTP(w, r)
	return w.Result()
}

// sessions returns how many active sessions there are.
func (s *stage) sessions() int {
	s.t.Helper()
	resp, err := http.Get(s.admin.URL + "/admin/sessions?active=true")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var list []json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func TestPlainPages(t *testing.T) {
	s := newStage(t)
	f := func(path string, head []string, want string) {
		t.Helper()
		resp := s.ask("GET", path, "", head...)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: got %s, %s", path, resp.Status, resp.Header.Get("Content-Type"))
		}
		if diff := cmp.Diff(want, text(t, resp)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	f("/", nil, "Hello stranger\n")
	f("/private", []string{"X-User-Name", "alice", "X-Session-Id", "s1", "X-Unknown", "x", "X-Gatehouse-Cache", "miss"},
		"Hello alice\nX-User-Name: alice\nX-Session-Id: s1\nX-Gatehouse-Cache: miss\n")
	f("/private/deep/er", []string{"X-User-Name", "<b>bob</b>", "X-User-Name", "eve"}, // as received, all of it
		"Hello <b>bob</b>\nX-User-Name: <b>bob</b>\nX-User-Name: eve\n")
	f("/admin/", []string{"X-User-Name", "carol", "Accept", "application/json"}, "Hello carol\nX-User-Name: carol\n")
}

func TestUnknownPages(t *testing.T) {
	s := newStage(t)
	f := func(method, path string, want int) {
		t.Helper()
		if got := s.ask(method, path, "").StatusCode; got != want {
			t.Errorf("%s %s: got %d, want %d", method, path, got, want)
		}
	}
	f("GET", "/nothing", 404)
	f("GET", "/assets/page.html", 404)
	f("GET", "/assets/", 404)
	f("GET", "/sign-in", 405)
	f("DELETE", "/private", 405)
	f("POST", "/", 405)
	f("HEAD", "/private", 200)
	f("GET", "/assets/style.css", 200)
	f("GET", "/assets/icon.svg", 200)
}

func TestHTMLPages(t *testing.T) {
	s := newStage(t)
	f := func(path string, head []string, want, not []string) {
		t.Helper()
		resp := s.ask("GET", path, "", append([]string{"Accept", browser}, head...)...)
		got := text(t, resp)
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: page lacks %q", path, part)
			}
		}
		for _, part := range not {
			if strings.Contains(got, part) {
				t.Errorf("%s: page has %q", path, part)
			}
		}
		if !strings.HasSuffix(got, "</html>\n") || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: got %s, ending in %q", path, resp.Header.Get("Content-Type"), got[max(len(got)-40, 0):])
		}
	}
	f("/", nil,
		[]string{`action="/sign-in"`, `value="alice"`, `value="bob"`, "Sign in as Carol <small>(second factor)</small>", "Hello <span class=\"name\">stranger"},
		[]string{"Sign out", "<table>", "Reload"})
	alice := []string{"X-User-Name", "alice", "X-Session-Aal", "aal1"}
	f("/", append(alice, "X-Gatehouse-Cache", "miss"),
		[]string{`action="/sign-out"`, "<td>alice</td>", `>miss</strong>`, `href="">Reload`, `ask">302</span>`, `<a href="/" aria-current="page">`},
		[]string{"Sign in", `no">`, "return_to"})
	f("/private", append(alice, "X-Gatehouse-Cache", "window_hit"), []string{`>hit</strong>`, `href="">Reload`}, []string{"miss"})
	f("/private", append(alice, "X-Gatehouse-Cache", "coalesced"), []string{`>coalesced</strong>`}, []string{"remembered"})
	f("/admin", []string{"X-User-Name", "carol", "X-Session-Aal", "aal2", "X-Gatehouse-Cache", "hit"}, []string{">hit</strong>"}, []string{">403<", ">401<"})
	f("/private/%22%3E%3Cscript%3E", append(alice, "X-Gatehouse-Cache", "<i>", "X-User-Email", `"><script>alert(1)</script>`),
		[]string{"&lt;i&gt;", "&#34;&gt;&lt;script&gt;alert(1)"}, []string{"<script", "<i>"})
	f("/", []string{"X-User-Name", "<script>"}, []string{"Hello &lt;script&gt;"}, []string{"<script"})

	const back = "?return_to=http%3A%2F%2Fexample.com%2Fadmin%3Fa%3D%22b" // the host of these requests
	hidden := `name="return_to" value="http://example.com/admin?a=&#34;b"`
	f("/"+back, nil, []string{hidden, "<code>/admin</code> needs a session.\n      Once you are signed in", `value="carol"`, `no">401</span>`},
		[]string{"everybody through"})
	f("/"+back, alice,
		[]string{hidden, "<code>/admin</code> needs a session with a second factor.\n      Sign in as somebody who has one", `value="carol"`, "<td>alice</td>"},
		[]string{"Once you are signed in"})
	f("/?return_to=http://evil.example/admin", nil, []string{"everybody through"}, []string{"return_to", "evil"})
}

func TestPagesStandAlone(t *testing.T) {
	s := newStage(t)
	for _, path := range []string{"/", "/assets/style.css"} {
		page := text(t, s.ask("GET", path, "", "Accept", browser))
		for _, foreign := range []string{"//", "<script", "javascript:", "@import", "url("} {
			if strings.Contains(page, foreign) {
				t.Errorf("%s has %q", path, foreign)
			}
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	s := newStage(t)
	for _, path := range []string{"/", "/private", "/assets/icon.svg", "/nothing"} {
		h := s.ask("GET", path, "", "Accept", browser).Header
		if got := h.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || !strings.Contains(got, "frame-ancestors 'none'") {
			t.Errorf("%s: Content-Security-Policy is %q", path, got)
		}
		if h.Get("X-Frame-Options") != "DENY" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: headers are %v", path, h)
		}
	}
	if got := s.ask("GET", "/", "").Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("a page that depends on who asks has Cache-Control %q", got)
	}
}

func TestSignInAsProgram(t *testing.T) {
	s := newStage(t)
	resp := s.ask("POST", "/sign-in", "user=carol", "Accept", "*/*")
	token := text(t, resp)
	if resp.StatusCode != 200 || !strings.HasPrefix(token, "ory_st_") || strings.Count(token, "\n") != 1 || len(resp.Cookies()) > 0 {
		t.Fatalf("got %s, %d bytes, cookies %v", resp.Status, len(token), resp.Cookies())
	}
	r := httptest.NewRequest("GET", "/sessions/whoami", nil)
	r.Header.Set("X-Session-Token", strings.TrimSpace(token))
	w := httptest.NewRecorder()
	s.service.Public().ServeHTTP(w, r)
	var got struct {
		AAL      string `json:"authenticator_assurance_level"`
		Identity struct{ Traits map[string]string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.AAL != "aal2" || !cmp.Equal(got.Identity.Traits, map[string]string{"username": "carol", "email": "carol@example.com"}) {
		t.Errorf("got %+v", got)
	}
}

func TestSignInAndOutAsBrowser(t *testing.T) {
	s := newStage(t)
	resp := s.ask("POST", "/sign-in", "user=bob", "Accept", browser)
	if resp.StatusCode != 303 || resp.Header.Get("Location") != "/" || len(resp.Cookies()) != 1 {
		t.Fatalf("got %s, %v", resp.Status, resp.Header)
	}
	c := resp.Cookies()[0]
	if c.Name != "gatehouse_demo_session" || len(c.Value) < 100 || c.Path != "/" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 0 {
		t.Errorf("got cookie %v", c)
	}
	if strings.Contains(text(t, resp), "ory_st_") {
		t.Error("a browser was told the token")
	}
	created, err := s.service.Create(embedded.NewSession{IdentityID: "b0b00000-0000-4000-8000-000000000002"})
	if err != nil {
		t.Fatal(err)
	}
	if n := s.sessions(); n != 2 {
		t.Fatalf("there are %d sessions", n)
	}
	resp = s.ask("POST", "/sign-out", "", "Accept", browser, "X-Session-Id", created.SessionID)
	if resp.StatusCode != 303 || resp.Header.Get("Location") != "/" || len(resp.Cookies()) != 1 {
		t.Fatalf("got %s, %v", resp.Status, resp.Header)
	}
	if c := resp.Cookies()[0]; c.Name != "gatehouse_demo_session" || c.MaxAge >= 0 || c.Value != "" || c.Path != "/" {
		t.Errorf("got cookie %v", c)
	}
	if n := s.sessions(); n != 1 {
		t.Errorf("%d sessions are left", n)
	}
}

// Somebody who was led to sign in is led back, and to no other site, whoever wrote the link.
func TestBackFromSignIn(t *testing.T) {
	s := newStage(t)
	f := func(address, want string) {
		t.Helper()
		form := url.Values{"user": {"bob"}, "return_to": {address}}.Encode()
		resp := s.ask("POST", "http://127.0.0.1:8080/sign-in", form, "Accept", browser)
		if got := resp.Header.Get("Location"); resp.StatusCode != 303 || got != want || len(resp.Cookies()) != 1 {
			t.Errorf("%q: got %s, %q, want %q", address, resp.Status, got, want)
		}
	}
	const here = "http://127.0.0.1:8080"
	f(here+"/private", here+"/private")
	f(here+"/private/a%2Fb?c=%22d&e", here+"/private/a%2Fb?c=%22d&e")
	f(here+"//evil.example/", here+"//evil.example/")
	f(here, here)
	for _, bad := range []string{
		"", "/private", "//evil.example/", "/\\evil.example/", "http://evil.example/", "http://127.0.0.1:3000/", "http://127.0.0.1/",
		"https://127.0.0.1:8080/", "http://127.0.0.1:8080@evil.example/", "http://evil.example@127.0.0.1:8080/", "http://127.0.0.1:8080\\.evil.example/",
		"http:127.0.0.1:8080/", "javascript:alert(1)//127.0.0.1:8080/", "http://127.0.0.1:8080/\r\nSet-Cookie: a=b", "http://[", "%zz",
	} {
		f(bad, "/")
	}
}

func TestBadSignInAndOut(t *testing.T) {
	s := newStage(t)
	f := func(path, body string, want int, head ...string) {
		t.Helper()
		resp := s.ask("POST", path, body, head...)
		if resp.StatusCode != want || len(resp.Cookies()) > 0 {
			t.Errorf("POST %s with %.40q: got %s, cookies %v, want %d", path, body, resp.Status, resp.Cookies(), want)
		}
	}
	f("/sign-in", "", 400)
	f("/sign-in", "user=mallory", 400)
	f("/sign-in", "user=%zz", 400)
	f("/sign-in?user=alice", "", 400)
	f("/sign-in", "pad="+strings.Repeat("x", 5<<10)+"&user=alice", 400)
	f("/sign-out", "", 401)
	f("/sign-out", "", 502, "X-Session-Id", "../identities/x")
	f("/sign-out", "", 502, "X-Session-Id", "00000000-0000-4000-8000-000000000000")
	s.admin.Close()
	f("/sign-in", "user=alice", 502)
	f("/sign-in", "user=alice", 502, "Accept", browser)
	f("/sign-out", "", 502, "X-Session-Id", "00000000-0000-4000-8000-000000000000")
}

func TestForgedForms(t *testing.T) {
	s := newStage(t)
	created, err := s.service.Create(embedded.NewSession{Identity: &embedded.NewIdentity{Traits: json.RawMessage("{}")}})
	if err != nil {
		t.Fatal(err)
	}
	f := func(allowed bool, head ...string) {
		t.Helper()
		in := s.ask("POST", "http://127.0.0.1:8080/sign-in", "user=alice", head...).StatusCode
		out := s.ask("POST", "http://127.0.0.1:8080/sign-out", "", append(head, "X-Session-Id", created.SessionID)...).StatusCode
		want := 403
		if allowed {
			want = 200
		}
		if in != want || out != want {
			t.Errorf("%v: sign-in %d, sign-out %d, want %d", head, in, out, want)
		}
	}
	f(false, "Sec-Fetch-Site", "cross-site")
	f(false, "Sec-Fetch-Site", "same-site") // another port of this machine
	f(false, "Origin", "http://evil.example")
	f(false, "Origin", "http://127.0.0.1:3000")
	f(false, "Origin", "null")
	if n := s.sessions(); n != 1 {
		t.Fatalf("there are %d sessions after forged requests", n)
	}
	f(true, "Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8080")
	f(true, "Origin", "http://127.0.0.1:8080")
	f(true)
}

// TestConfiguration checks what the rest of the demo relies on.
func TestConfiguration(t *testing.T) {
	p := places{Gateway: "[::1]:8080", Admin: "127.0.0.1:2", Service: "127.0.0.1:3", ServiceAdmin: "127.0.0.1:4", App: "127.0.0.1:5"}
	cfg, err := p.config()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Login == nil || cfg.Login.URL != "http://[::1]:8080/" || cfg.Login.ReturnToParam != wantedParam {
		t.Errorf("people are led to sign in by %+v", cfg.Login)
	}
	for _, other := range []string{":8080", "0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080", "demo.example.com:8080", "127.0.0.1:80", "127.0.0.1:443"} {
		p.Gateway = other // which browsers may name otherwise
		if cfg, err := p.config(); err != nil || cfg.Login != nil {
			t.Errorf("%s: people are led to sign in by %+v, error %v", other, cfg.Login, err)
		}
	}
	if !cfg.Explain || cfg.Listen[0].Address != "[::1]:8080" || cfg.Log.Level != config.LevelWarn || len(cfg.Warnings()) > 0 {
		t.Errorf("got %+v, warnings %q", cfg, cfg.Warnings())
	}
	names := map[string]string{}
	for _, h := range cfg.IdentityHeaders {
		names[h.Name] = h.Path
	}
	for _, name := range []string{nameHeader, sessionHeader, levelHeader} {
		if names[name] == "" {
			t.Errorf("the application relies on %s, which the gateway does not send", name)
		}
	}
	if _, err := (places{Gateway: "a\nb:1"}).config(); err == nil {
		t.Error("an address of two lines was accepted")
	}
}

func TestURLOf(t *testing.T) {
	f := func(address, want string) {
		t.Helper()
		got := urlOf(address)
		if _, err := url.Parse(got); err != nil || got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
	f("127.0.0.1:80", "http://127.0.0.1:80")
	f(":8080", "http://127.0.0.1:8080")
	f("0.0.0.0:8080", "http://127.0.0.1:8080")
	f("[::]:8080", "http://127.0.0.1:8080")
	f("[::1]:8080", "http://[::1]:8080")
	f("localhost:8080", "http://localhost:8080")
}
