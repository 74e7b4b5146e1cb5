package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

func TestPrintLoadsAgain(t *testing.T) {
	kratos, others := example(t)
	f := func(text string) {
		t.Helper()
		for _, s := range []string{"whsec_bm90LWEtc2VjcmV0LWJ1dC1sb25nLWVub3VnaA==", "change-me-to-32-random-bytes"} { // those of the example
			text = strings.ReplaceAll(text, s, secret)
		}
		c := parse(t, text)
		out := printed(t, c)
		if strings.Contains(out, secret) {
			t.Errorf("a secret is printed:\n%s", out)
		}
		equal(t, parse(t, strings.ReplaceAll(out, "<secret>", secret)), c)
	}
	f("upstream: { kratos: { url: http://127.0.0.1:4433 } }")
	f("upstream: { embedded: {} }\nidentity_headers: {}")
	f(kratos)
	for _, text := range others {
		f(text)
	}
	f(agreed)
	f(everyKratos)
	f(everyEmbedded)
}

func TestPrintIsReadable(t *testing.T) {
	got := printed(t, parse(t, `
upstream: { kratos: { url: http://127.0.0.1:4433 } }
session_cache: { stale_for: 2h }
routes:
  - { match: { host: "*.example.com", path: /*, methods: [GET] }, access: session, require: { aal: aal2 } }
  - { name: "true", match: { path: /* }, access: deny }
`))
	want := `listen: :8080
admin: 127.0.0.1:9090
upstream:
  kratos:
    url: http://127.0.0.1:4433
    cookie: ory_kratos_session
    session_api: false
    self_service: false
  timeout: 1s
  max_in_flight: 64
session_cache:
  size: 100000
  fresh_for: 30s
  stale_for: 2h
  fresh_for_degraded: 10s
  negative_for: 1s
app: ''
routes:
- match:
    host: '*.example.com'
    path: /*
    methods: [GET]
  access: session
  require:
    aal: aal2
- name: 'true'
  match:
    path: /*
  access: deny
identity_headers:
  X-User-Id: identity.id
forward_auth:
  path: /.gatehouse/auth
  grpc_listen: ''
whoami:
  path: /sessions/whoami
  dialect: kratos
  keep_body: true
trusted_proxies: []
credentials: [session_token, session_cookie, cookie, bearer]
limits:
  head: 64KiB
  headers: 128
  uri: 16KiB
  body: unlimited
  head_timeout: 10s
  body_timeout: 30s
  min_rate: 256B
  connections: 100000
  connections_per_client: 10000
  requests_per_client: 256
  unknown_per_client: 3000
  tunnels: 10000
  tunnels_per_client: 256
  tunnel_idle: 1h
explain: false
log:
  level: info
  format: auto
  access: false
shutdown:
  delay: 0s
  timeout: 30s
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

func TestDurationsAsAnOperatorSpellsThem(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := config.Text(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
	f(0, "0s")
	f(1500*time.Millisecond, "1.5s")
	f(10*time.Second, "10s")
	f(time.Minute, "1m")
	f(10*time.Minute, "10m")
	f(time.Minute+30*time.Second, "1m30s")
	f(20*time.Hour, "20h")
	f(time.Hour+time.Second, "1h0m1s")
	f(time.Hour+10*time.Minute, "1h10m")
}

type brokenPipe struct{ err error }

func (w brokenPipe) Write([]byte) (int, error) { return 0, w.err }

func TestPrintFails(t *testing.T) {
	broken := errors.New("broken pipe")
	if err := parse(t, agreed).Print(brokenPipe{broken}); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}
