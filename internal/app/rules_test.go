package app_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// Rules over the session, from the file to the answer on every face that judges by routes.
func TestRulesOverTheSession(t *testing.T) {
	w := start(t,
		`requirements: { staff: { expression: 'session.identity.traits.email.endsWith("@staff.test")', max_age: 1h } }`,
		`routes:
  - { name: admin, match: { path: /private }, access: session, require: { use: staff, expression: 'session.identity.traits.role in ["admin"]' } }
  - { match: { path: /* }, access: session }`)
	who := func(email, role string, ago time.Duration) string {
		now := time.Now().UTC()
		return w.service.SignIn(upstreamtest.Login{
			AuthenticatedAt: now.Add(-ago), ExpiresAt: now.Add(time.Hour), Traits: map[string]any{"email": email, "role": role},
		}).Token
	}
	noRole := w.service.SignIn(upstreamtest.Login{Traits: map[string]any{"email": "a@staff.test"}}).Token
	f := func(token string, status int, reason string) {
		t.Helper()
		for range 2 {
			for _, face := range []face{faces[0], faces[2]} { // whoami has no routes
				got := face.ask(w, "X-Session-Token", token)
				if got.status != status || got.status != 200 && got.header.Get("X-Gatehouse-Reason") != reason {
					t.Errorf("%s: status %d %s, want %d %s", face.name, got.status, got.header.Get("X-Gatehouse-Reason"), status, reason)
				}
			}
		}
	}
	f(who("a@staff.test", "admin", 0), 200, "")
	f(who("a@staff.test", "user", 0), 403, "requirement_failed")
	f(who("a@other.test", "admin", 0), 403, "requirement_failed")
	f(who("a@staff.test", "admin", 2*time.Hour), 403, "session_too_old")
	f(noRole, 403, "requirement_failed")
	if n := strings.Count(w.log.String(), "character 24, at `.role in"); n != 1 {
		t.Errorf("the expression is told of %d times in the log:\n%s", n, w.log.String())
	}
}

// Whoever is turned away cannot make Gatehouse ask the service at will, and whoever signs in anew passes soon.
func TestTurningAwayAsksSeldom(t *testing.T) {
	w := start(t, `routes: [{ match: { path: /* }, access: session, require: { max_age: 1h } }]`)
	var asked atomic.Int32
	w.service.Observe(func(r *http.Request) {
		if r.URL.Path == "/sessions/whoami" {
			asked.Add(1)
		}
	})
	began := time.Now()
	login := upstreamtest.Login{Token: "ory_st_old", SessionID: "s1", AuthenticatedAt: began.Add(-2 * time.Hour), ExpiresAt: began.Add(time.Hour)}
	w.service.SignIn(login)
	for range 50 {
		if got := w.get(w.url+"/x", "X-Session-Token", "ory_st_old"); got.status != 403 {
			t.Fatalf("status %d", got.status)
		}
	}
	if n, most := asked.Load(), 5+int32(time.Since(began)/time.Second); n > most {
		t.Errorf("%d questions, want at most %d", n, most)
	}
	login.AuthenticatedAt, login.Body = time.Now().UTC(), nil
	w.service.SignIn(login)
	for got := 0; got != 200; {
		if got = w.get(w.url+"/x", "X-Session-Token", "ory_st_old").status; got != 200 && got != 403 {
			t.Fatalf("status %d", got)
		}
	}
}

// newKey writes a new key to a file.
func newKey(t *testing.T, file string, mode os.FileMode) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), mode); err != nil {
		t.Fatal(err)
	}
}

// claims verifies a token with the keys that the gateway serves.
func (w *world) claims(token string) (kid string, claims map[string]any) {
	w.t.Helper()
	got := w.get(w.url + "/.well-known/jwks.json")
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(got.body), &set); err != nil || got.status != 200 {
		w.t.Fatalf("keys: status %d, %v", got.status, err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		w.t.Fatalf("token %q: %v", token, err)
	}
	if err := parsed.Claims(set, &claims); err != nil {
		w.t.Fatalf("token is not verified: %v", err)
	}
	return parsed.Headers[0].KeyID, claims
}

// tokenOf returns the token that the application, which echoes its request, was sent.
func tokenOf(t *testing.T, got answer) string {
	t.Helper()
	_, rest, found := strings.Cut(got.body, "\r\nX-Gatehouse-Jwt: ")
	if got.status != 200 || !found {
		t.Fatalf("status %d %q", got.status, got.body)
	}
	token, _, _ := strings.Cut(rest, "\r\n")
	return token
}

// Signed tokens from the key file to the application, over a rotation, a broken key and a reload.
func TestIdentityToken(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token.pem")
	newKey(t, file, 0o600)
	lines := []string{
		fmt.Sprintf(`identity_token: { key_file: %s, audience: everywhere, claims: { email: identity.traits.email } }`, file),
		`routes: [{ match: { path: /one/* }, access: session, audience: one }, { match: { path: /* }, access: session }]`,
	}
	w := start(t, lines...)
	login := w.service.SignIn(upstreamtest.Login{IdentityID: "alice", AAL: upstream.AAL2, Traits: map[string]any{"email": "a@example.test"}})
	ask := func(path string) string { return tokenOf(t, w.get(w.url+path, "X-Session-Token", login.Token)) }

	first := ask("/x")
	kid, claims := w.claims(first)
	if claims["sub"] != "alice" || claims["sid"] != login.SessionID || claims["aud"] != "everywhere" || claims["iss"] != "gatehouse" ||
		claims["acr"] != "aal2" || claims["email"] != "a@example.test" {
		t.Errorf("claims %v", claims)
	}
	if again := ask("/y"); again != first {
		t.Error("a token was signed again")
	}
	if _, claims := w.claims(ask("/one/x")); claims["aud"] != "one" {
		t.Errorf("claims %v", claims)
	}

	w.app.RotateKeys() // nothing has changed
	if ask("/x") != first {
		t.Error("a token was signed again")
	}
	if err := os.WriteFile(file, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.app.RotateKeys()
	w.app.RotateKeys()
	if ask("/x") != first || strings.Count(w.log.String(), "keys of identity tokens were not loaded") != 1 {
		t.Errorf("a broken key is in force, or not told of once:\n%s", w.log.String())
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	newKey(t, file, 0o644)
	w.app.RotateKeys()
	if now, _ := w.claims(ask("/x")); now == kid {
		t.Error("the key was not rotated")
	}
	if !strings.Contains(w.log.String(), "every user of this machine can read the key") {
		t.Error("a key that everybody can read is not told of")
	}

	// It can be turned off and on by a reload, and is not half in force if its key is not there.
	before := ask("/x")
	yaml := w.yaml
	w.configure(strings.ReplaceAll(yaml, file, filepath.Join(dir, "missing.pem")))
	if _, err := w.app.Reload(); err == nil || !strings.Contains(err.Error(), "missing.pem") {
		t.Errorf("reload: %v", err)
	}
	if ask("/x") != before {
		t.Error("what could not be reloaded is in force")
	}
	w.configure(strings.ReplaceAll(strings.ReplaceAll(yaml, lines[0], ""), ", audience: one", ""))
	if restart, err := w.app.Reload(); err != nil || len(restart) > 0 {
		t.Errorf("reload: %v %v", restart, err)
	}
	if got := w.get(w.url+"/x", "X-Session-Token", login.Token, "X-Gatehouse-Jwt", "forged"); strings.Contains(got.body, "Jwt") {
		t.Errorf("a token without tokens: %s", got.body)
	}
	w.configure(yaml)
	if restart, err := w.app.Reload(); err != nil || len(restart) > 0 {
		t.Errorf("reload: %v %v", restart, err)
	}
	w.claims(ask("/x"))
}

// A question is decided as the request would be, by what the service says now; a signed token is not shown.
func TestDecideAsksTheService(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token.pem")
	newKey(t, file, 0o600)
	var service upstreamtest.Service
	login := service.SignIn(upstreamtest.Login{IdentityID: "alice"})
	base := fmt.Sprintf("upstream: { kratos: { url: %s }, timeout: 10s }\nidentity_token: { key_file: %s, audience: a }\n", service.Start(t), file)
	f := func(more string, q app.Question, verdict, reason, signed string) {
		t.Helper()
		cfg, err := config.Parse("test.yaml", []byte(base+more), nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Method, q.URL = "GET", "https://app.example.com/x"
		r, err := app.Decide(context.Background(), cfg, metrics.BuildInfo{}, q)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, h := range r.Headers {
			if h.Name == "X-Gatehouse-Jwt" {
				got = h.Value
			}
		}
		if r.Verdict != verdict || r.Reason != reason || got != signed {
			t.Errorf("%s: %s %s %q", more, r.Verdict, r.Reason, got)
		}
	}
	token := app.Question{Kind: upstream.SessionToken, Value: []byte(login.Token)}
	cookie := app.Question{Kind: upstream.Cookie, Value: []byte(login.Cookies[0])}
	f("", token, "allowed", "session", "<signed token>")
	f("", cookie, "allowed", "session", "<signed token>")
	f("credentials: [bearer]", token, "allowed", "session", "<signed token>")
	f("", app.Question{}, "unauthenticated", "no_credential", "")
	f("", app.Question{Kind: upstream.SessionToken, Value: []byte("unknown")}, "unauthenticated", "no_session", "")
	f("", app.Question{Kind: upstream.SessionToken, Value: []byte("a b")}, "unauthenticated", "malformed_credential", "")
	f("routes: [{ match: { path: /* }, access: session, require: { aal: aal2 } }]", token, "denied", "insufficient_aal", "")
	f("routes: [{ match: { path: /y }, access: public }]", token, "denied", "no_route", "")

	cfg, err := config.Parse("test.yaml", []byte(base+"credentials: [bearer]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	cookie.URL = "https://app.example.com/"
	_, err = app.Decide(context.Background(), cfg, metrics.BuildInfo{}, cookie)
	if err == nil || !strings.Contains(err.Error(), "looks at a cookie") {
		t.Errorf("a cookie where none is looked at: %v", err)
	}
}
