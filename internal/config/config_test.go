package config_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// parse loads a configuration that must be accepted.
func parse(t *testing.T, text string, environ ...string) *config.Config {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte(text), environ)
	if err != nil {
		t.Fatalf("refused:\n%v\nconfiguration:\n%s", err, text)
	}
	return c
}

// equal compares configurations.
func equal(t *testing.T, got, want *config.Config) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func printed(t *testing.T, c *config.Config) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDefaultsOfServices tests the defaults that depend on the service.
func TestDefaultsOfServices(t *testing.T) {
	f := func(service, identity string, dialect config.Dialect, credentials ...upstream.Kind) {
		t.Helper()
		c := parse(t, "upstream: { "+service+" }")
		if got := c.IdentityHeaders; len(got) != 1 || got[0].Name != "X-User-Id" || got[0].Path != identity {
			t.Errorf("%s: identity headers are %v", service, got)
		}
		if !slices.Equal(c.Credentials, credentials) || c.Whoami.Dialect != dialect {
			t.Errorf("%s: credentials are %v, whoami speaks %s", service, c.Credentials, c.Whoami.Dialect)
		}
		explicit := parse(t, "upstream: { "+service+" }\ncredentials: ["+credentials[0].String()+"]\n"+
			"identity_headers: { X-A: b }\nwhoami: { dialect: wacht }")
		if len(explicit.Credentials) != 1 || explicit.IdentityHeaders[0].Path != "b" || explicit.Whoami.Dialect != config.DialectWacht {
			t.Errorf("%s: what was set was not kept", service)
		}
	}
	const token, header, cookie, query, bearer = upstream.SessionToken, upstream.SessionCookie, upstream.Cookie, upstream.Query, upstream.Bearer
	f("kratos: { url: http://k }", "identity.id", config.DialectKratos, token, header, cookie, bearer)
	f("kratos: { url: http://k, cookie: ory_session_* }", "identity.id", config.DialectKratos, token, cookie, bearer)
	f("embedded: {}", "identity.id", config.DialectKratos, token, header, cookie, bearer)
	f("embedded: { dialect: wacht }", "data.active_signin.user_id", config.DialectWacht, token, cookie, query)
	f("embedded: { dialect: crossid }", "identityId", config.DialectCrossid, cookie, bearer)
	f("embedded: { dialect: better_auth }", "user.id", config.DialectBetterAuth, cookie, bearer)
	f("wacht: { url: http://w }", "data.active_signin.user_id", config.DialectWacht, cookie)
	f("wacht: { url: http://w, development: true }", "data.active_signin.user_id", config.DialectWacht, token, cookie, query)
	f("crossid: { url: http://c }", "identityId", config.DialectCrossid, bearer)
	f("crossid: { url: http://c, cookie: sid }", "identityId", config.DialectCrossid, cookie, bearer)
	f("better_auth: { url: http://b }", "user.id", config.DialectBetterAuth, cookie, bearer)
	f("http: { url: http://h, token_header: X-T, authenticated_when: 'true', paths: { identity_id: a.b } }", "a.b", config.DialectKratos, token)
}

// TestCookieOfEmbedded tests that the embedded service calls its cookie what the service that it stands in for does.
func TestCookieOfEmbedded(t *testing.T) {
	f := func(embedded, want string) {
		t.Helper()
		u := parse(t, "upstream: { embedded: { "+embedded+" } }").Upstream
		if got := u.Service(); got.Cookie != want || u.Embedded.Cookie != want {
			t.Errorf("%s: cookie %s of %+v, want %s", embedded, u.Embedded.Cookie, got, want)
		}
	}
	f("", "ory_kratos_session")
	f("dialect: kratos", "ory_kratos_session")
	f("dialect: wacht", "__session")
	f("dialect: crossid", "crossid_session")
	f("dialect: better_auth", "better-auth.session_token")
	f("dialect: better_auth, cookie: sid", "sid")
}

// The fields of Config are the reference of its keys: each must say what it does and what its default is.
func TestEveryKeyIsDocumented(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	inspect := func(n ast.Node) bool {
		f, ok := n.(*ast.Field)
		if !ok || f.Tag == nil {
			return true
		}
		fields++
		doc := f.Doc.Text()
		if !strings.HasPrefix(doc, f.Names[0].Name+" ") {
			t.Errorf("%s: comment does not begin with the name of the field: %q", f.Names[0].Name, doc)
		}
		if !strings.Contains(doc, "Default") && !strings.Contains(doc, "Required") {
			t.Errorf("%s: comment says neither what the default is nor that the key is required", f.Names[0].Name)
		}
		return true
	}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "_test.go") {
			ast.Inspect(file, inspect)
		}
	}
	again := func(key string) bool { // those of tls, of app, and of require
		return strings.HasPrefix(key, "listen[].tls.") || strings.HasPrefix(key, "routes[].app.") || strings.HasPrefix(key, "requirements[].")
	}
	if keys := slices.DeleteFunc(config.Keys(), again); fields != len(keys) {
		t.Errorf("there are %d fields with a key, and there are %d keys", fields, len(keys))
	}
}

// The block that was agreed on as the interface.
const agreed = `
listen: ":8080"                  # or unix:/run/gatehouse/gatehouse.sock
admin: 127.0.0.1:9090
upstream:                        # the session service: exactly one kind
  kratos: { url: http://127.0.0.1:4433, cookie: ory_kratos_session }      # or  embedded: { path: sessions.db }
  timeout: 1s                    # for one question
session_cache:
  size: 100000                   # sessions
  fresh_for: 30s                 # believed without asking (less if the service or the session's expiry says less)
  stale_for: 0s                  # after that: served while asking again, and while the service is down
  negative_for: 1s
app: http://127.0.0.1:3000
routes:                          # first match wins; what matches nothing is refused
  - { match: { path: /assets/* }, access: public }
  - { match: { host: admin.example.com, path: /*, methods: [GET, POST] }, access: session, require: { aal: aal2 } }
  - { match: { path: /* }, access: session }          # public | optional | session | deny
identity_headers:                # name: path into the session (GJSON syntax)
  X-User-Id: identity.id
  X-User-Email: identity.traits.email
forward_auth: { path: /.gatehouse/auth }
whoami: { path: /sessions/whoami }
trusted_proxies: []              # whose X-Forwarded-* is believed
`

func TestAgreedBlockLoads(t *testing.T) {
	want := config.Default()
	want.Upstream.Kratos = &config.Kratos{URL: "http://127.0.0.1:4433", Cookie: "ory_kratos_session"}
	want.App.URL = "http://127.0.0.1:3000"
	want.Credentials = []upstream.Kind{upstream.SessionToken, upstream.SessionCookie, upstream.Cookie, upstream.Bearer}
	want.Routes = []config.Route{
		{Match: config.Match{Path: "/assets/*"}, Access: config.AccessPublic},
		{
			Match:   config.Match{Host: "admin.example.com", Path: "/*", Methods: []string{"GET", "POST"}},
			Access:  config.AccessSession,
			Require: config.Require{AAL: upstream.AAL2},
		},
		{Match: config.Match{Path: "/*"}, Access: config.AccessSession},
	}
	want.IdentityHeaders = config.IdentityHeaders{
		{Name: "X-User-Id", Path: "identity.id"}, {Name: "X-User-Email", Path: "identity.traits.email"},
	}
	equal(t, parse(t, agreed), &want)
}

func TestDefaultsAreNotShared(t *testing.T) {
	a, b := config.Default(), config.Default()
	a.Routes[0].Access = config.AccessPublic
	a.Credentials[0] = upstream.NoCredential
	a.IdentityHeaders[0].Path = ""
	if reflect.DeepEqual(a, b) || b.Routes[0].Access != config.AccessSession || b.Credentials[0] != upstream.SessionToken {
		t.Error("one configuration changed another")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte("upstream: { embedded: {} }\nadmin: nowhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(path, want string, environ ...string) {
		t.Helper()
		got := ""
		if _, err := config.Load(path, environ); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("load %s: got %q, want %q", path, got, want)
		}
	}
	f(file, file+":2:8: admin: want host:port with a number as port, such as 127.0.0.1:8080, got `nowhere`")
	f(file, "", "GATEHOUSE_ADMIN=127.0.0.1:0")
	f(file+"x", file+"x: read configuration: no such file or directory")
	f(dir, dir+": read configuration: is a directory")
	f("", "", "GATEHOUSE_UPSTREAM_KRATOS_URL=http://127.0.0.1:4433")
	f("", "environment: GATEHOUSE_UPSTREAM: there is no session service to ask: add one, such as "+
		"`upstream: { kratos: { url: http://127.0.0.1:4433 } }`")
}
