package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// covers is compared with its meaning: every request that one route matches, the other matches too. The requests are all combinations
// of hosts, paths and methods that the patterns could tell apart.
func TestCoversMeansCovers(t *testing.T) {
	hosts := []string{"", "example.com", "a.example.com", "b.a.example.com", "notexample.com", "*.example.com", "*.a.example.com", "*.com"}
	paths := []string{"/*", "/", "/a", "/a/", "/a/*", "/a/b", "/a/b/*", "/ab", "/ab/*"}
	methods := [][]string{nil, {"GET"}, {"GET", "POST"}, {"POST", "GET"}, policy.Methods()}

	askedHosts := []string{
		"example.com", "a.example.com", "b.a.example.com", "c.b.a.example.com", "notexample.com", "other.com", "example.org",
	}
	askedPaths := []string{"/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/c", "/ab", "/ab/c", "/c"}
	askedMethods := methods[4]

	matches := func(m config.Match, host, path, method string) bool {
		below, wild := strings.CutPrefix(m.Host, "*.")
		parts := strings.Split(host, ".")
		hostFits := m.Host == "" || m.Host == host
		for i := 1; wild && i < len(parts); i++ {
			hostFits = hostFits || strings.Join(parts[i:], ".") == below
		}
		above, wild := strings.CutSuffix(m.Path, "/*")
		pathFits := m.Path == path || wild && (path == above || strings.HasPrefix(path, above+"/"))
		return hostFits && pathFits && (len(m.Methods) == 0 || slices.Contains(m.Methods, method))
	}
	var all []config.Match
	for _, h := range hosts {
		for _, p := range paths {
			for _, m := range methods {
				all = append(all, config.Match{Host: h, Path: p, Methods: m})
			}
		}
	}
	// Which requests each pattern matches, once.
	sets := make([][]bool, len(all))
	for i, m := range all {
		for _, h := range askedHosts {
			for _, p := range askedPaths {
				for _, method := range askedMethods {
					sets[i] = append(sets[i], matches(m, h, p, method))
				}
			}
		}
	}
	for i, a := range all {
		for j, b := range all {
			want := true
			for k := range sets[j] {
				if sets[j][k] && !sets[i][k] {
					want = false
					break
				}
			}
			if got := a.Covers(b); got != want {
				t.Fatalf("%+v covers %+v: got %v, want %v", a, b, got, want)
			}
		}
	}
}

func TestReachableRoutes(t *testing.T) {
	f := func(routes string) {
		t.Helper()
		parse(t, "upstream: { embedded: {} }\nroutes:\n"+routes)
	}
	f(`
  - { match: { path: /admin }, access: session }
  - { match: { path: /admin/* }, access: deny }
  - { match: { path: /administrator }, access: public }
  - { match: { path: /* }, access: session }`)
	f(`
  - { match: { host: "*.example.com", path: /* }, access: session }
  - { match: { host: example.com, path: /* }, access: session }`)
	f(`
  - { match: { path: /*, methods: [GET, HEAD] }, access: public }
  - { match: { path: /*, methods: [GET, POST] }, access: session }
  - { match: { path: /* }, access: deny }`)
}

// What is just within the bounds.
func TestAccepted(t *testing.T) {
	f := func(text string) {
		t.Helper()
		parse(t, "upstream: { embedded: {} }\n"+text)
	}
	host := func(name string) string {
		return "routes: [{ match: { host: " + name + ", path: /* }, access: session }]"
	}
	f("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0")
	f("listen: 127.0.0.1:80\nadmin: 127.0.0.2:80")
	f("listen: localhost:65535")
	f("listen: \"[fe80::1%eth0]:80\"")
	f("listen: unix:/" + strings.Repeat("x", 106))
	f("app: http://localhost")
	f("app: http://[::1]:3000/")
	f("identity_headers: { X-" + strings.Repeat("x", 62) + ": identity.id }")
	f("identity_headers: { Hostname: a, Team: b, Viaduct: c, Remote-User: d, X-Kratos-Authenticated-Identity-Id: e, Contents: f }")
	f("routes: [{ name: " + strings.Repeat("x", 64) + ", match: { path: /* }, access: session }]")
	f(host(strings.Repeat("x", 63) + ".com"))
	f(host(strings.Repeat("x.", 126) + "x"))
	f(host("192.0.2.1"))
	f(host(`"[::1]"`))
	f(host("a_b.example.com"))
	f(host("localhost"))
	f("forward_auth: { path: /auth }\nwhoami: { path: /authority }")
	f("session_cache: { size: 50000000, fresh_for: 24h, stale_for: 24h, negative_for: 5m }")
	f("session_cache: { size: 1, fresh_for: 100ms, stale_for: 0, negative_for: 0s }")
}
