//go:build !race

package metrics_test

import (
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func TestRequestsAllocateNothing(t *testing.T) {
	m := newMetrics(t, sessioncache.Stats{})
	p := compile(t, "a", "b")
	m.SetPolicy(p)
	app := m.App("app")
	f := func(name string, face proxy.Face, d policy.Decision) {
		t.Helper()
		i := 0
		if n := testing.AllocsPerRun(1000, func() {
			took := time.Duration(i%8+1) * time.Microsecond // several buckets; each native bucket is made when it is first needed
			i++
			m.Began(face)
			m.Decided(face, &d, took)
			app.Answered(200, took)
			app.Cut(proxy.ByClient)
			m.Ended(face, took)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	f("route", proxy.ProxyFace,
		policy.Decision{Verdict: policy.Allowed, Route: p.Routes()[1], Session: &upstream.Session{}, Source: upstream.Hit})
	f("forward-auth", proxy.ForwardAuthFace, policy.Decision{Verdict: policy.Unauthenticated, Route: p.Routes()[0]})
	f("no route", proxy.WhoamiFace, policy.Decision{Verdict: policy.Allowed, Session: &upstream.Session{}, Source: upstream.Hit})
}

func BenchmarkRequest(b *testing.B) {
	m := newMetrics(b, sessioncache.Stats{})
	p := compile(b, "a", "b")
	m.SetPolicy(p)
	d := policy.Decision{Verdict: policy.Allowed, Route: p.Routes()[1], Session: &upstream.Session{}, Source: upstream.Hit}
	b.ReportAllocs()
	for b.Loop() {
		m.Began(proxy.ForwardAuthFace)
		m.Decided(proxy.ForwardAuthFace, &d, 3*time.Microsecond)
		m.Ended(proxy.ForwardAuthFace, 5*time.Microsecond)
	}
}
