package config_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

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

// example returns config.example.yaml, and the same with another service in place of Kratos, by name, and with the keys that are commented
// out in place of those before them: a line that is commented out has no space after the '#'. Every service has a paragraph of its own.
func example(t *testing.T) (kratos string, others map[string]string) {
	t.Helper()
	data, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), "\nlisten: \":8080\"\n", "\n", 1)
	text = strings.Replace(text, exampleUpstreams(t, text), "", 1)
	text = strings.Replace(text, "    #upstream: staff\n", "", 1)
	head, rest, _ := strings.Cut(text, "  kratos:\n")
	_, rest, found := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatal("config.example.yaml has no section kratos that ends in an empty line")
	}
	names := []string{"wacht", "crossid", "better_auth", "http", "embedded"}
	others = map[string]string{}
	for _, name := range names {
		paragraphs := slices.DeleteFunc(strings.Split(head+"\n"+rest, "\n\n"), func(p string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return n != name && strings.Contains(p, "\n  #"+n+":\n") })
		})
		all := regexp.MustCompile(`(?m)^( *)#([a-z-])`).ReplaceAllString(strings.Join(paragraphs, "\n\n"), "$1$2")
		if name != "embedded" { // they take other credentials, and speak in words of their own
			all = regexp.MustCompile(`(?m)^(credentials|  dialect):.*$`).ReplaceAllString(all, "")
		}
		others[name] = all
	}
	return string(data), others
}

// exampleUpstreams returns the paragraph of the example that replaces upstream.
func exampleUpstreams(t *testing.T, text string) string {
	t.Helper()
	_, rest, _ := strings.Cut(text, "\n#upstreams:\n")
	section, _, found := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatal("config.example.yaml has no section upstreams that ends in an empty line")
	}
	return "\n#upstreams:\n" + section + "\n"
}

func TestExampleShowsDefaults(t *testing.T) {
	kratos, others := example(t)
	want := config.Default()
	want.App.URL = "http://127.0.0.1:3000"
	want.Credentials = []upstream.Kind{upstream.SessionToken, upstream.SessionCookie, upstream.Cookie, upstream.Bearer}
	want.Routes = []config.Route{
		{Name: "assets", Match: config.Match{Path: "/assets/*"}, Access: config.AccessPublic},
		{
			Name:    "admin",
			Match:   config.Match{Host: "admin.example.com", Path: "/*", Methods: []string{"GET", "HEAD", "POST"}},
			Access:  config.AccessSession,
			MaxBody: config.MiB,
			Require: config.Require{AAL: upstream.AAL2},
		},
		{
			Name: "api", Match: config.Match{Path: "/api/*"}, Access: config.AccessSession, StripPrefix: "/api", CORS: &config.CORS{
				AllowedOrigins: []string{"https://www.example.com"}, AllowedMethods: []string{"PUT", "PATCH", "DELETE"},
				AllowedHeaders: []string{"Content-Type"}, ExposedHeaders: []string{"X-Total-Count"},
			},
		},
		{Match: config.Match{Path: "/*"}, Access: config.AccessSession, AllowedOrigins: []string{"https://app.example.com"}},
	}
	want.IdentityHeaders = config.IdentityHeaders{
		{Name: "X-User-Id", Path: "identity.id"}, {Name: "X-User-Email", Path: "identity.traits.email"},
	}

	want.Upstream.Kratos = parse(t, "upstream: { kratos: { url: http://127.0.0.1:4433 } }").Upstream.Kratos
	equal(t, parse(t, kratos), &want)

	want.Upstream.Kratos = nil
	want.Upstream.Embedded = parse(t, "upstream: { embedded: {} }").Upstream.Embedded
	files := config.TLS{CertFile: "/etc/gatehouse/tls.crt", KeyFile: "/etc/gatehouse/tls.key", ClientAuth: config.ClientAuthNone}
	want.TLS = &files
	want.Listen = config.Listeners{{Address: "unix:/run/gatehouse/gatehouse.sock"}, {Address: ":8443", TLS: &files}}
	want.Routes[1].Require = config.Require{
		AAL: upstream.AAL2, MaxAge: 15 * time.Minute, Methods: []string{"totp", "webauthn", "passkey"},
		Expression: `session.identity.traits.role in ["admin"]`, Use: "staff",
	}
	want.Routes[1].Audience = "https://admin.example.com"
	want.Requirements = map[string]config.Require{"staff": {
		AAL: upstream.AAL1, MaxAge: 12 * time.Hour, Methods: []string{"password", "oidc"},
		Expression: "session.identity.metadata_public.staff == true",
	}}
	want.IdentityToken = &config.IdentityToken{
		Header: "X-Gatehouse-Jwt", KeyFile: "/etc/gatehouse/token.pem", OtherKeyFiles: []string{}, Issuer: "gatehouse",
		Audience: "https://app.example.com", TTL: 5 * time.Minute, Claims: map[string]string{"email": "identity.traits.email"},
		KeysPath: "/.well-known/jwks.json",
	}
	want.Hooks = &config.Hooks{
		Path: "/hooks/revoke", Secrets: []config.Secret{"whsec_bm90LWEtc2VjcmV0LWJ1dC1sb25nLWVub3VnaA=="},
		Keys: []config.Secret{"change-me-to-32-random-bytes"},
	}
	want.Login = &config.Login{
		URL: "https://auth.example.com/self-service/login/browser", ReturnToParam: "return_to",
		AllowedHosts: []string{"app.example.com", "*.example.org", "localhost:8080"},
	}
	want.Routes[1].App = &config.App{
		URL: "https://admin.internal", CAFile: "/etc/gatehouse/internal-ca.pem", CertFile: "/etc/gatehouse/gatehouse.pem",
		KeyFile: "/etc/gatehouse/gatehouse.key", ServerName: "admin.example.com",
		MaxConns: 64, HeadTimeout: 5 * time.Minute, IdleTimeout: time.Hour,
	}
	equal(t, parse(t, others["embedded"]), &want)

	f := func(name, minimal string) {
		t.Helper()
		own := parse(t, minimal)
		want.Upstream, want.Credentials, want.Whoami = own.Upstream, own.Credentials, own.Whoami
		equal(t, parse(t, others[name]), &want)
	}
	f("wacht", "upstream: { wacht: { url: https://frontend.example.com, token_path: /session/token } }")
	f("crossid", "upstream: { crossid: { url: https://example.crossid.io } }")
	f("better_auth", "upstream: { better_auth: { url: http://127.0.0.1:3000 } }")
	f("http", "upstream: { http: { url: https://auth.example.com/oauth2/introspect, method: POST, bearer: true, form_field: token, "+
		"client_id: gatehouse, client_secret_file: /etc/gatehouse/client-secret, headers: { X-Tenant: example }, "+
		"authenticated_when: body.active == true, paths: { identity_id: sub } } }")
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

// paths returns the paths of all keys in a YAML document.
func paths(t *testing.T, text string) map[string]bool {
	t.Helper()
	var n yaml.Node
	if err := yaml.Load([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	var walk func(path string, n *yaml.Node)
	walk = func(path string, n *yaml.Node) {
		found[path] = true
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i < len(n.Content); i += 2 {
				walk(strings.TrimPrefix(path+"."+n.Content[i].Value, "."), n.Content[i+1])
			}
		case yaml.SequenceNode:
			for _, item := range n.Content {
				walk(path+"[]", item)
			}
		}
	}
	walk("", n.Content[0])
	return found
}

func TestExampleIsComplete(t *testing.T) {
	kratos, others := example(t)
	kratos = strings.NewReplacer("#revocations:", "revocations:", "#postgres:", "postgres:").Replace(kratos)
	found := paths(t, kratos)
	for _, text := range others {
		maps.Copy(found, paths(t, text))
	}
	several := regexp.MustCompile(`(?m)^( *)#([a-z])`).ReplaceAllString(exampleUpstreams(t, kratos), "$1$2")
	for _, u := range parse(t, several+"\nroutes: [{ match: { path: /* }, access: session, upstream: staff }]\n"+
		"identity_headers: { X-User-Id: identity.id, X-User-Email: identity.traits.email }").Upstreams {
		found["upstreams"], found["upstream.identity_headers"] = true, found["upstream.identity_headers"] || u.IdentityHeaders != nil
	}
	found["routes[].upstream"] = strings.Contains(kratos, "\n    #upstream: staff\n")
	for _, key := range config.Keys() {
		key = strings.Replace(key, "requirements[].", "requirements.staff.", 1)
		if !found[key] && key != "requirements.staff.use" {
			t.Errorf("config.example.yaml lacks %s", key)
		}
	}
}

// What the comments of the example call a default is the value beside them, and that is the default: see TestExampleShowsDefaults.
func TestExampleCommentsAreRight(t *testing.T) {
	kratos, others := example(t)
	stated := regexp.MustCompile(`Default(?: is)? ("[^"]*"|[^ :]*:?[^ :]+)[:.]`)
	key := regexp.MustCompile(`^[ -]*([a-z_]+): *(.*)$`)
	checked := 0
	for _, text := range append(slices.Collect(maps.Values(others)), kratos) {
		comment := ""
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if words, ok := strings.CutPrefix(strings.TrimPrefix(line, "- "), "# "); ok {
				comment += words + " "
				continue
			}
			k, d := key.FindStringSubmatch(line), stated.FindStringSubmatch(comment)
			comment = ""
			if k == nil || d == nil || k[2] == "" || k[1] == "app" {
				continue
			}
			checked++
			if strings.Trim(d[1], `"`) != strings.Trim(k[2], `"`) {
				t.Errorf("%s: the comment says %s, the value is %s", k[1], d[1], k[2])
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d comments were understood", checked)
	}
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

// A warning says where it is, in the file or the environment, as a mistake does.
func TestWarningsHaveAPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "g.yaml")
	text := "upstream: { kratos: { url: http://127.0.0.1:4433 } }\nadmin: 10.0.0.1:9090\nroutes:\n  - { match: { path: /a/ }, access: public }\n" +
		"requirements: { s: { aal: aal2 } }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, warnings, err := config.Check(file, []string{"GATEHOUSE_SESSION_CACHE_NEGATIVE_FOR=6s"})
	if err != nil || c == nil {
		t.Fatal(err)
	}
	want := []string{
		"g.yaml:2:8: admin: whoever reaches 10.0.0.1:9090 can revoke sessions: keep it behind a network policy",
		"g.yaml:4:5: routes[0]: /a/ is this path only: write /a/* for it and everything below it",
		"g.yaml:5:17: requirements.s: no route uses it",
		"environment: GATEHOUSE_SESSION_CACHE_NEGATIVE_FOR: a credential that becomes valid just after it was tried is refused for 6s",
	}
	if diff := cmp.Diff(want, strings.Split(strings.ReplaceAll(warnings.Error(), filepath.Dir(file)+"/", ""), "\n")); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if _, warnings, err := config.Check("", []string{"GATEHOUSE_UPSTREAM_KRATOS_URL=http://127.0.0.1:4433"}); err != nil || len(warnings) > 0 {
		t.Errorf("%v, %v", warnings, err)
	}
}

func TestWarnings(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, parse(t, text).Warnings()); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", text, diff)
		}
	}
	const kratos = "upstream: { kratos: { url: http://127.0.0.1:4433 } }\n"
	f(kratos)
	const never = `
routes:
  - { match: { path: /a }, access: session, require: { aal: aal2, methods: [totp] } }
  - { match: { path: /b }, access: session, require: { aal: aal1, max_age: 1m, use: s } }
requirements: { s: { methods: [totp] } }`
	f(kratos + never)
	f("upstream: { better_auth: { url: http://127.0.0.1:3000 } }"+never,
		"requirements.s.methods: no session meets it, since better auth does not say it",
		"routes[0].require.aal: no session meets it, since better auth does not say it",
		"routes[0].require.methods: no session meets it, since better auth does not say it")
	f("upstream: { http: { url: http://h, bearer: true, authenticated_when: 'true', paths: { identity_id: a } } }"+never,
		"requirements.s.methods: no session meets it, since http does not say it",
		"routes[0].require.aal: no session meets it, since http does not say it",
		"routes[0].require.methods: no session meets it, since http does not say it",
		"routes[1].require.max_age: no session meets it, since http does not say it")
	f("upstream: { http: { url: http://h, bearer: true, authenticated_when: 'true', paths: { identity_id: a, aal: b, authenticated_at: c } } }"+never,
		"requirements.s.methods: no session meets it, since http does not say it",
		"routes[0].require.methods: no session meets it, since http does not say it")
	f(kratos + "admin: localhost:9090")
	f(kratos + `admin: "[::1]:9090"`)
	f(kratos + `admin: ""`)
	f(kratos+`admin: ":9090"`, "admin: whoever reaches :9090 can revoke sessions: keep it behind a network policy")
	f(kratos+"admin: 10.0.0.1:9090", "admin: whoever reaches 10.0.0.1:9090 can revoke sessions: keep it behind a network policy")
	f(kratos+"app: http://localhost:9090\nroutes: [{ match: { path: /* }, access: session, app: 'http://127.0.0.1:9090' }]",
		"app: is the admin listener, so that whoever may pass can revoke sessions: name the application",
		"routes[0].app: is the admin listener, so that whoever may pass can revoke sessions: name the application")
	f(kratos + "admin: ''\napp: http://localhost:9090")
	f("upstream: { embedded: {} }")
	f(`upstream: { embedded: { admin_listen: "" } }`)
	f("upstream: { embedded: { admin_listen: 0.0.0.0:4434 } }",
		"upstream.embedded.admin_listen: whoever reaches 0.0.0.0:4434 can create a session for anybody: keep it on 127.0.0.1")
	f(kratos + "session_cache: { negative_for: 5s }")
	f(kratos+"session_cache: { negative_for: 6s }",
		"session_cache.negative_for: a credential that becomes valid just after it was tried is refused for 6s")
	f(kratos + "trusted_proxies: [10.0.0.0/9, 2001:db8::/33]")
	f(kratos+"trusted_proxies: [10.0.0.0/8, 2001:db8::/32]",
		"trusted_proxies[0]: everybody in 10.0.0.0/8 can choose the address, host and path that is judged: name the proxies only",
		"trusted_proxies[1]: everybody in 2001:db8::/32 can choose the address, host and path that is judged: name the proxies only")
	f(kratos + "trusted_proxies: [127.0.0.0/8]")
	f(kratos+"forward_auth: { grpc_listen: '127.0.0.1:9' }",
		"forward_auth.grpc_listen: nobody is in trusted_proxies, so that every question is refused: name Envoy there")
	f(kratos + "forward_auth: { grpc_listen: '127.0.0.1:9' }\ntrusted_proxies: [127.0.0.1]")
	f(kratos+"identity_headers: { X-All: identity, X-User-Id: identity.id }",
		"identity_headers.X-All: all of identity is often more than nginx has room for in the head of an answer: name what the application needs")
	f(kratos+"routes: [{ match: { path: /.gatehouse/auth/nginx }, access: deny }]",
		"routes[0]: /.gatehouse/auth/nginx is a path of Gatehouse itself, which no route decides about")

	for _, path := range []string{"/users/:id", "/users/{id}/posts", "/{path}/*"} {
		f(kratos+"routes: [{ match: { path: '"+path+"' }, access: session }]",
			"routes[0]: "+path+" stands for itself only, letter by letter: there are no placeholders, and * is for everything below a path")
	}
	f(kratos + "routes: [{ match: { path: '/v1/items:batch' }, access: session }, { match: { path: '/a{b}/:' }, access: session }]")

	// The page where people sign in must be reachable, if it is the gate that stands before it.
	const login = kratos + "login: { url: 'https://App.example.com:8443/login?x=1', allowed_hosts: ['app.example.com:8443'] }\n"
	covered := "login.url: routes[0] has `access: session` for /login, so that nobody could sign in: put a route with `access: public` before it, " +
		"for the page and what it loads"
	f(login, covered)
	f(login+"routes: [{ match: { path: /* }, access: session }]", covered)
	f(login + "routes: [{ match: { path: /login }, access: public }, { match: { path: /* }, access: session }]")
	f(login + "routes: [{ match: { path: /* }, access: optional }]")
	f(login+"routes: [{ match: { host: other.example.com, path: /* }, access: public }]",
		"login.url: no route matches /login on app.example.com, so that nobody could sign in: add one with `access: public`")
	f(kratos + "login: { url: https://auth.example.com, allowed_hosts: [app.example.com] }")
	f(kratos + "login: { url: 'http://127.0.0.1:4434/login', allowed_hosts: ['127.0.0.1:8080'] }") // another server of the same machine
	f(kratos+"login: { url: 'https://app.example.com:443/login', allowed_hosts: [app.example.com] }", covered)
	f(kratos+"login: { url: https://auth.example.com, allowed_hosts: ['*.example.com'] }",
		strings.Replace(covered, "/login", "/", 1))
	f(kratos + "listen: unix:/g.sock\ntrusted_proxies: [unix]")
	f(kratos + "listen: [':80', systemd:web]\ntrusted_proxies: [unix]")
	f(kratos + "routes: [{ match: { path: /a/* }, access: public }, { match: { host: example.com, path: /* }, access: public }]")
	f(kratos+"routes: [{ match: { path: /a/* }, access: session }, { match: { path: /* }, access: public }]",
		"routes[1]: everything that no earlier route matches is public")
	f(kratos+"routes: [{ match: { path: /sessions/whoami }, access: deny }, { match: { path: /admin/ }, access: deny }, { match: { path: / }, access: deny }]",
		"routes[0]: /sessions/whoami is a path of Gatehouse itself, which no route decides about",
		"routes[1]: /admin/ is this path only: write /admin/* for it and everything below it")
	const api = "upstream: { kratos: { url: http://127.0.0.1:4433, session_api: true, self_service: true } }\n"
	f(api+"routes: [{ match: { path: /self-service/* }, access: public }, { match: { path: /sessions }, access: deny }, { match: { path: /* }, access: session }]",
		"routes[0]: /self-service/* is a path of the session API, which goes to the session service and which no route decides about",
		"routes[1]: /sessions is a path of the session API, which goes to the session service and which no route decides about")
	f(api + "login: { url: https://app.example.com/self-service/login/browser, allowed_hosts: [app.example.com] }")
	f(kratos+`routes: [{ match: { path: /a }, access: public, allowed_origins: ["*"] }, { match: { path: /b }, access: optional, allowed_origins: ["*"] }]`,
		"routes[1]: any web page can open a WebSocket as the person who visits it: name the origins in allowed_origins")
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
