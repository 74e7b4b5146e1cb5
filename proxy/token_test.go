package proxy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// plainSigner signs in plain words, and fails for the audience nobody.
type plainSigner struct{}

func (plainSigner) Sign(session *upstream.Session, audience string) (policy.Token, error) {
	if audience == "nobody" {
		return policy.Token{}, errors.New("no key")
	}
	return policy.Token{Value: []byte(session.IdentityID + " for " + audience), RenewAt: time.Now().Add(time.Hour)}, nil
}

const keys = `{"keys":[{"kty":"OKP"}]}`

// signedPolicy has a route for every access, whose tokens are for app, and one that nothing can be signed for.
func signedPolicy(t testing.TB, app *proxy.App) *policy.Policy {
	t.Helper()
	rules := append([]policy.Rule{{Name: "unsigned", Path: "/unsigned", Access: policy.OptionalAccess, Audience: "nobody"}}, someRules...)
	for i := range rules[1:] {
		rules[i+1].Audience = "app"
	}
	p, err := policy.Compile(leadingTo(app, rules), someHeaders)
	if err != nil {
		t.Fatal(err)
	}
	return p.WithTokens(policy.Tokens{Header: "X-Id-Token", Signer: plainSigner{}, KeysPath: "/.well-known/jwks.json", Keys: []byte(keys)})
}

// explaining makes a gateway say why.
func explaining(s *setup) { s.Explain = true }

// The token reaches the application, and nothing that a client sends in its place, in any spelling, on any route.
func TestTokenReachesTheApplication(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn)
	g.SetPolicy(signedPolicy(t, g.pool))
	f := func(path, want string, lines ...string) {
		t.Helper()
		for _, name := range []string{"X-Id-Token", "x-id-token", "X_Id_Token", "X.Id-Token", "X-ID_TOKEN"} {
			head := headOf(t, g, app, request("GET", path, "", append(slices.Clone(lines), name+": forged")...))
			if strings.Contains(head, "forged") || strings.Contains(head, "\r\nX-Id-Token: "+want+"\r\n") != (want != "") ||
				strings.Count(strings.ToLower(head), "token: ") > 1 {
				t.Errorf("%s: %q", path, head)
			}
		}
	}
	f("/x", "identity-alice for app", alice)
	f("/optional/x", "identity-alice for app", alice)
	f("/optional/x", "")
	f("/public/x", "", alice)
	f("/unsigned", "")
}

// Without a token nobody passes whose identity should have been signed.
func TestWhatCannotBeSignedDoesNotPass(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, trusting, explaining)
	g.SetPolicy(signedPolicy(t, g.pool))
	for _, res := range []response{g.get("/unsigned", alice), g.get(authPath, about("GET", "/unsigned", alice)...)} {
		if res.StatusCode != 503 || res.Header.Get("X-Gatehouse-Reason") != "identity_unusable" || res.Header.Get("X-Id-Token") != "" {
			t.Errorf("status %d %v", res.StatusCode, res.Header)
		}
	}
	if n := len(app.heads()); n != 0 {
		t.Errorf("%d requests reached the application", n)
	}
}

// A front proxy always gets the header, so that it overwrites what the client sent.
func TestTokenReachesTheFrontProxy(t *testing.T) {
	g := newGateway(t, nil, trusting)
	g.SetPolicy(signedPolicy(t, g.pool))
	f := func(path, want string, lines ...string) {
		t.Helper()
		res := g.get(authPath, about("GET", path, append(lines, "X-Id-Token: forged")...)...)
		if res.StatusCode != 200 || !slices.Equal(res.Header["X-Id-Token"], []string{want}) {
			t.Errorf("%s: status %d, %q, want %q", path, res.StatusCode, res.Header["X-Id-Token"], want)
		}
	}
	f("/x", "identity-alice for app", alice)
	f("/optional/x", "")
	f("/public/x", "", alice)
}

// The keys are for everybody, and no spelling of their path reaches the application. Without tokens it is a path like any other.
func TestKeysAreServed(t *testing.T) {
	app := answering(t, ok("of the application"))
	g := newGateway(t, app, oneConn)
	res := g.get("/.well-known/jwks.json", alice)
	if res.StatusCode != 200 || res.body != "of the application" {
		t.Errorf("without tokens: status %d %q", res.StatusCode, res.body)
	}
	g.SetPolicy(signedPolicy(t, g.pool))
	before := len(app.heads())
	for _, target := range []string{"/.well-known/jwks.json", "/.well-known/jwks.json?x=y", "/.well-known/%6awks.json", "/.well-known/jwks.json;a=b"} {
		res := g.ask(request("GET", target, ""))
		got := []string{res.body, res.Header.Get("Content-Type"), res.Header.Get("Cache-Control")}
		if diff := cmp.Diff([]string{keys, "application/jwk-set+json", "public, max-age=300"}, got); res.StatusCode != 200 || diff != "" {
			t.Errorf("%s: status %d\n%s", target, res.StatusCode, diff)
		}
	}
	if res := g.ask("HEAD /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\n\r\n"); res.StatusCode != 200 || res.body != "" {
		t.Errorf("HEAD: status %d %q", res.StatusCode, res.body)
	}
	if res := g.ask(request("POST", "/.well-known/jwks.json", "x")); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: status %d %v", res.StatusCode, res.Header)
	}
	if n := len(app.heads()); n != before {
		t.Errorf("%d requests reached the application", n-before)
	}
	if last := g.observer.last(); last.Face.String() != "keys" {
		t.Errorf("observed %v", last)
	}
}

// An expression that cannot be evaluated is told of once, by route and place, and not at every request.
func TestEvaluationErrorsAreLoggedOnce(t *testing.T) {
	g := newGateway(t, nil, explaining)
	require := policy.Requirement{Expressions: []policy.Expression{condition{}}}
	p, err := policy.Compile([]policy.Rule{{Name: "admins", Path: "/*", Access: policy.SessionAccess, Require: require}}, someHeaders)
	if err != nil {
		t.Fatal(err)
	}
	g.SetPolicy(p)
	for range 3 {
		if res := g.get("/x", alice); res.StatusCode != 403 || res.Header.Get("X-Gatehouse-Reason") != "requirement_failed" {
			t.Errorf("status %d %v", res.StatusCode, res.Header)
		}
	}
	const want = `route=admins error="evaluate session.admin: no such key"`
	if log := g.log.String(); strings.Count(log, want) != 1 || strings.Count(log, "level=WARN") != 1 {
		t.Errorf("log:\n%s", log)
	}
}
