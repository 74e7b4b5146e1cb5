package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/doctor"
)

// examined is what Gatehouse is told where deployments are examined.
const examined = `
listen: 127.0.0.1:0
admin: ""
upstream: { embedded: { listen: "", admin_listen: 127.0.0.1:0 } }
routes:
  - { match: { path: /assets/* }, access: public }
  - { match: { path: /* }, access: session }
identity_headers: { X-User-Id: identity.id, X-User-Email: identity.traits.email }
login: { url: "http://auth.example.com/login", allowed_hosts: [app.example.com] }
trusted_proxies: [127.0.0.1]
`

// An examination is a front proxy that may be weak, what it asks, and what it protects.
type examination struct {
	gatehouse *gatehouse
	session   created
	app       string
	echoes    bool // the application shows on every page which headers it got
}

func newExamination(t *testing.T) *examination {
	e := &examination{gatehouse: startWith(t, examined)}
	e.session = e.gatehouse.createSession(t, "alice@example.com")
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.serve(t, w, r) }))
	t.Cleanup(app.Close)
	e.app = strings.TrimPrefix(app.URL, "http://")
	return e
}

// serve is the application. It takes /..; for a way up, as Tomcat does.
func (e *examination) serve(t *testing.T, w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if _, rest, up := strings.Cut(path, "/..;"); up {
		path = rest
	}
	if e.echoes {
		_ = r.Header.Write(w)
		return
	}
	switch path {
	case "/private":
		fmt.Fprint(w, "The private page.")
	case "/assets/style.css":
		fmt.Fprint(w, "The public page.")
	case "/private/headers", "/assets/headers":
		_ = r.Header.Write(w)
	case "/sign-out":
		e.gatehouse.endSession(t, e.session.Session.ID)
	default:
		http.NotFound(w, r)
	}
}

// places are those of e, for a front proxy that is weakened so.
func (e *examination) places(weakened []string) places {
	return places{gatehouse: strings.TrimPrefix(e.gatehouse.url, "http://"), app: e.app, weakened: weakened}
}

// run examines the deployment at an address, and checks what is found.
func (e *examination) run(t *testing.T, address, echo string, want ...string) {
	t.Helper()
	at := func(path string) *url.URL { return &url.URL{Scheme: "http", Host: "app.example.com", Path: path} }
	r, err := doctor.Run(t.Context(), doctor.Options{
		Target: at("/private"), Public: at("/assets/style.css"), Echo: at(echo), Logout: at("/sign-out"), Connect: address,
		Credential: doctor.Credential{Cookie: e.session.Cookie.Value}, CookieName: e.session.Cookie.Name,
		Headers: []string{"X-User-Id", "X-User-Email"}, Identity: "alice@example.com", LogoutWait: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Findings {
		if f.Severity != doctor.Note {
			got = append(got, f.ID)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
		_ = r.Print(t.Output())
	}
}

// TestDoctorPasses examines what is shipped.
func TestDoctorPasses(t *testing.T) {
	for name, start := range map[string]func(testing.TB, places) string{
		"nginx": startShippedNginx, "caddy": startCaddy, "haproxy": startHAProxy, "traefik": startTraefik,
	} {
		for _, echo := range []string{private, public} {
			t.Run(name+echo, func(t *testing.T) {
				e := newExamination(t)
				e.run(t, start(t, e.places(nil)), echo)
			})
			t.Run(name+" in front of an echo"+echo, func(t *testing.T) {
				e := newExamination(t)
				e.echoes = true
				e.run(t, start(t, e.places(nil)), echo, "logout_ignored") // which is a page like any other
			})
		}
	}
}

const private, public = "/private/headers", "/assets/headers"

// TestDoctorNginx examines a real nginx that is weakened in one way.
func TestDoctorNginx(t *testing.T) {
	f := func(name, echo string, oldnew []string, want ...string) {
		t.Run(name, func(t *testing.T) {
			e := newExamination(t)
			e.run(t, startShippedNginx(t, e.places(oldnew)), echo, want...)
		})
	}
	const asks = "auth_request /.gatehouse/auth;"
	f("open", private, []string{asks, ""}, "open")
	f("a path that is not asked about", private, []string{"location / {", "location /assets/ { proxy_pass http://APP; } location / {"},
		"path_passes")
	f("a path that clients name", private, []string{
		"$scheme://$host$request_uri", "$scheme://$host$target", asks,
		"set $target $request_uri; if ($http_x_forwarded_uri) { set $target $http_x_forwarded_uri; } " + asks,
	}, "claim_believed")
	f("underscores", private, []string{"underscores_in_headers off", "underscores_in_headers on"}, "alias_passes")
	f("identity that is not set", private, []string{"proxy_set_header X-User-Email $gatehouse_user_email;", ""}, "identity_missing", "identity_spoofed")
	f("headers that change the path", private, []string{`proxy_set_header X-Rewrite-URL "";`, ""}, "rewrite_passes")
	f("a public path of which the headers are not set", public, []string{"location / {", "location /assets/ { proxy_pass http://APP; } location / {"},
		"path_passes", "identity_spoofed", "rewrite_passes")
	f("a header that an application shows", private, []string{`proxy_set_header X-Envoy-Original-Path "";`, ""}, "rewrite_passes")
	f("small buffers", private, []string{"4 16k", "4 4k"}, "large_cookie")
	f("an endpoint for all", private, []string{"internal;", ""}, "endpoint_exposed")
	f("refusals that are cached", private, []string{"no-store always", "max-age=60 always"}, "cacheable")
}

// TestDoctorCaddy examines a real Caddy in the same way.
func TestDoctorCaddy(t *testing.T) {
	f := func(name, echo string, oldnew []string, want ...string) {
		t.Run(name, func(t *testing.T) {
			e := newExamination(t)
			e.run(t, startCaddy(t, e.places(oldnew)), echo, want...)
		})
	}
	const asks, ask = "\treverse_proxy", "\treverse_proxy @asked"
	f("open", private, []string{asks, "@asked path /admin/*\n" + ask}, "open")
	f("paths that are asked about", private, []string{asks, "@asked path /private /private/* /sign-out\n" + ask}, "path_passes")
	f("an address that is believed", private, []string{asks, "@asked not header X-Forwarded-For 127.0.0.1\n" + ask}, "claim_believed")
	f("methods that are asked about", private, []string{asks, "@asked method GET POST\n" + ask}, "method_passes")
	f("underscores", private, []string{"header_up -*_*", ""}, "alias_passes")
	f("dots", private, []string{"header_up -*.*", ""}, "alias_passes")
	f("identity that Connection names", private, []string{
		"header_up X-User-Id {http.vars.user_id}", "", "header_up X-User-Email {http.vars.user_email}", "", "\tvars {",
		"request_header X-User-Id {http.reverse_proxy.header.X-User-Id}\nrequest_header X-User-Email {http.reverse_proxy.header.X-User-Email}\nvars {",
	}, "identity_dropped")
	f("identity that is not copied", private, []string{"header_up X-User-Email {http.vars.user_email}", ""}, "identity_missing", "identity_spoofed")
	f("headers that change the path", private, []string{"header_up -X-Original-*", ""}, "rewrite_passes")
	f("a sign-out that ends nothing", private, []string{asks, "@out {\npath /sign-out\nheader Cookie *\n}\nrespond @out 200\n" + asks}, "logout_ignored")
}
