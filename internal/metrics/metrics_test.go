package metrics_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/guard"
)

// newMetrics returns instruments that watch everything there is to watch.
func newMetrics(t testing.TB, stats sessioncache.Stats) *metrics.Metrics {
	t.Helper()
	m := metrics.New(metrics.BuildInfo{Version: "v1.2.3", Revision: "abc"})
	m.Upstream("kratos")
	m.WatchGuard("kratos", &fakeGuard{inFlight: 2})
	m.WatchCache("kratos", func() sessioncache.Stats { return stats })
	m.WatchConnections(func() int { return 7 })
	m.WatchTunnels(func() int { return 8 })
	m.CertificateLoaded(":443", time.Unix(1, 0))
	m.App("app")
	m.WatchApps(func() map[string]bool { return map[string]bool{"app": true, "other": false} })
	return m
}

// compile returns a policy with one route for each name.
func compile(t testing.TB, names ...string) *policy.Policy {
	t.Helper()
	var rules []policy.Rule
	for _, name := range names {
		rules = append(rules, policy.Rule{Name: name, Path: "/" + name, Access: policy.SessionAccess})
	}
	p, err := policy.Compile(rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// samples returns the lines of one metric in the text format, without its name.
func samples(t *testing.T, m *metrics.Metrics, name string) []string {
	t.Helper()
	family, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_sum"), "{")
	text, err := testutil.GatherAndFormat(m.Gatherer(), expfmt.TypeTextPlain, family)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == '{' || rest[0] == ' ') {
			lines = append(lines, strings.TrimSpace(rest))
		}
	}
	return lines
}

// counted returns those of samples that are not 0.
func counted(t *testing.T, m *metrics.Metrics, name string) []string {
	t.Helper()
	return slices.DeleteFunc(samples(t, m, name), func(line string) bool { return strings.HasSuffix(line, " 0") })
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(append([]string{}, want...), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// TestNames holds the names, since dashboards and alerts depend on them. Whoever changes this list changes the documentation too.
func TestNames(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	runtimes := map[string]bool{}
	for _, f := range families {
		prefix, _, _ := strings.Cut(f.GetName(), "_")
		if prefix != "gatehouse" {
			runtimes[prefix] = true
			continue
		}
		names = append(names, f.GetName())
		if f.GetHelp() == "" || !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s: help %q is not a sentence", f.GetName(), f.GetHelp())
		}
	}
	expect(t, "names", names,
		"gatehouse_app_down",
		"gatehouse_app_exchanges_cut_total",
		"gatehouse_app_request_duration_seconds",
		"gatehouse_app_requests_total",
		"gatehouse_build_info",
		"gatehouse_config_last_reload_success_timestamp_seconds",
		"gatehouse_config_last_reload_successful",
		"gatehouse_connections_open",
		"gatehouse_decision_duration_seconds",
		"gatehouse_forward_auth_foreign_headers_total",
		"gatehouse_forward_auth_large_answers_total",
		"gatehouse_limited_total",
		"gatehouse_request_duration_seconds",
		"gatehouse_requests_in_flight",
		"gatehouse_requests_total",
		"gatehouse_session_cache_capacity",
		"gatehouse_session_cache_entries",
		"gatehouse_session_cache_evictions_total",
		"gatehouse_session_cache_rejections_total",
		"gatehouse_session_lookups_total",
		"gatehouse_session_revocations_total",
		"gatehouse_session_unbelieved_nos_total",
		"gatehouse_tls_certificate_last_reload_successful",
		"gatehouse_tls_certificate_not_after_timestamp_seconds",
		"gatehouse_tunnels_ended_total",
		"gatehouse_tunnels_open",
		"gatehouse_upstream_breaker_open",
		"gatehouse_upstream_in_flight",
		"gatehouse_upstream_request_duration_seconds",
		"gatehouse_upstream_requests_total",
	)
	if d := cmp.Diff(map[string]bool{"go": true, "process": true}, runtimes); d != "" {
		t.Errorf("other metrics (-want +got):\n%s", d)
	}
}

func TestLint(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	m.SetPolicy(compile(t, "a"))
	problems, err := testutil.GatherAndLint(m.Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestFromTheStart holds which series there are before anything has happened, label by label.
func TestFromTheStart(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	m.SetPolicy(compile(t, "a"))
	f := func(name string, want ...string) {
		t.Helper()
		expect(t, name, samples(t, m, name), want...)
	}
	var requests []string
	for _, face := range []string{"ext_authz", "forward_auth", "hooks", "keys", "proxy", "session_api", "whoami"} {
		for _, verdict := range []string{"allowed", "denied", "limited", "malformed", "refused", "unauthenticated", "unavailable"} {
			requests = append(requests, fmt.Sprintf(`{face=%q,rule="",verdict=%q} 0`, face, verdict))
			if face != "whoami" && face != "keys" && face != "hooks" && face != "session_api" {
				requests = append(requests, fmt.Sprintf(`{face=%q,rule="a",verdict=%q} 0`, face, verdict))
			}
		}
	}
	got := samples(t, m, "gatehouse_requests_total")
	slices.Sort(got)
	slices.Sort(requests)
	expect(t, "gatehouse_requests_total", got, requests...)

	f("gatehouse_forward_auth_large_answers_total", "0")
	f("gatehouse_forward_auth_foreign_headers_total", `{dialect="caddy"} 0`, `{dialect="envoy"} 0`,
		`{dialect="envoy_grpc"} 0`, `{dialect="haproxy"} 0`, `{dialect="nginx"} 0`, `{dialect="plain"} 0`, `{dialect="traefik"} 0`)
	f("gatehouse_requests_in_flight", `{face="ext_authz"} 0`, `{face="forward_auth"} 0`, `{face="hooks"} 0`, `{face="keys"} 0`, `{face="proxy"} 0`,
		`{face="session_api"} 0`, `{face="whoami"} 0`)
	f("gatehouse_request_duration_seconds_count", `{face="ext_authz"} 0`, `{face="forward_auth"} 0`, `{face="hooks"} 0`, `{face="keys"} 0`,
		`{face="proxy"} 0`, `{face="session_api"} 0`, `{face="whoami"} 0`)
	f("gatehouse_decision_duration_seconds_count",
		`{outcome="allowed"} 0`, `{outcome="coalesced"} 0`, `{outcome="denied"} 0`, `{outcome="hit"} 0`, `{outcome="limited"} 0`, `{outcome="malformed"} 0`,
		`{outcome="miss"} 0`, `{outcome="refused"} 0`, `{outcome="stale"} 0`, `{outcome="unauthenticated"} 0`, `{outcome="unavailable"} 0`,
		`{outcome="window_hit"} 0`)
	f("gatehouse_app_requests_total",
		`{app="app",code="1xx"} 0`, `{app="app",code="2xx"} 0`, `{app="app",code="3xx"} 0`,
		`{app="app",code="4xx"} 0`, `{app="app",code="5xx"} 0`, `{app="app",code="none"} 0`)
	f("gatehouse_app_request_duration_seconds_count", `{app="app"} 0`)
	f("gatehouse_app_exchanges_cut_total", `{app="app",by="app"} 0`, `{app="app",by="client"} 0`)
	f("gatehouse_upstream_requests_total",
		`{result="no_session",upstream="kratos"} 0`, `{result="ok",upstream="kratos"} 0`, `{result="refused",upstream="kratos"} 0`,
		`{result="timeout",upstream="kratos"} 0`, `{result="unavailable",upstream="kratos"} 0`)
	f("gatehouse_upstream_request_duration_seconds_count", `{upstream="kratos"} 0`)
	f("gatehouse_upstream_breaker_open", `{upstream="kratos"} 0`)
	f("gatehouse_session_revocations_total",
		`{source="admin"} 0`, `{source="postgres"} 0`, `{source="service"} 0`, `{source="session_api"} 0`, `{source="webhook"} 0`)
	f("gatehouse_config_last_reload_successful", "0")
	f("gatehouse_config_last_reload_success_timestamp_seconds", "0")
	f("gatehouse_build_info", fmt.Sprintf(`{goversion=%q,revision="abc",version="v1.2.3"} 1`, runtime.Version()))
}

func TestRequests(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	p := compile(t, "a", "b")
	m.SetPolicy(p)
	a, b := p.Routes()[0], p.Routes()[1]
	session := &upstream.Session{ID: "s"}
	f := func(face proxy.Face, d policy.Decision, took time.Duration) {
		m.Began(face)
		m.Decided(face, &d, took)
		m.Ended(face, 2*took)
	}
	f(proxy.ProxyFace, policy.Decision{Verdict: policy.Allowed, Route: a, Session: session, Source: upstream.Hit}, 250*time.Millisecond)
	f(proxy.ProxyFace, policy.Decision{Verdict: policy.Allowed, Route: a, Session: session, Source: upstream.Hit}, 500*time.Millisecond)
	f(proxy.ProxyFace, policy.Decision{Verdict: policy.Denied, Route: b, Session: session}, 5*time.Millisecond)
	f(proxy.ProxyFace, policy.Decision{Verdict: policy.Malformed}, time.Microsecond)
	f(proxy.ForwardAuthFace, policy.Decision{Verdict: policy.Allowed, Route: b, Session: session, Source: upstream.Stale}, time.Microsecond)
	f(proxy.ForwardAuthFace, policy.Decision{Verdict: policy.Unauthenticated, Route: b}, time.Microsecond)
	f(proxy.WhoamiFace, policy.Decision{Verdict: policy.Unavailable}, time.Second)
	m.Began(proxy.WhoamiFace)

	expect(t, "requests", counted(t, m, "gatehouse_requests_total"),
		`{face="forward_auth",rule="b",verdict="allowed"} 1`,
		`{face="forward_auth",rule="b",verdict="unauthenticated"} 1`,
		`{face="proxy",rule="",verdict="malformed"} 1`,
		`{face="proxy",rule="a",verdict="allowed"} 2`,
		`{face="proxy",rule="b",verdict="denied"} 1`,
		`{face="whoami",rule="",verdict="unavailable"} 1`)
	expect(t, "decisions", counted(t, m, "gatehouse_decision_duration_seconds_count"),
		`{outcome="hit"} 2`, `{outcome="malformed"} 1`, `{outcome="miss"} 1`, `{outcome="stale"} 1`, `{outcome="unauthenticated"} 1`,
		`{outcome="unavailable"} 1`)
	expect(t, "time of decisions", counted(t, m, "gatehouse_decision_duration_seconds_sum"),
		`{outcome="hit"} 0.75`, `{outcome="malformed"} 1e-06`, `{outcome="miss"} 0.005`, `{outcome="stale"} 1e-06`,
		`{outcome="unauthenticated"} 1e-06`, `{outcome="unavailable"} 1`)
	expect(t, "whole time", counted(t, m, "gatehouse_request_duration_seconds_count"),
		`{face="forward_auth"} 2`, `{face="proxy"} 4`, `{face="whoami"} 1`)
	expect(t, "in flight", counted(t, m, "gatehouse_requests_in_flight"), `{face="whoami"} 1`)
}

// TestSources fails when a source has been added that has no histogram.
func TestSources(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	for s := upstream.Source(0); s.String() != "unknown"; s++ {
		m.Decided(proxy.ProxyFace, &policy.Decision{Session: &upstream.Session{}, Source: s}, time.Microsecond)
		if want := fmt.Sprintf(`{outcome=%q} 1`, s); !slices.Contains(counted(t, m, "gatehouse_decision_duration_seconds_count"), want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestReload(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	before, after := compile(t, "a", "b"), compile(t, "c", "a")
	f := func(r *policy.Route) {
		m.Decided(proxy.ProxyFace, &policy.Decision{Verdict: policy.Allowed, Route: r}, time.Microsecond)
	}
	f(before.Routes()[0]) // before any policy is known
	m.SetPolicy(before)
	f(before.Routes()[0])
	f(before.Routes()[1])
	m.SetPolicy(after)
	f(before.Routes()[0]) // still under way
	f(before.Routes()[1])
	f(after.Routes()[0])
	f(after.Routes()[1])
	// The whoami face has no counters for routes.
	m.Decided(proxy.WhoamiFace, &policy.Decision{Verdict: policy.Allowed, Route: after.Routes()[1]}, time.Microsecond)
	m.SetPolicy(compile(t))
	f(after.Routes()[1])
	expect(t, "requests", counted(t, m, "gatehouse_requests_total"),
		`{face="proxy",rule="a",verdict="allowed"} 5`,
		`{face="proxy",rule="b",verdict="allowed"} 2`,
		`{face="proxy",rule="c",verdict="allowed"} 1`,
		`{face="whoami",rule="a",verdict="allowed"} 1`)
}

func TestReloadWhileDeciding(t *testing.T) {
	const workers, rounds = 4, 500
	m := newMetrics(t, sessioncache.Stats{})
	policies := []*policy.Policy{compile(t, "a", "b", "c"), compile(t, "c", "a"), compile(t, "b")}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range rounds {
				routes := policies[i%len(policies)].Routes()
				m.Decided(proxy.ProxyFace, &policy.Decision{Verdict: policy.Allowed, Route: routes[i%len(routes)]}, time.Microsecond)
			}
		})
	}
	wg.Go(func() {
		for i := range 50 {
			m.SetPolicy(policies[i%len(policies)])
			samples(t, m, "gatehouse_requests_total")
		}
	})
	wg.Wait()
	total := 0
	for _, line := range counted(t, m, "gatehouse_requests_total") {
		var n int
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &n); err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if total != workers*rounds {
		t.Errorf("counted %d requests of %d", total, workers*rounds)
	}
}

func TestTunnels(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	for i, why := range proxy.TunnelEnds {
		for range i + 1 {
			m.TunnelEnded(why)
		}
	}
	expect(t, "ended", samples(t, m, "gatehouse_tunnels_ended_total"), `{cause="app"} 2`, `{cause="client"} 1`, `{cause="expired"} 4`,
		`{cause="idle"} 7`, `{cause="outage"} 6`, `{cause="policy"} 5`, `{cause="revoked"} 3`, `{cause="shutdown"} 8`)
}

func TestAppAnswered(t *testing.T) {
	f := func(status int, code string) {
		t.Helper()
		m := newMetrics(t, sessioncache.Stats{})
		m.App("app").Answered(status, time.Millisecond)
		expect(t, fmt.Sprint(status), counted(t, m, "gatehouse_app_requests_total"), fmt.Sprintf(`{app="app",code=%q} 1`, code))
		expect(t, "time", samples(t, m, "gatehouse_app_request_duration_seconds_sum"), `{app="app"} 0.001`)
	}
	f(0, "none")
	f(101, "1xx")
	f(200, "2xx")
	f(299, "2xx")
	f(304, "3xx")
	f(404, "4xx")
	f(500, "5xx")
	f(599, "5xx")
	f(600, "5xx")
	f(999, "5xx")
	f(99, "5xx")
	f(-1, "5xx")
}

// Pools of one name are one application, cut exchanges are counted by who cut them, and it is said which applications are out of reach.
func TestApps(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	m.App("app").Cut(proxy.ByApp)
	m.App("app").Cut(proxy.ByApp)
	m.App("other").Cut(proxy.ByClient)
	expect(t, "cut", counted(t, m, "gatehouse_app_exchanges_cut_total"), `{app="app",by="app"} 2`, `{app="other",by="client"} 1`)
	expect(t, "down", samples(t, m, "gatehouse_app_down"), `{app="app"} 1`, `{app="other"} 0`)
}

type fakeGuard struct {
	inFlight int
	open     bool
}

func (g *fakeGuard) InFlight() int     { return g.inFlight }
func (g *fakeGuard) BreakerOpen() bool { return g.open }

func TestUpstream(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	observe := m.Upstream("embedded")
	watched := fakeGuard{inFlight: 3, open: true}
	m.WatchGuard("embedded", &watched)
	observe(guard.OK, 250*time.Millisecond)
	observe(guard.NoSession, 0)
	observe(guard.Refused, 0)
	observe(guard.Timeout, time.Second)
	observe(guard.Unavailable, 0)
	observe(guard.Unavailable, 0)
	expect(t, "requests", counted(t, m, "gatehouse_upstream_requests_total"),
		`{result="no_session",upstream="embedded"} 1`, `{result="ok",upstream="embedded"} 1`, `{result="refused",upstream="embedded"} 1`,
		`{result="timeout",upstream="embedded"} 1`, `{result="unavailable",upstream="embedded"} 2`)
	expect(t, "time", samples(t, m, "gatehouse_upstream_request_duration_seconds_sum"), `{upstream="embedded"} 1.25`, `{upstream="kratos"} 0`)
	expect(t, "in flight", samples(t, m, "gatehouse_upstream_in_flight"), `{upstream="embedded"} 3`, `{upstream="kratos"} 2`)
	expect(t, "breaker", samples(t, m, "gatehouse_upstream_breaker_open"), `{upstream="embedded"} 1`, `{upstream="kratos"} 0`)
	expect(t, "limit before it is told", samples(t, m, "gatehouse_upstream_rate_limit_remaining"))
	m.RateLimit("kratos")(79)
	expect(t, "limit", samples(t, m, "gatehouse_upstream_rate_limit_remaining"), `{upstream="kratos"} 79`)
	watched.open = false
	expect(t, "breaker", counted(t, m, "gatehouse_upstream_breaker_open"))
}

func TestWatchCache(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{
		Lookups:       sessioncache.Lookups{Hit: 1, WindowHit: 2, Stale: 3, Negative: 4, Miss: 5, Coalesced: 6, Revoked: 7, Error: 8},
		Hot:           sessioncache.Table{Entries: 11, Capacity: 12, Evictions: 13},
		Window:        sessioncache.Table{Entries: 21, Capacity: 22, Evictions: 23},
		Joined:        sessioncache.Table{Entries: 25, Capacity: 26, Evictions: 27},
		Negative:      sessioncache.Table{Entries: 31, Capacity: 32, Evictions: 33},
		Revocations:   sessioncache.Table{Entries: 41, Capacity: 42, Evictions: 43},
		HotRejections: 51,
		UnbelievedNos: 61,
	})
	f := func(name string, want ...string) {
		t.Helper()
		expect(t, name, samples(t, m, name), want...)
	}
	f("gatehouse_session_lookups_total", `{outcome="coalesced",upstream="kratos"} 6`, `{outcome="error",upstream="kratos"} 8`, `{outcome="hit",upstream="kratos"} 1`, `{outcome="miss",upstream="kratos"} 5`,
		`{outcome="negative",upstream="kratos"} 4`, `{outcome="revoked",upstream="kratos"} 7`, `{outcome="stale",upstream="kratos"} 3`, `{outcome="window_hit",upstream="kratos"} 2`)
	f("gatehouse_session_cache_entries", `{table="hot",upstream="kratos"} 11`, `{table="joined",upstream="kratos"} 25`, `{table="negative",upstream="kratos"} 31`, `{table="revocations",upstream="kratos"} 41`, `{table="window",upstream="kratos"} 21`)
	f("gatehouse_session_cache_capacity", `{table="hot",upstream="kratos"} 12`, `{table="joined",upstream="kratos"} 26`, `{table="negative",upstream="kratos"} 32`, `{table="revocations",upstream="kratos"} 42`, `{table="window",upstream="kratos"} 22`)
	f("gatehouse_session_cache_evictions_total", `{table="hot",upstream="kratos"} 13`, `{table="joined",upstream="kratos"} 27`, `{table="negative",upstream="kratos"} 33`, `{table="revocations",upstream="kratos"} 43`, `{table="window",upstream="kratos"} 23`)
	f("gatehouse_session_cache_rejections_total", `{upstream="kratos"} 51`)
	f("gatehouse_session_unbelieved_nos_total", `{upstream="kratos"} 61`)
	f("gatehouse_connections_open", "7")
	f("gatehouse_tunnels_open", "8")
}

func TestRevokedAndReloaded(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	m.Revoked(metrics.RevokedByAdmin)
	m.Revoked(metrics.RevokedByService)
	m.Revoked(metrics.RevokedByService)
	expect(t, "revocations", samples(t, m, "gatehouse_session_revocations_total"),
		`{source="admin"} 1`, `{source="postgres"} 0`, `{source="service"} 2`, `{source="session_api"} 0`, `{source="webhook"} 0`)
	m.RevocationsHeard("kratos", metrics.RevokedByPostgres, true)
	expect(t, "heard", samples(t, m, "gatehouse_session_revocations_heard"), `{source="postgres",upstream="kratos"} 1`)
	m.RevocationsHeard("kratos", metrics.RevokedByPostgres, false)
	expect(t, "not heard", samples(t, m, "gatehouse_session_revocations_heard"), `{source="postgres",upstream="kratos"} 0`)

	f := func(ok bool, at float64, successful, timestamp string) {
		t.Helper()
		m.Reloaded(ok, time.UnixMilli(int64(at*1000)))
		expect(t, "successful", samples(t, m, "gatehouse_config_last_reload_successful"), successful)
		expect(t, "timestamp", samples(t, m, "gatehouse_config_last_reload_success_timestamp_seconds"), timestamp)
	}
	f(true, 12.5, "1", "12.5")
	f(false, 20, "0", "12.5")
	f(true, 30, "1", "30")
}

// TestHistograms holds that each histogram is both classic and native, and how wide the native buckets are: of the schemas whose buckets
// grow by no more than a tenth, 3 is the widest.
func TestHistograms(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			h := metric.GetHistogram()
			if h == nil || !strings.HasPrefix(f.GetName(), "gatehouse_") {
				continue
			}
			seen++
			if len(h.GetBucket()) == 0 || h.Schema == nil || h.GetSchema() != 3 {
				t.Errorf("%s is not both classic and native", f.GetName())
			}
		}
	}
	if want := 7 + 12 + 1 + 1; seen != want { // faces, outcomes, stores, the application
		t.Errorf("saw %d histograms, want %d", seen, want)
	}
}

func TestCertificates(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	f := func(ok bool, want string) {
		t.Helper()
		m.CertificatesReloaded(ok)
		expect(t, "successful", samples(t, m, "gatehouse_tls_certificate_last_reload_successful"), want)
	}
	f(true, "1")
	f(false, "0")
	m.CertificateLoaded("systemd:web", time.Unix(1_800_000_000, 999))
	m.CertificateLoaded(":443", time.Unix(1_900_000_000, 0))
	expect(t, "not after", samples(t, m, "gatehouse_tls_certificate_not_after_timestamp_seconds"),
		`{listener=":443"} 1.9e+09`, `{listener="systemd:web"} 1.8e+09`)
}

func TestLimited(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	var want []string
	for i, l := range proxy.AllLimits() {
		for range i {
			m.Limited(l)
		}
		want = append(want, fmt.Sprintf(`{limit="%s"} %d`, l, i))
	}
	slices.Sort(want)
	expect(t, "limited", samples(t, m, "gatehouse_limited_total"), want...)
}
