package app_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// What a route does to its target, and what it says of pages of other origins, from the file to the answer, also after a reload.
func TestKeysOfRoutesTakeEffect(t *testing.T) {
	w := start(t, `routes: [{ match: { path: /* }, access: public }]`)
	preflight := []string{"Origin", "https://www.example.com", "Access-Control-Request-Method", "PUT"}
	line := func(a answer) string { l, _, _ := strings.Cut(a.body, " HTTP/1.1"); return l }
	f := func(path, want string, status int) {
		t.Helper()
		if got := w.get(w.url+path, "X-Session-Token", "of-nobody"); got.status != status || status == 200 && line(got) != want {
			t.Errorf("%s: status %d, %q, want %d, %q", path, got.status, line(got), status, want)
		}
	}
	f("/api/a%2Fb", "", 400)
	f("/api/users", "GET /api/users", 200)
	if got := w.do(http.MethodOptions, w.url+"/api/x", "", preflight...); got.status != 200 {
		t.Errorf("a preflight to the application: status %d", got.status)
	}

	_, before, _ := strings.Cut(w.yaml, "routes:")
	w.configure(strings.Replace(w.yaml, before, `
  - match: { path: /api/* }
    access: public
    strip_prefix: /api
    allow_encoded_slashes: true
    forward_credential: true
    cors:
      allowed_origins: [https://www.example.com]
      allowed_methods: [PUT, DELETE]
      allowed_headers: [Content-Type, X-Csrf]
      exposed_headers: [X-Total]
      allow_credentials: true
      max_age: 10m
  - { match: { host: other.example.com, path: /pass/* }, access: session, cors: pass }
`, 1))
	if restart, err := w.app.Reload(); err != nil || len(restart) > 0 {
		t.Fatalf("reload: %v, restart for %v", err, restart)
	}
	f("/api/a%2Fb", "GET /a%2Fb", 200)
	f("/api/users", "GET /users", 200)
	f("/other", "", 403)
	if got := w.get(w.url+"/api/x", "X-Session-Token", "of-nobody").body; !strings.Contains(got, "X-Session-Token: of-nobody\r\n") ||
		!strings.Contains(got, "X-Forwarded-Prefix: /api\r\n") {
		t.Errorf("the application got %q", got)
	}
	got := w.do(http.MethodOptions, w.url+"/api/x", "", preflight...)
	for name, want := range map[string]string{
		"Allow-Origin": "https://www.example.com", "Allow-Methods": "PUT, DELETE", "Allow-Headers": "Content-Type, X-Csrf",
		"Allow-Credentials": "true", "Max-Age": "600",
	} {
		if value := got.header.Get("Access-Control-" + name); got.status != 204 || value != want {
			t.Errorf("a preflight: status %d, %s %q, want %q", got.status, name, value, want)
		}
	}
	if exposed := w.get(w.url+"/api/x", preflight...).header.Get("Access-Control-Expose-Headers"); exposed != "X-Total" {
		t.Errorf("exposed: %q", exposed)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodOptions, w.url+"/pass/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "other.example.com"
	req.Header.Set("Origin", "https://www.example.com")
	for _, want := range []int{401, 200} {
		resp, err := w.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("OPTIONS on a route with cors: pass: status %d, want %d", resp.StatusCode, want)
		}
		req.Header.Set("Access-Control-Request-Method", "GET")
	}
}
