package proxy

import (
	"bytes"
	"net/url"
	stdpath "path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// A path that is accepted has the readings that its forms say, which are those that net/url and path have of it, and no other.
func FuzzCanonicalPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/b?c", "/a/../b", "/a/%2e%2E/b", "/a%2fb", "/a;b/c;d", "/..;/a", "/a%3b/b", "/%c3%a9", "//a", "/a%", "/.a/..b/c..",
		"/a/.", "/a#b", `/a\b`, "/%25", "/a;..", "http://a/b", "/a/;x/b", "/a/;", "/a%2Fb;c%41/d%2F", "/a%2f%2fb", "/a%2f..%2fb", "/a;x%2f..",
		"/a;%ff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, target []byte) {
		before := bytes.Clone(target)
		path, found, err := canonicalPath(target, nil)
		again, foundAgain, errAgain := canonicalPath(target, make([]byte, 0, 8))
		if !bytes.Equal(target, before) || !bytes.Equal(path, again) || found != foundAgain || (err == nil) != (errAgain == nil) {
			t.Fatalf("%q: %q and %q", target, path, again)
		}
		if err != nil {
			return
		}
		raw, _, _ := strings.Cut(string(target), "?")
		u, err := url.ParseRequestURI(string(target))
		if err != nil || u.Path != readingOf(t, raw, parameters|encodedSlash) || u.Host != "" || u.Fragment != "" {
			t.Fatalf("%q: net/url reads %v, %v", target, u, err)
		}
		var want forms
		if strings.Contains(raw, ";") {
			want |= parameters
		}
		if strings.Contains(strings.ToUpper(raw), "%2F") {
			want |= encodedSlash
		}
		if found != want || string(path) != readingOf(t, raw, 0) {
			t.Fatalf("%q was read as %q, %b, want %q, %b", target, path, found, readingOf(t, raw, 0), want)
		}
		for reading := range parameters | encodedSlash + 1 {
			want := readingOf(t, raw, reading)
			if clean := stdpath.Clean(want); want != clean && want != clean+"/" || strings.ContainsAny(want, "\\\x00\r\n") {
				t.Fatalf("%q has the reading %q", target, want)
			}
			if reading&encodedSlash != 0 { // servers that decode it twice find nothing to do
				if twice, err := url.PathUnescape(want); err != nil || twice != want {
					t.Fatalf("%q has the reading %q, and %q if it is decoded twice", target, want, twice)
				}
			}
			got, _, err := decodePath([]byte(raw), nil, reading)
			if (err == nil) != utf8.ValidString(want) || err == nil && string(got) != want {
				t.Fatalf("%q was read as %q, %v, want %q", target, got, err, want)
			}
		}
	})
}

// readingOf returns what a server of the kind makes of a path, told by net/url.
func readingOf(t *testing.T, raw string, reading forms) string {
	t.Helper()
	segments := strings.Split(raw, "/")
	for i, segment := range segments {
		if reading&parameters == 0 {
			segment, _, _ = strings.Cut(segment, ";")
		}
		if reading&encodedSlash == 0 {
			segment = strings.NewReplacer("%2f", "%252F", "%2F", "%252F").Replace(segment)
		}
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		segments[i] = decoded
	}
	return strings.Join(segments, "/")
}

// Whatever takes a route takes it in every reading, and what the application is asked for, put below the prefix that it is told of, is what
// was judged, as net/url and path read it.
func FuzzServedPath(f *testing.F) {
	for _, seed := range []string{
		"/api/x?y", "/api", "/api/", "/api?x", "/%61pi/x", "/api/secret/x", "/api/a%2Fb", "/api%2Fsecret", "/api/secret%2fx", "/api/secret;x", "/api;x/y",
		"/api/v1/x", "/%c3%bc%20b/x;y", "/ab", "/api/v1%2fx", "/api/v1;a/x",
	} {
		f.Add([]byte(seed))
	}
	rules := []policy.Rule{
		{Name: "secret", Path: "/api/secret/*", StripPrefix: "/api"},
		{Name: "v1", Path: "/api/v1/*", StripPrefix: "/api/v1", AllowEncodedSlashes: true},
		{Name: "api", Path: "/api/*", StripPrefix: "/api", AllowEncodedSlashes: true},
		{Name: "ü", Path: "/ü b/*", StripPrefix: "/ü b"},
		{Name: "rest", Path: "/*", AllowEncodedSlashes: true},
	}
	p, err := policy.Compile(rules, nil)
	if err != nil {
		f.Fatal(err)
	}
	routeOf := func(path string) policy.Rule { // the first rule that matches, told in another way
		for _, r := range rules {
			if strings.HasPrefix(path+"/", strings.TrimSuffix(r.Path, "*")) {
				return r
			}
		}
		return policy.Rule{}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		path, found, err := canonicalPath(raw, nil)
		if err != nil {
			return
		}
		target := Target{Method: []byte("GET"), Host: []byte("h"), Path: path, Raw: raw, forms: found}
		route := p.Route(target.Host, target.Path, target.Method)
		if !target.agrees(p, route) {
			return
		}
		rule := routeOf(string(path))
		if route.Name != rule.Name || found&encodedSlash != 0 && !rule.AllowEncodedSlashes {
			t.Fatalf("%q takes %s, want %s", raw, route.Name, rule.Name)
		}
		served := appendBelow(nil, raw, route.StripSegments)
		asked, _, _ := strings.Cut(string(raw), "?")
		again, foundAgain, err := canonicalPath(served, nil)
		if err != nil || foundAgain != found || rule.StripPrefix+string(again) != string(path) && rule.StripPrefix != string(path) {
			t.Fatalf("%q is served as %q, which is %q, %v", raw, served, again, err)
		}
		u, err := url.ParseRequestURI(string(served))
		prefix, errPrefix := url.PathUnescape(string(route.Prefix))
		if err != nil || errPrefix != nil || prefix != rule.StripPrefix || bytes.Contains(raw, []byte("?")) != (u.RawQuery != "" || u.ForceQuery) {
			t.Fatalf("%q is served as %q below %q", raw, served, route.Prefix)
		}
		for reading := range parameters | encodedSlash + 1 {
			if got := routeOf(stdpath.Clean(readingOf(t, asked, reading))); got.Name != rule.Name {
				t.Fatalf("%q takes %s, and %s to some", raw, rule.Name, got.Name)
			}
		}
		if got := routeOf(stdpath.Clean(prefix + u.Path)); got.Name != rule.Name {
			t.Fatalf("%q takes %s, and is served as %q of %s", raw, rule.Name, served, got.Name)
		}
	})
}
