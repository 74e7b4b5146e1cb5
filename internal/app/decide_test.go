package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/expression"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// The sizes of what Kratos hands out.
var (
	token  = upstreamtest.Token("ory_st_" + strings.Repeat("t", 32))
	cookie = upstreamtest.Cookie(upstreamtest.DefaultCookie, strings.Repeat("c", 428))
)

// newGate returns a gate with so many routes, of which the last one matches /private and has requirements, before a cache that knows token and cookie.
func newGate(tb testing.TB, routes int) *proxy.Gate {
	tb.Helper()
	return newGateOver(tb, newCache(tb), routes)
}

func newGateOver(tb testing.TB, cache *sessioncache.Cache, routes int) *proxy.Gate {
	tb.Helper()
	rules := make([]policy.Rule, 0, routes)
	for i := range routes - 1 {
		rules = append(rules, policy.Rule{Path: fmt.Sprintf("/area-%d/*", i), Access: policy.PublicAccess})
	}
	role, err := expression.Compile(`session.identity.id.startsWith("") && has(session.identity.traits)`)
	if err != nil {
		tb.Fatal(err)
	}
	require := policy.Requirement{MaxAge: 8760 * time.Hour, Expressions: []policy.Expression{role}}
	rules = append(rules, policy.Rule{Path: "/*", Access: policy.SessionAccess, Require: require})
	compiled, err := policy.Compile(rules, []policy.Header{
		{Name: "X-User-Id", Path: "identity.id"},
		{Name: "X-User-Email", Path: "identity.traits.email"},
		{Name: "X-Session-Id", Path: "id"},
		{Name: "X-Session-Aal", Path: "authenticator_assurance_level"},
		{Name: "X-User-Name", Path: "identity.traits.name"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return proxy.NewGate(serviceOf(cache), compiled)
}

// newCache returns a cache that will know token and cookie. What the service says of them has 1.3 kB, as with Kratos.
func newCache(tb testing.TB) *sessioncache.Cache {
	tb.Helper()
	var store upstreamtest.Fake
	know := func(c upstream.Credential, id, name string) {
		s := upstreamtest.Session(id, name)
		s.Body = slices.Concat([]byte(`{"padding":"`+strings.Repeat("x", 1300-len(s.Body)-len(`"padding":"",`))+`",`), s.Body[1:])
		store.Know(c, upstream.Answer{Session: s, BelieveFor: upstream.Unlimited})
	}
	know(token, "s1", "alice")
	know(cookie, "s2", "bob")
	cache, err := sessioncache.New(&store, sessioncache.Config{Service: "test", Size: 1000, FreshFor: time.Hour})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(cache.Close)
	return cache
}

var target = proxy.Target{Method: []byte("GET"), Host: []byte("app.example.com"), Path: []byte("/private/orders/2026"), Raw: []byte("/private/orders/2026")}

// serviceOf returns a service that takes the credentials of the tests.
func serviceOf(cache *sessioncache.Cache) *proxy.Service {
	return &proxy.Service{
		Credentials: proxy.Credentials{TokenHeader: "X-Session-Token", Cookie: cookie.Name, Bearer: true}, Sessions: cache,
		Tag: func(upstream.Credential) string { return "" },
	}
}

// presents presents the same to every service.
type presents struct{ proxy.Presented }

func (p *presents) Present(*proxy.Service) proxy.Presented { return p.Presented }

// BenchmarkDecide measures a decision about a known session: route, cache, view.
func BenchmarkDecide(b *testing.B) {
	f := func(name string, c upstream.Credential, routes int) {
		b.Run(name, func(b *testing.B) {
			g := newGate(b, routes)
			presented := &presents{proxy.Presented{Credential: c}}
			g.Decide(context.Background(), target, presented)
			b.ReportAllocs()
			for b.Loop() {
				if d := g.Decide(context.Background(), target, presented); d.Verdict != policy.Allowed {
					b.Fatalf("verdict is %v", d.Verdict)
				}
			}
		})
	}
	f("token39", token, 1)
	f("cookie428", cookie, 1)
	f("token39/routes1000", token, 1000)
}
