package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

func compile(t testing.TB, rules []policy.Rule, headers ...policy.Header) *policy.Policy {
	t.Helper()
	p, err := policy.Compile(rules, headers)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// route returns the name of the route of a request, and "" if there is none.
func route(p *policy.Policy, method, host, path string) string {
	if r := p.Route([]byte(host), []byte(path), []byte(method)); r != nil {
		return r.Name
	}
	return ""
}

func TestPathPatterns(t *testing.T) {
	f := func(pattern string, matches, others []string) {
		t.Helper()
		p := compile(t, []policy.Rule{{Name: "it", Path: pattern}})
		for _, path := range matches {
			if route(p, "GET", "h", path) != "it" {
				t.Errorf("%s does not match %q", pattern, path)
			}
		}
		for _, path := range others {
			if route(p, "GET", "h", path) != "" {
				t.Errorf("%s matches %q", pattern, path)
			}
		}
	}
	f("/*", []string{"/", "/a", "/a/b", "/a/", "/*"}, []string{"", "a", "*"})
	f("/", []string{"/"}, []string{"", "/a", "//"})
	f("/login", []string{"/login"}, []string{"/login/", "/login/x", "/loginx", "/Login", "/", "login", "/x/login"})
	f("/admin/*", []string{"/admin", "/admin/", "/admin/x", "/admin/x/y"}, []string{
		"/administrator", "/admi", "/", "/x/admin",
		"/ADMIN", "/Admin/x",
	})
	f("/a/b/*", []string{"/a/b", "/a/b/c"}, []string{"/a", "/a/bc", "/a/", "/b"})
	f("/a/", []string{"/a/"}, []string{"/a", "/a/b"})
	f("/a//*", []string{"/a/"}, []string{"/a", "/a/b"}) // no canonical path has an empty segment
	f("/é b/*", []string{"/é b/c"}, []string{"/%C3%A9%20b"})
}

func TestHostPatterns(t *testing.T) {
	f := func(pattern string, matches, others []string) {
		t.Helper()
		p := compile(t, []policy.Rule{{Name: "it", Host: pattern, Path: "/*"}})
		for _, host := range matches {
			if route(p, "GET", host, "/x") != "it" {
				t.Errorf("%s does not match %q", pattern, host)
			}
		}
		for _, host := range others {
			if route(p, "GET", host, "/x") != "" {
				t.Errorf("%s matches %q", pattern, host)
			}
		}
	}
	f("", []string{"a.example.com", "example.com", "[::1]", "x"}, nil)
	f("app.example.com", []string{"app.example.com"}, []string{
		"", "example.com", "x.app.example.com", "app.example.com.",
		"appxexample.com",
	})
	f("App.Example.com", []string{"app.example.com"}, nil)
	f("*.example.com", []string{"a.example.com", "a.b.example.com"}, []string{
		"example.com", "xexample.com", "", "com",
		"example.com.evil", "a.example.comx",
	})
	f("[::1]", []string{"[::1]"}, []string{"::1"})
}

func TestMethods(t *testing.T) {
	p := compile(t, []policy.Rule{
		{Name: "read", Path: "/*", Methods: []string{"GET", "HEAD"}},
		{Name: "post", Path: "/*", Methods: []string{"POST"}},
	})
	for method, want := range map[string]string{"GET": "read", "HEAD": "read", "POST": "post", "PUT": "", "get": "", "": "", "GETX": ""} {
		if got := route(p, method, "h", "/"); got != want {
			t.Errorf("%s: %q, want %q", method, got, want)
		}
	}
}

func TestFirstMatchWins(t *testing.T) {
	rules := []policy.Rule{
		{Name: "exact", Path: "/a/b"},
		{Name: "post", Path: "/a/*", Methods: []string{"POST"}},
		{Name: "host", Host: "*.example.com", Path: "/a/*"},
		{Name: "a", Path: "/a/*"},
		{Name: "app", Host: "app.example.com", Path: "/*"},
		{Name: "late", Path: "/a/b"},
		{Path: "/*"},
	}
	p := compile(t, rules)
	for request, want := range map[string]string{
		"GET app.example.com /a/b": "exact", "POST app.example.com /a/c": "post", "GET app.example.com /a/c": "host",
		"GET other /a/c": "a", "GET app.example.com /c": "app", "GET other /c": "routes[6]",
	} {
		part := strings.Fields(request)
		if got := route(p, part[0], part[1], part[2]); got != want {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
	for i, r := range p.Routes() {
		if r.Index != i || rules[i].Name != "" && r.Name != rules[i].Name {
			t.Errorf("route %d is %+v", i, r)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	f := func(want string, rules ...policy.Rule) {
		t.Helper()
		if _, err := policy.Compile(rules, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(`compile route 1: its name "a" is that of route 0 already`, policy.Rule{Name: "a", Path: "/"}, policy.Rule{Name: "a", Path: "/"})
	f(`its name "routes[1]" is that of route 0 already`, policy.Rule{Name: "routes[1]", Path: "/"}, policy.Rule{Path: "/"})
	f(`compile route "a": path "x" does not begin with /`, policy.Rule{Name: "a", Path: "x"})
	f(`compile route "routes[0]": path "" does not begin with /`, policy.Rule{})
	const strip = `compile route "a": its path "/ab/*" does not begin with the prefix `
	for _, prefix := range []string{"/a", "/ab/", "/", "ab", "/abc", "/ab/c"} {
		f(strip, policy.Rule{Name: "a", Path: "/ab/*", StripPrefix: prefix})
	}
	f("does not begin with the prefix", policy.Rule{Path: "/*", StripPrefix: "/"})
}

func TestParseAccess(t *testing.T) {
	for name, want := range map[string]policy.Access{
		"deny": policy.DenyAccess, "public": policy.PublicAccess, "optional": policy.OptionalAccess, "session": policy.SessionAccess,
	} {
		if got, ok := policy.ParseAccess(name); !ok || got != want {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "Public", "none", "sessions"} {
		if got, ok := policy.ParseAccess(name); ok || got != policy.DenyAccess {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
}

// firstMatch is what the router must do, rule by rule.
func firstMatch(rules []policy.Rule, method, host, path string) string {
	for i, r := range rules {
		suffix, wild := strings.CutPrefix(r.Host, "*")
		prefix, below := strings.CutSuffix(r.Path, "/*")
		switch {
		case r.Host != "" && !wild && host != strings.ToLower(r.Host):
		case wild && !strings.HasSuffix(host, strings.ToLower(suffix)):
		case below && path != prefix && !strings.HasPrefix(path, prefix+"/"), !below && path != r.Path:
		case len(r.Methods) > 0 && !slices.Contains(r.Methods, method):
		default:
			return fmt.Sprintf("routes[%d]", i)
		}
	}
	return ""
}

// rulesFrom makes rules of numbers. Names are few, so that they meet.
func rulesFrom(numbers []byte) []policy.Rule {
	hosts := []string{"", "a", "b.a", "*.a", "*.b.a", "c.b.a", "*.A"}
	paths := []string{"/*", "/", "/a", "/a/*", "/a/b", "/a/b/*", "/ab/*", "/a/", "/b/*"}
	methods := [][]string{nil, {"GET"}, {"POST", "PUT"}}
	var rules []policy.Rule
	for _, n := range numbers {
		rest := int(n) / len(hosts)
		rules = append(rules, policy.Rule{
			Host: hosts[int(n)%len(hosts)], Path: paths[rest%len(paths)], Methods: methods[rest/len(paths)%len(methods)],
		})
	}
	return rules
}

func TestRouterIsAFirstMatchLoop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := rulesFrom(rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "rules"))
		p, err := policy.Compile(rules, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			method := rapid.SampledFrom([]string{"GET", "POST", "DELETE"}).Draw(t, "method")
			host := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 4).Draw(t, "labels"), ".")
			path := "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "c"}), 0, 4).Draw(t, "segments"), "/")
			if got, want := route(p, method, host, path), firstMatch(rules, method, host, path); got != want {
				t.Fatalf("%s %s%s: %q, want %q", method, host, path, got, want)
			}
		}
	})
}

func FuzzRoute(f *testing.F) {
	f.Add([]byte{0, 7, 21, 130}, "GET", "b.a", "/a/b")
	f.Add([]byte{3, 4, 60, 61}, "PUT", "c.b.a", "/a/b/c/")
	f.Add([]byte{}, "", "", "")
	f.Fuzz(func(t *testing.T, numbers []byte, method, host, path string) {
		rules := rulesFrom(numbers)
		p := compile(t, rules)
		want := ""
		if strings.HasPrefix(path, "/") {
			want = firstMatch(rules, method, host, path)
		}
		if got := route(p, method, host, path); got != want {
			t.Errorf("%q %q %q: %q, want %q", method, host, path, got, want)
		}
		known := slices.ContainsFunc(rules, func(r policy.Rule) bool {
			r.Path, r.Methods = "/*", nil
			return firstMatch([]policy.Rule{r}, "GET", host, "/") != ""
		})
		if got := p.KnowsHost([]byte(host)); got != known {
			t.Errorf("%q: known %v, want %v", host, got, known)
		}
	})
}

// Routing costs neither an allocation nor, for a path of any depth, more than the longest pattern makes necessary.
func TestRouteDoesNotAllocate(t *testing.T) {
	p := compile(t, thousandRules())
	host, path, method := []byte("h500.example.com"), []byte("/app/500/x/y"), []byte("DELETE")
	if n := testing.AllocsPerRun(1000, func() { p.Route(host, path, method) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func thousandRules() []policy.Rule {
	var rules []policy.Rule
	for i := range 500 {
		rules = append(rules,
			policy.Rule{Path: fmt.Sprintf("/app/%d/*", i), Methods: []string{"GET", "POST"}, Access: policy.SessionAccess},
			policy.Rule{Host: fmt.Sprintf("h%d.example.com", i), Path: "/*", Access: policy.PublicAccess})
	}
	return rules
}

func BenchmarkRoute1000(b *testing.B) {
	p := compile(b, thousandRules())
	for name, path := range map[string]string{
		"first": "/app/0/x", "last": "/app/499/x", "none": "/other/x/y", "deep": strings.Repeat("/a", 30000),
	} {
		b.Run(name, func(b *testing.B) {
			host, path, method := []byte("www.example.com"), []byte(path), []byte("GET")
			b.ReportAllocs()
			for b.Loop() {
				p.Route(host, path, method)
			}
		})
	}
}
