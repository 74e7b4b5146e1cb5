package proxy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func TestFindTakesAParameter(t *testing.T) {
	c := Credentials{TokenHeader: "X-Dev", Cookie: "s", Query: "k", Bearer: true}
	f := func(raw, want string, lines ...string) {
		t.Helper()
		p := c.Find(readHeader(t, lines...), []byte(raw), nil)
		got := fmt.Sprint(p.By, ": ", p.Kind, " ", p.Name, " ", string(p.Value))
		if p.Malformed {
			got = "malformed"
		}
		if got != want {
			t.Errorf("%s %q: %q, want %q", raw, lines, got, want)
		}
	}
	const none = "none: none  "
	f("/", none)
	f("/?", none)
	f("/?k", none)
	f("/?k=", none)
	f("/k=v", none)
	f("/?K=v&kk=v&a=k", none)
	f("/?k=v", "query: session_token X-Dev v")
	f("/?a=1&k=v&b=2", "query: session_token X-Dev v")
	f("/?a=1;k=v;b=2", "query: session_token X-Dev v")
	f("/?%6b=v%2ew", "query: session_token X-Dev v.w")
	f("/?k=v&k=&k=v", "query: session_token X-Dev v")
	f("/?k=v?w=1", "query: session_token X-Dev v?w=1")
	// as with all kinds, a request is never two people
	f("/?k=v&k=w", "malformed")
	f("/?k=v&%6B=w", "malformed")
	f("/?k=v;k=w", "malformed")
	f("/?k=%zz", "malformed", "Authorization: Bearer b")
	f("/?k=a+b", "malformed")
	f("/?k=%00", "malformed")
	f("/?k="+strings.Repeat("v", upstream.MaxCredential+1), "malformed")
	// precedence: Wacht takes the cookie if there is one
	f("/?k=v", "session_token: session_token X-Dev t", "X-Dev: t", "Cookie: s=c")
	f("/?k=v", "cookie: cookie s c", "Cookie: s=c")
	f("/?k=v", "query: session_token X-Dev v", "Authorization: Bearer b")
}

func TestWithoutParameter(t *testing.T) {
	f := func(raw, want string) {
		t.Helper()
		if got := withoutParameter([]byte(raw), "k"); string(got) != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
	f("", "")
	f("/", "/")
	f("/?", "/?")
	f("/k=v", "/k=v")
	f("/?k=v", "/")
	f("/?k", "/")
	f("/?a=1", "/?a=1")
	f("/?a=1&k=v&b=2", "/?a=1&b=2")
	f("/?k=v&a=1", "/?a=1")
	f("/?k=v;a=1&b", "/?a=1&b")
	f("/?a=1;k=v", "/?a=1")
	f("/?k=v&k=w&%6B=x", "/")
	f("/?a=1&", "/?a=1&")
	f("/?&a=1&&k=v&", "/?&a=1&&")
	f("/?a=%6b=v&K=1&kk=2&a?k=3", "/?a=%6b=v&K=1&kk=2&a?k=3")
	f("/?a=1?k=v&k=v?x", "/?a=1?k=v")
}

// Whatever is removed, nobody who reads queries as net/url does finds the parameter in what is left, and everything else as it was.
func FuzzWithoutParameter(f *testing.F) {
	for _, seed := range []string{"k=v", "a=1&k=v&b=2", "%6b=v", "a&&k", "k=%zz&k=1", "%zzk=1", "a=1;k=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got := string(withoutParameter([]byte("/?"+query), "k"))
		_, left, _ := strings.Cut(got, "?")
		var want []string
		for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
			name, _, _ := strings.Cut(pair, "=")
			if plain, err := url.QueryUnescape(name); err != nil || plain != "k" {
				want = append(want, pair)
			}
		}
		if have := strings.FieldsFunc(left, func(r rune) bool { return r == '&' || r == ';' }); !slices.Equal(have, want) {
			t.Fatalf("%q became %q", query, left)
		}
		if values, _ := url.ParseQuery(left); values.Has("k") {
			t.Fatalf("%q became %q", query, left)
		}
	})
}
