package proxy_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// An attack is a request that has got past some gateway.
type attack struct {
	name   string // of the weakness, and what is special about this request
	sent   string
	status int // the answer to it
}

// mount sends every attack to a gateway, with somebody's session where with is not empty, and fails if the answer is another one or the
// application sees anything at all.
func mount(t *testing.T, with string, attacks []attack, changes ...func(*setup)) {
	t.Helper()
	app := answering(t, ok("must not be seen"))
	g := newGateway(t, app, changes...)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			sent := a.sent
			if with != "" {
				sent = strings.Replace(sent, "\r\n\r\n", "\r\n"+with+"\r\n\r\n", 1)
			}
			c := g.dial()
			c.t = t
			c.send(sent)
			method, _, _ := strings.Cut(sent, " ")
			if res := c.next(method); res.StatusCode != a.status {
				t.Errorf("status %d, want %d for %q", res.StatusCode, a.status, sent)
			}
			if heads := app.heads(); len(heads) > 0 {
				t.Fatalf("the application saw %q", heads)
			}
		})
	}
}

// asking returns a request for a target.
func asking(target string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: app.example.com\r\n\r\n"
}

// A path that the gate and the application could read differently reaches no application, whoever asks: neither from a public area into a
// protected one nor the other way round.
func TestPathsWithTwoReadings(t *testing.T) {
	var attacks []attack
	add := func(name string, targets ...string) {
		for _, target := range targets {
			attacks = append(attacks, attack{name + " " + target, asking(target), 400})
		}
	}
	add("CVE-2026-33494", "/public/../admin/secrets", "/public/./../admin", "/public/..", "/public/../../admin")
	add("CVE-2026-42272", "/admin%2fsecret", "/admin%2Fsecret", "/public%2f..%2fadmin")
	add("CVE-2019-9901", "/info/../private", "/public/x/../../private")
	add("CVE-2026-34908", "/public/validate/..%2f..%2fproxy/x", "/public/validate/..%2F..%2Fproxy/x", "/public/%2e%2e/%2e%2e/x")
	add("CVE-2025-47952 CVE-2025-66490", "/public%2f..%2fadmin", "/public/%2e%2e/admin", "/public/.%2e/admin", "/public/%2E./admin")
	add("caddy 7941", "/public/..%2fadmin/secret", "/admin/..%2fpublic/x", "/admin%2f..%2fpublic")
	add("CVE-2026-52844 CVE-2022-21221", `/public/..%5cadmin`, `/public/..%5Cadmin`, `/public/..\admin`, `/public\..\admin`)
	add("GO-2026-4950", "/%2561dmin/export.csv", "/public/%252e%252e/admin", "/public%252fadmin", "/%25")
	add("CVE-2023-47106 CVE-2026-41059", "/admin#/public", "/admin#", "/#/public/x")
	add("CVE-2026-15573", "/public/..;/admin", "/public/..;x=y/admin", "/public/.;/admin", "/public/%2e%2e;/admin", "/public/..%3b/admin",
		"/;/admin",
		"/public/;x/../admin")
	add("CVE-2020-17523", "/admin/.", "/admin/%2e", "/admin/..%20/x", "/admin/.%20")
	add("overlong UTF-8", "/public/%c0%ae%c0%ae/admin", "/public/%c0%afadmin", "/public/%e0%80%af")
	add("control bytes", "/admin%0d%0aX-User-Id:%20root", "/admin%00.png", "/public/%0a", "/admin%09", "/a%7f")
	add("empty segments", "//admin", "/public//x", "//evil.example.com/public/x", "//x://y/public/../admin")
	add("broken encoding", "/%", "/%2", "/public/%zz", "/public/%u002e%u002e/admin")
	add("bytes beyond ASCII", "/public/\xc3\xa9", "/public/\xff")
	add("no path", "*", "public/x", "app.example.com:443", "?/public/x", "http:/public/x", "http://eve:pw@app.example.com/public/x",
		"http://evil.example.com/public/x")
	mount(t, "", attacks)
	mount(t, alice, attacks)
	mount(t, "", attacks, func(s *setup) { // also where nothing at all is protected
		s.Rules = []policy.Rule{{Path: "/*", Access: policy.PublicAccess}}
	})
}

// A path with one reading is judged by it: what only looks like a public path needs what its own route says.
func TestPathsThatOnlyLookPublic(t *testing.T) {
	var attacks []attack
	add := func(name string, targets ...string) {
		for _, target := range targets {
			attacks = append(attacks, attack{name + " " + target, asking(target), 401})
		}
	}
	add("CVE-2026-27587", "/PUBLIC/x", "/Public/x", "/%50ublic/x") // routes know one case, and what matches none is refused
	add("CVE-2026-41059", "/admin%23/public/x", "/admin%3f/public/x")
	add("CVE-2025-54576", "/admin?x=/public/", "/admin?/public/x", "/?path=/public/x", "/admin?x=/../public/x")
	add("CVE-2026-15573", "/admin/", "/admin;x=y", "/admin;/public/x", "/admin;x=/public/")
	add("CVE-2020-17523", "/admin/%20", "/admin%20", "/admin/...")
	add("GHSA-8j2w-6fmm-m587", "/API/channels", "/aPi/channels")
	add("prefix without its slash", "/publicity", "/public-x", "/public.x", "/public%20/x")
	mount(t, "", attacks)
}

// A path that is accepted reaches the application byte for byte as it came, and is never tidied up on its way.
func TestPathsPassAsTheyCame(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn)
	for _, target := range []string{
		"/public/%41%7e%2D", "/public/a%20b", "/public/%c3%a9", "/public/%C3%A9", "/public/a;x=y;z/b;v=1", "/public/", "/public/...",
		"/public/.well-known/x",
		"/public/a+b:c@d,e'f(g)h*i!j$k&l=m~n", "/public/%23", "/public/%3F", "/public/x?", "/public/x?a=/../b//c%2f", "/public/|<>\"^`{}",
		"/%70ublic/x",
	} {
		if head := headOf(t, g, app, asking(target)); !strings.HasPrefix(head, "GET "+target+" HTTP/1.1\r\n") {
			t.Errorf("%q became %q", target, head)
		}
	}
}
