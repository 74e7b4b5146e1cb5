package embedded_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/whoami"
	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
)

// TestSignIn signs in on the page, as a browser does, and finds the session at whoami, in every dialect.
func TestSignIn(t *testing.T) {
	f := func(d whoami.Dialect, path string) {
		t.Helper()
		w := open(t, embedded.Config{Dialect: d})
		admin, public := httptest.NewServer(w.s.Admin()), httptest.NewServer(w.s.Public())
		defer admin.Close()
		defer public.Close()
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Jar: jar}
		back := public.URL + path

		page := call(t, browser, "GET", admin.URL+"/admin/sign-in?return_to="+url.QueryEscape(back+`?x="><script>`), "")
		if page.status != 200 || !strings.Contains(page.body, `<form method="post">`) || strings.Contains(page.body, "<script>") {
			t.Errorf("%s: %d %s", d, page.status, page.body)
		}
		ids := map[string]bool{}
		for range 2 {
			form := url.Values{"email": {"ada@example.test"}, "name": {"Ada"}, "return_to": {back}, "aal": {"aal2"}}
			resp, err := browser.PostForm(admin.URL+"/sign-in", form)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			a := call(t, browser, "GET", back, "")
			if resp.Request.URL.String() != back || !strings.Contains(a.body, "ada@example.test") || !strings.Contains(a.body, "Ada") {
				t.Errorf("%s: led to %s, which says %s", d, resp.Request.URL, a.body)
			}
			list := call(t, browser, "GET", admin.URL+"/admin/sessions?expand=identity", "").body
			for _, part := range strings.Split(list, `"identity":{"id":"`)[1:] {
				ids[part[:36]] = true
			}
		}
		if len(ids) != 1 {
			t.Errorf("%s: who signs in twice is %d identities", d, len(ids))
		}
	}
	f(whoami.Kratos, "/sessions/whoami")
	f(whoami.Wacht, "/session")
	f(whoami.Crossid, "/api/v1/auth/sessions/whoami")
	f(whoami.BetterAuth, "/api/auth/get-session")
}

// Who signs in without coming from an application sees who that is, and can sign out.
func TestSignInWithoutAnApplication(t *testing.T) {
	f := func(d whoami.Dialect, prefix string) {
		t.Helper()
		w := open(t, embedded.Config{Dialect: d})
		admin := httptest.NewServer(w.s.Admin())
		defer admin.Close()
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Jar: jar}
		submit := func(path, form string) (at, body string) {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), "POST", admin.URL+prefix+path, strings.NewReader(form))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
			resp, err := browser.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			page, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%s: %d, %v: %s", path, resp.StatusCode, err, page)
			}
			return strings.TrimPrefix(resp.Request.URL.String(), admin.URL+prefix), string(page)
		}
		at, page := submit("/sign-in", url.Values{"email": {"<i>@example.test"}, "aal": {"aal2"}}.Encode())
		if at != "/sign-in" || !strings.Contains(page, "Signed in as &lt;i&gt;@example.test") || !strings.Contains(page, "of aal2") ||
			!strings.Contains(page, "every port of 127.0.0.1") {
			t.Errorf("%s: at %s: %s", d, at, page)
		}
		if page := call(t, browser, "GET", admin.URL+"/sign-in?return_to=http://127.0.0.1/", "").body; strings.Contains(page, "Signed in") {
			t.Errorf("%s: who is led here sees %s", d, page)
		}
		if at, page := submit("/sign-out", ""); at != "/sign-in" || strings.Contains(page, "Signed in") {
			t.Errorf("%s: signed out, and at %s: %s", d, at, page)
		}
		if list := call(t, browser, "GET", admin.URL+"/admin/sessions?active=true", "").body; list != "[]\n" {
			t.Errorf("%s: sessions that are left: %s", d, list)
		}
		submit("/sign-out", "") // once more
	}
	f(whoami.Kratos, "")
	f(whoami.Kratos, "/admin")
	f(whoami.Wacht, "")
	f(whoami.Crossid, "")
	f(whoami.BetterAuth, "")
}

// TestSignInRefuses tests that nobody is led astray, and that no other site can sign a developer in.
func TestSignInRefuses(t *testing.T) {
	w := open(t, embedded.Config{})
	admin := httptest.NewServer(w.s.Admin())
	defer admin.Close()
	f := func(form string, header string, want int, part string) {
		t.Helper()
		name, value, _ := strings.Cut(header, ": ")
		r, err := http.NewRequestWithContext(t.Context(), "POST", admin.URL+"/sign-in", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(name, value)
		answer := httptest.NewRecorder()
		r.RequestURI = "/sign-in"
		w.s.Admin().ServeHTTP(answer, r)
		if answer.Code != want || !strings.Contains(answer.Body.String()+answer.Header().Get("Location"), part) ||
			want >= 400 && answer.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s with %s: %d %v %s", form, header, answer.Code, answer.Header(), answer.Body)
		}
	}
	const same = "Sec-Fetch-Site: same-origin"
	f("email=a@example.test", same, 201, `"session_token":"ory_st_`)
	f("email=a@example.test&return_to=http://127.0.0.1:3000/a?b", same, 303, "http://127.0.0.1:3000/a?b")
	f("email=a@example.test", "Sec-Fetch-Site: cross-site", 403, "")
	f("email=a@example.test", "Origin: http://evil.example", 403, "")
	f("email=a@example.test&aal=aal3", same, 400, "aal: want aal1 or aal2")
	for _, to := range []string{
		"http://evil.example/", "//evil.example/", "https://127.0.0.1@evil.example/", "javascript:alert(1)", "/private", "http:127.0.0.1",
		"http://localhost:3000/", "http://127.0.0.1.evil.example/", `http://127.0.0.1\@evil.example/`,
	} {
		f("email=a@example.test&return_to="+url.QueryEscape(to), same, 400, "return_to: want a URL of 127.0.0.1")
	}
}
