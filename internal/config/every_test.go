package config_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// everyKratos and everyEmbedded set every key to something else than its default.
const (
	everyKratos = `
admin: ""
upstream:
  kratos:
    { url: https://example.com/kratos/, cookie: __Host-sid, session_api: true, self_service: true,
      revocations: { postgres: "postgres://a-very-long-secret" } }
  timeout: 90ms
  max_in_flight: 7
` + every
	everyEmbedded = `
admin: ""
upstream:
  embedded: { dialect: crossid, path: sessions.db, cookie: sid, listen: "[::1]:5433", admin_listen: "", lifespan: 1h30m, session_api: true }
  timeout: 90ms
  max_in_flight: 7
` + every
	secret = "postgres://a-very-long-secret" // will do for every secret
	every  = `
listen:
  - unix:/run/gatehouse/gatehouse.sock
  - address: "[::1]:8443"
    tls: { cert_file: c, key_file: k, client_ca_file: ca, client_auth: require }
    proxy_protocol: true
tls: { cert_file: cert.pem, key_file: key.pem, client_ca_file: ca.pem, client_auth: optional }
session_cache: { size: 1, fresh_for: 1m5s, stale_for: 24h, fresh_for_degraded: 7s, negative_for: 0s }
app: { url: http://app.internal:3000/, max_conns: 100000, head_timeout: 1ms, idle_timeout: 24h }
routes:
  - name: all.of_it-1
    match: { host: "*.example.com", path: /ünïcode/*, methods: [OPTIONS, GET] }
    access: session
    require: { aal: aal3, max_age: 1h30m, methods: [totp], expression: 'session.a == "b: c"', use: set-1 }
    audience: "true"
    app:
      { url: "https://[2001:db8::1]", ca_file: ca, cert_file: c, key_file: k, server_name: n, max_conns: 1, head_timeout: 24h, idle_timeout: 1s }
    strip_prefix: /ünïcode
    allow_encoded_slashes: true
    forward_credential: true
    cors:
      allowed_origins: ["https://a.example.com", "http://[::1]:8080"]
      allowed_methods: [PUT, PROPFIND]
      allowed_headers: [Content-Type, X_Custom]
      exposed_headers: [X-Total]
      allow_credentials: true
      max_age: 10m
  - { match: { host: "[2001:db8::1]", path: /a/ }, access: optional, cors: pass }
  - { match: { path: /true }, access: deny, app: unix:/run/app.sock }
requirements: { set-1: { methods: [a, b] }, "1": { max_age: 1s }, empty: {} }
identity_token:
  header: x-jwt
  key_file: key.pem
  other_key_files: [next.pem, last.pem]
  issuer: https://gate.example.com
  audience: "1"
  ttl: 90s
  claims: { "true": a.b, roles: 'x.#(y=="a: b").z' }
  keys_path: /keys
identity_headers: { x-zebra: 'identity.traits.roles.#(name=="a: b").id', X-user: "true", Remote-Groups: groups }
forward_auth: { path: /auth }
whoami: { path: /whoami, dialect: better_auth, keep_body: true }
hooks: { path: /hook, secrets: ["postgres://a-very-long-secret"], keys: ["postgres://a-very-long-secret"] }
trusted_proxies: [10.0.0.0/8, 2001:db8::/48, 192.0.2.7, "::1", unix]
credentials: [bearer, cookie]
limits:
  { head: 4096, headers: 16, uri: 256B, body: 3GiB, head_timeout: 1s, body_timeout: 2s, min_rate: 0, connections: 7,
    connections_per_client: 6, requests_per_client: 5, unknown_per_client: 0, tunnels: 0, tunnels_per_client: 4, tunnel_idle: 0s }
explain: true
log: { level: error, format: text, access: true }
shutdown: { delay: 5s, timeout: 1h }
`
)

func TestEveryKey(t *testing.T) {
	want := config.Config{
		Listen: config.Listeners{
			{Address: "unix:/run/gatehouse/gatehouse.sock"},
			{Address: "[::1]:8443", TLS: &config.TLS{
				CertFile: "c", KeyFile: "k", ClientCAFile: "ca", ClientAuth: config.ClientAuthRequire,
			}, ProxyProtocol: true},
		},
		TLS: &config.TLS{CertFile: "cert.pem", KeyFile: "key.pem", ClientCAFile: "ca.pem", ClientAuth: config.ClientAuthOptional},
		Upstream: config.Upstream{
			Kratos: &config.Kratos{
				URL: "https://example.com/kratos/", Cookie: "__Host-sid", SessionAPI: true, SelfService: true,
				Revocations: &config.Revocations{Postgres: secret},
			},
			Timeout: 90 * time.Millisecond, MaxInFlight: 7,
		},
		SessionCache: config.SessionCache{Size: 1, FreshFor: 65 * time.Second, StaleFor: 24 * time.Hour, FreshForDegraded: 7 * time.Second},
		Hooks:        &config.Hooks{Path: "/hook", Secrets: []config.Secret{secret}, Keys: []config.Secret{secret}},
		App:          config.App{URL: "http://app.internal:3000/", MaxConns: 100_000, HeadTimeout: time.Millisecond, IdleTimeout: 24 * time.Hour},
		Routes: []config.Route{
			{
				Name:   "all.of_it-1",
				Match:  config.Match{Host: "*.example.com", Path: "/ünïcode/*", Methods: []string{"OPTIONS", "GET"}},
				Access: config.AccessSession,
				Require: config.Require{
					AAL: upstream.AAL3, MaxAge: 90 * time.Minute, Methods: []string{"totp"}, Expression: `session.a == "b: c"`, Use: "set-1",
				},
				Audience: "true",
				App: &config.App{
					URL: "https://[2001:db8::1]", CAFile: "ca", CertFile: "c", KeyFile: "k", ServerName: "n", MaxConns: 1,
					HeadTimeout: 24 * time.Hour, IdleTimeout: time.Second,
				},
				StripPrefix: "/ünïcode", AllowEncodedSlashes: true, ForwardCredential: true,
				CORS: &config.CORS{
					AllowedOrigins: []string{"https://a.example.com", "http://[::1]:8080"},
					AllowedMethods: []string{"PUT", "PROPFIND"}, AllowedHeaders: []string{"Content-Type", "X_Custom"},
					ExposedHeaders: []string{"X-Total"}, AllowCredentials: true, MaxAge: 10 * time.Minute,
				},
			},
			{Match: config.Match{Host: "[2001:db8::1]", Path: "/a/"}, Access: config.AccessOptional, CORS: &config.CORS{Pass: true}},
			{
				Match: config.Match{Path: "/true"}, Access: config.AccessDeny,
				App: &config.App{URL: "unix:/run/app.sock", MaxConns: 1024, HeadTimeout: time.Minute},
			},
		},
		Requirements: map[string]config.Require{
			"set-1": {Methods: []string{"a", "b"}}, "1": {MaxAge: time.Second}, "empty": {},
		},
		IdentityToken: &config.IdentityToken{
			Header: "x-jwt", KeyFile: "key.pem", OtherKeyFiles: []string{"next.pem", "last.pem"}, Issuer: "https://gate.example.com",
			Audience: "1", TTL: 90 * time.Second, Claims: map[string]string{"true": "a.b", "roles": `x.#(y=="a: b").z`}, KeysPath: "/keys",
		},
		IdentityHeaders: config.IdentityHeaders{
			{Name: "X-Zebra", Path: `identity.traits.roles.#(name=="a: b").id`},
			{Name: "X-User", Path: "true"},
			{Name: "Remote-Groups", Path: "groups"},
		},
		ForwardAuth: config.ForwardAuth{Path: "/auth"},
		Whoami:      config.Whoami{Path: "/whoami", Dialect: config.DialectBetterAuth, KeepBody: true},
		TrustedProxies: []config.Peer{
			{Net: netip.MustParsePrefix("10.0.0.0/8")},
			{Net: netip.MustParsePrefix("2001:db8::/48")},
			{Net: netip.MustParsePrefix("192.0.2.7/32")},
			{Net: netip.MustParsePrefix("::1/128")},
			{Unix: true},
		},
		Credentials: []upstream.Kind{upstream.Bearer, upstream.Cookie},
		Limits: config.Limits{
			Head: 4 * config.KiB, Headers: 16, URI: 256, Body: 3 * config.GiB, HeadTimeout: time.Second, BodyTimeout: 2 * time.Second,
			Connections: 7, ConnectionsPerClient: 6, RequestsPerClient: 5, TunnelsPerClient: 4,
		},
		Explain:  true,
		Log:      config.Log{Level: config.LevelError, Format: config.FormatText, Access: true},
		Shutdown: config.Shutdown{Delay: 5 * time.Second, Timeout: time.Hour},
	}
	equal(t, parse(t, everyKratos), &want)

	want.Upstream.Kratos = nil
	want.Upstream.Embedded = &config.Embedded{
		Dialect: config.DialectCrossid, Path: "sessions.db", Cookie: "sid", Listen: "[::1]:5433", Lifespan: 90 * time.Minute,
		SessionAPI: true,
	}
	equal(t, parse(t, everyEmbedded), &want)

	want.Upstream.Embedded = nil
	f := func(section string, set func(*config.Upstream)) {
		t.Helper()
		u := config.Upstream{Timeout: 90 * time.Millisecond, MaxInFlight: 7}
		set(&u)
		want.Upstream = u
		equal(t, parse(t, "admin: \"\"\nupstream:\n  timeout: 90ms\n  max_in_flight: 7\n  "+section+"\n"+every), &want)
	}
	f("crossid: { url: http://c, cookie: sid }", func(u *config.Upstream) { u.Crossid = &config.Crossid{URL: "http://c", Cookie: "sid"} })
	f("better_auth: { url: http://b, cookie: sid }", func(u *config.Upstream) {
		u.BetterAuth = &config.BetterAuth{URL: "http://b", Cookie: "sid"}
	})
	f(`http: { url: http://h/p, method: POST, cookie: sid, token_header: x-t, bearer: true, form_field: f, client_id: i, client_secret_file: s,
    headers: { x-a: "1" }, authenticated_when: "status == 200 && body.a == 1",
    paths: { id: a, identity_id: b, expires_at: c, authenticated_at: d, aal: e, email: f, name: g } }`, func(u *config.Upstream) {
		u.HTTP = &config.HTTP{
			URL: "http://h/p", Method: config.MethodPost, Cookie: "sid", TokenHeader: "x-t", Bearer: true, FormField: "f",
			ClientID: "i", ClientSecretFile: "s", Headers: map[string]string{"x-a": "1"}, AuthenticatedWhen: "status == 200 && body.a == 1",
			Paths: config.Paths{ID: "a", IdentityID: "b", ExpiresAt: "c", AuthenticatedAt: "d", AAL: "e", Email: "f", Name: "g"},
		}
	})
	const wacht = "upstream: { wacht: { url: http://w, cookie: sid, development: true } }"
	if got := parse(t, wacht).Upstream.Wacht; *got != (config.Wacht{URL: "http://w", Cookie: "sid", Development: true}) {
		t.Errorf("wacht is %+v", got)
	}
}
