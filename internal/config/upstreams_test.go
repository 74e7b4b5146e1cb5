package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

const severalUpstreams = `
upstreams:
  staff: { kratos: { url: http://k }, timeout: 2s }
  customers: { better_auth: { url: http://b } }
  robots: { http: { url: http://h, token_header: X-T, authenticated_when: "true", paths: { identity_id: sub } } }
`

// TestUpstreams tests the defaults of several services, and that what is in force prints as what loads as the same.
func TestUpstreams(t *testing.T) {
	const routes = `
app: http://127.0.0.1:3000
routes:
  - { match: { path: /staff/* }, access: session, upstream: staff }
  - { match: { path: /robots/* }, access: optional, upstream: robots }
  - { match: { path: /public/* }, access: public }
  - { match: { path: /* }, access: session, upstream: customers }
`
	c := parse(t, severalUpstreams+routes)
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
	type service struct {
		Name, Key   string
		Dialect     config.Dialect
		Credentials []upstream.Kind
		Headers     map[string]string
	}
	var got []service
	for _, u := range c.Services() {
		got = append(got, service{u.Name, u.Key, c.DialectOf(u.Upstream), c.CredentialsOf(u.Upstream), u.HeadersOf()})
	}
	const token, cookie, bearer = upstream.SessionToken, upstream.Cookie, upstream.Bearer
	want := []service{
		{"customers", "upstreams.customers", config.DialectBetterAuth, []upstream.Kind{cookie, bearer}, map[string]string{}},
		{"robots", "upstreams.robots", config.DialectKratos, []upstream.Kind{token}, map[string]string{"X-User-Id": "sub"}},
		{"staff", "upstreams.staff", config.DialectKratos, []upstream.Kind{token, upstream.SessionCookie, cookie, bearer}, map[string]string{"X-User-Id": "identity.id"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if c.IdentityHeaders[0].Path != "user.id" || c.Upstreams["staff"].MaxInFlight != 64 || !reflect.ValueOf(c.Upstream).IsZero() {
		t.Errorf("identity headers are %v, upstream is %+v", c.IdentityHeaders, c.Upstream)
	}
	equal(t, parse(t, printed(t, c)), c)
	yaml := "{" + strings.ReplaceAll(strings.TrimSpace(strings.TrimPrefix(severalUpstreams, "\nupstreams:\n")), "\n", ",") + "}"
	equal(t, parse(t, routes, "GATEHOUSE_UPSTREAMS="+yaml), c)

	explicit := parse(t, severalUpstreams+routes+"\nwhoami: { dialect: wacht }\ncredentials: [cookie, session_token]\nidentity_headers: { X-Me: me }\n")
	for _, u := range explicit.Services() {
		if explicit.DialectOf(u.Upstream) != config.DialectWacht || len(u.HeadersOf()) > 0 || slices.Contains(explicit.CredentialsOf(u.Upstream), bearer) {
			t.Errorf("%s: what was set does not count", u.Key)
		}
	}
	equal(t, parse(t, printed(t, explicit)), explicit)
}

// TestWarningsOfUpstreams tests what is said of several services.
func TestWarningsOfUpstreams(t *testing.T) {
	c := parse(t, severalUpstreams+`
app: http://127.0.0.1:3000
routes:
  - { match: { path: /robots/* }, access: session, upstream: robots, require: { max_age: 1h } }
  - { match: { path: /staff/* }, access: session, upstream: staff, require: { aal: aal2, use: strict } }
  - { match: { path: /sessions/whoami }, access: session, upstream: staff }
requirements: { strict: { methods: [totp] } }
`)
	want := []string{
		"upstreams.customers: no route uses it",
		"routes[0].require.max_age: no session meets it, since upstreams.robots does not say it: " +
			"name where the answer has it in upstreams.robots.http.paths.authenticated_at, or remove it",
	}
	if diff := cmp.Diff(want, c.Warnings()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
