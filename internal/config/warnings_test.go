package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

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
		"g.yaml:1:1: " + noApp,
		"g.yaml:2:8: admin: whoever reaches 10.0.0.1:9090 can revoke sessions: keep it behind a network policy",
		"g.yaml:4:5: routes[0]: /a/ is this path only: write /a/* for it and everything below it",
		"g.yaml:5:17: requirements.s: no route uses it",
		"environment: GATEHOUSE_SESSION_CACHE_NEGATIVE_FOR: a credential that becomes valid just after it was tried is refused for 6s",
	}
	if diff := cmp.Diff(want, strings.Split(strings.ReplaceAll(warnings.Error(), filepath.Dir(file)+"/", ""), "\n")); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	environ := []string{"GATEHOUSE_UPSTREAM_KRATOS_URL=http://127.0.0.1:4433"}
	if _, warnings, err := config.Check("", environ); err != nil || warnings.Error() != "environment: GATEHOUSE_APP: "+strings.TrimPrefix(noApp, "app: ") {
		t.Errorf("%v, %v", warnings, err)
	}
	if _, warnings, err := config.Check("", append(environ, "GATEHOUSE_APP=http://127.0.0.1:3000")); err != nil || len(warnings) > 0 {
		t.Errorf("%v, %v", warnings, err)
	}
}

const noApp = "app: is missing, so that requests which may pass get 404: add one, such as `app: http://127.0.0.1:3000`, or, " +
	"if a front proxy asks for decisions, add it to trusted_proxies"

func TestWarnsOfNoApp(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, parse(t, "upstream: { embedded: {} }\n"+text).Warnings()); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", text, diff)
		}
	}
	const own = "{ match: { path: /a }, access: public, app: http://a }"
	f("", noApp)
	f("routes: ["+own+", { match: { path: /* }, access: optional }]", "routes[1]."+noApp)
	f("routes: [" + own + ", { match: { path: /* }, access: deny }]")
	f("app: http://a")
	f("routes: [{ match: { path: /* }, access: deny }]")
	f("trusted_proxies: [192.0.2.1]")
	f("trusted_proxies: []", noApp)
}

func TestWarnings(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		var environ []string
		if !strings.Contains(text, "app: ") {
			environ = []string{"GATEHOUSE_APP=http://127.0.0.1:3000"}
		}
		if diff := cmp.Diff(want, parse(t, text, environ...).Warnings()); diff != "" {
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
		"requirements.s.methods: no session meets it, since better auth does not say it: remove it",
		"routes[0].require.aal: no session meets it, since better auth does not say it: remove it",
		"routes[0].require.methods: no session meets it, since better auth does not say it: remove it")
	f("upstream: { http: { url: http://h, bearer: true, authenticated_when: 'true', paths: { identity_id: a } } }"+never,
		"requirements.s.methods: no session meets it, since http does not say it: remove it",
		"routes[0].require.aal: no session meets it, since http does not say it: name where the answer has it in upstream.http.paths.aal, or remove it",
		"routes[0].require.methods: no session meets it, since http does not say it: remove it",
		"routes[1].require.max_age: no session meets it, since http does not say it: "+
			"name where the answer has it in upstream.http.paths.authenticated_at, or remove it")
	f("upstream: { http: { url: http://h, bearer: true, authenticated_when: 'true', paths: { identity_id: a, aal: b, authenticated_at: c } } }"+never,
		"requirements.s.methods: no session meets it, since http does not say it: remove it",
		"routes[0].require.methods: no session meets it, since http does not say it: remove it")
	for _, service := range []string{"kratos: { url: http://127.0.0.1:4433 }", "embedded: {}"} {
		kind, _, _ := strings.Cut(service, ":")
		f("upstream: { "+service+" }\nroutes: [{ match: { path: /* }, access: session, require: { aal: aal3 } }]",
			"routes[0].require.aal: no session meets it, since "+kind+" knows aal1 and aal2 only: want aal2")
	}
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
	nowhere := func(at, unknown, meant string) string {
		if meant != "" {
			meant = "; did you mean `" + meant + "`?"
		}
		return at + ": Kratos is not known to say " + unknown + ", and nothing is sent without a value" + meant
	}
	path := func(path, unknown, meant string) {
		t.Helper()
		var want []string
		if unknown != "" {
			want = []string{nowhere("identity_headers.X", unknown, meant)}
		}
		for _, service := range []string{kratos, "upstream: { embedded: {} }\n"} {
			f(service+"identity_headers: { X: '"+path+"' }", want...)
		}
	}
	path("identiy.id", "identiy", "identity.id")
	path("identity.idd", "identity.idd", "identity.id")
	path("Identity.traits.email", "Identity", "identity.traits.email")
	path("identity.trait.name.first", "identity.trait", "identity.traits.name.first")
	path("identity.metadata_admin.role", "identity.metadata_admin", "")
	path("traits.email", "traits", "identity.traits.email")
	path("user.id", "user", "")
	path("expiresat", "expiresat", "expires_at")
	path("identiti", "identiti", "identity")
	path("identity|idd", "identity.idd", "identity.id")
	for _, known := range []string{
		"id", "active", "identity.id", "identity.traits.emial", "identity.verifiable_addresses.0.value", "identity.traits|@this", "tokenized",
		`identity.verifiable_addresses.#(verified==true).value`, "identity.t*.email", `identity.a\.b`, "devices.#.location", "[id,active]", "ident?ty.id",
	} {
		path(known, "", "")
	}
	f("upstream: { embedded: { dialect: better_auth } }\nidentity_headers: { X: identiy.id }")
	f("upstream: { wacht: { url: http://127.0.0.1:3000 } }\nidentity_headers: { X: identiy.id }")
	const two = "upstreams: { a: { kratos: { url: http://127.0.0.1:4433 }, identity_headers: { Y: identity.idd } }, b: { better_auth: { url: http://127.0.0.1:3000 } } }\n" +
		"routes: [{ match: { path: /a }, access: session, upstream: a }, { match: { path: /b }, access: session, upstream: b }]\n"
	f(two+"identity_headers: { X: user.id, Y: user.id }", nowhere("upstreams.a.identity_headers.Y", "identity.idd", "identity.id")) // X is that of b
	f(kratos+"identity_token: { key_file: k, audience: a, claims: { email: traits.email } }",
		nowhere("identity_token.claims.email", "traits", "identity.traits.email"))
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
