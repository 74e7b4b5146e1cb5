package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// Without the service's statements, applications are told the same, whoami asks the service, and after a reload everybody is asked about once.
func TestStatementsAreNotKept(t *testing.T) {
	lines := []string{
		"session_cache: { size: 100, fresh_for: 1h, stale_for: 1h }",
		"identity_headers: { X-User-Id: identity.id, X-User-Email: identity.traits.email }",
		"routes: [{ match: { path: /* }, access: session, require: { expression: 'session.identity.traits.email != \"\"' } }]",
	}
	w := start(t, append(lines, "whoami: { keep_body: false }")...)
	login := w.service.SignIn(upstreamtest.Login{Token: "t", IdentityID: "alice"})
	passes := func(header string, questions int) {
		t.Helper()
		before := w.service.Questions()
		for range 5 {
			a := w.get(w.url+"/private", "X-Session-Token", "t")
			if a.status != http.StatusOK || !strings.Contains(a.body, header+"\r\n") {
				t.Fatalf("status %d, body %q, want 200 and %s", a.status, a.body, header)
			}
		}
		if n := w.service.Questions() - before; n != questions {
			t.Errorf("the service was asked %d times, want %d", n, questions)
		}
	}
	passes("X-User-Email: "+login.Traits.(map[string]any)["email"].(string), 1)
	before := w.service.Questions()
	for range 3 {
		if a := w.get(w.url+"/sessions/whoami", "X-Session-Token", "t"); a.status != http.StatusOK || a.body != string(login.Body) {
			t.Errorf("whoami answers %d: %s", a.status, a.body)
		}
	}
	if n := w.service.Questions() - before; n != 3 {
		t.Errorf("whoami asked the service %d times, want 3", n)
	}
	if a := w.get(w.url+"/sessions/whoami", "X-Session-Token", "nobody"); a.status != http.StatusUnauthorized {
		t.Errorf("whoami answers %d to nobody", a.status)
	}

	w.configure(strings.Replace(w.yaml, "X-User-Id:", "X-User:", 1))
	if restart, err := w.app.Reload(); err != nil || len(restart) > 0 {
		t.Fatal(restart, err)
	}
	passes("X-User: alice", 1)
	passes("X-User: alice", 0)

	w.service.SignOut(login.SessionID) // which nobody has told
	passes("X-User: alice", 0)
	if a := w.get(w.url+"/sessions/whoami", "X-Session-Token", "t"); a.status != http.StatusUnauthorized {
		t.Errorf("whoami answers %d after the end of the session", a.status)
	}
}

// Identity tokens need the statements, which a reload does not bring back.
func TestReloadIdentityTokenWithoutStatements(t *testing.T) {
	w := start(t, "whoami: { keep_body: false }")
	w.configure(strings.Replace(w.yaml, "whoami: { keep_body: false }", "identity_token: { key_file: none, audience: a }", 1))
	if _, err := w.app.Reload(); err == nil || !strings.Contains(err.Error(), "whoami.keep_body") {
		t.Errorf("reload says %v", err)
	}
}
