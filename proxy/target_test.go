package proxy

import (
	"strings"
	"testing"
)

// Every attack on the path that has worked on a gateway is refused, and what has one reading has its path.
func TestCanonicalPath(t *testing.T) {
	refused := func(targets ...string) {
		t.Helper()
		for _, target := range targets {
			if path, _, err := canonicalPath([]byte(target), nil); err == nil {
				t.Errorf("%q was read as %q", target, path)
			}
			if path, _, err := canonicalPath([]byte(target+"?q=1"), make([]byte, 0, 256)); err == nil {
				t.Errorf("%q with a query was read as %q", target, path)
			}
		}
	}
	// dot segments, in every encoding and with parameters
	refused("/public/../admin/secrets", "/info/../private", "/..", "/.", "/a/..", "/a/.", "/a/./b", "/../a", "/./a")
	refused("/a/%2e%2e/b", "/a/%2E%2E/b", "/a/.%2e/b", "/a/%2e./b", "/a/%2e/b", "/%2e", "/%2e%2e", "/a/%2e%2e")
	refused("/public/..;/admin", "/public/..;x=y/admin", "/public/.;/admin", "/public/%2e%2e;x/admin", "/public/..%3b/admin",
		"/public/..%3Bx/admin", "/a/..;")
	// encoded slashes and backslashes, and backslashes
	refused("/public/..%2fadmin", "/public/..%2F..%2fproxy/x", "/public%2f..%2fadmin",
		"/admin/..%2fpublic/x", "/admin%2f..%2fpublic", "/a%2f.", "/a%2f./b", "/a/.%2fb", "/.%2f", "/%2e%2e%2fa", "/a%2f%2e%2e")
	refused("/%2fa", "/a/%2fb", "/a%2f/b", "/a%2f%2fb", "/a%2f%2f", "/%2f", "/a/%2f", "/a%2f;x", "/a;x%2fb", "/a%2f..;x", "/a%2f..%20/b",
		"/a%2f..%3f", "/a%c3%2f%a9")
	refused("/public/..%5cadmin", "/public/..%5Cadmin", `/public/..\admin`, `/a\b`, "/a%5cb", "/a;x=%2f/b", "/a;x=%5c/b")
	// an encoded semicolon, which ends a segment to those that decode first
	refused("/deny%3b/secret", "/deny%3B", "/a;x=%3b")
	// dot segments to those that end a path or drop blanks after they have decoded it
	refused("/public/..%20/admin", "/public/..%20%20", "/public/..%3f/admin", "/public/..%23/admin", "/public/.%20/admin")
	// double encoding
	refused("/%2561dmin/export.csv", "/%25", "/a%252fb", "/a%252e%252e/b", "/100%25")
	// control bytes, blanks, bytes beyond ASCII, bad UTF-8
	refused("/a%00b", "/a%0d%0aX", "/a%1fb", "/a%7fb", "/a%09b", "/a b", "/a\tb", "/a\x00b", "/a\x7fb", "/caf\xc3\xa9", "/a\xff",
		"/%c0%ae%c0%ae/", "/%ff", "/a%e2%82", "/%ed%a0%80")
	// broken encodings
	refused("/a%", "/a%2", "/a%zz", "/a%2zb", "/a%%61", "/a;x=%", "/a;x=%zz", "/a%\xc3\xa9")
	// empty segments
	refused("//admin", "//evil.example.com/a", "/a//b", "/a//", "//", "/;/a", "/a/;x/b", "/a/;", "/;")
	// fragments
	refused("/admin#/public", "/a#", "/#", "/;#")
	// anything but the origin form
	refused("", "admin", "*", "http://app.example.com/admin", "http://eve:pw@h/", "https:/a", "example.com:443", "?a", "./a", "../a",
		"%2fa", "\\a", " /a")

	for _, target := range []string{"/a?b c", "/a?b#c", "/a?b\x00", "/a?b\x7f", "/a?\r", "/a?#"} {
		if path, _, err := canonicalPath([]byte(target), nil); err == nil {
			t.Errorf("%q was read as %q", target, path)
		}
	}

	accepted := func(target, want string) {
		t.Helper()
		for _, buf := range [][]byte{nil, make([]byte, 0, 256), []byte("rubbish")} {
			if path, _, err := canonicalPath([]byte(target), buf); err != nil || string(path) != want {
				t.Errorf("%q was read as %q, %v, want %q", target, path, err, want)
			}
		}
	}
	accepted("/", "/")
	accepted("/?", "/")
	accepted("/?a=/../b//c%2f%zz\xc3\xa9?d", "/")
	accepted("/a", "/a")
	accepted("/a/", "/a/")
	accepted("/a/b/", "/a/b/")
	accepted("/A/b", "/A/b")
	accepted("/%41%2d%5f", "/A-_")
	accepted("/%c3%a9", "/é")
	accepted("/a%20b", "/a b")
	accepted("/admin%23/public", "/admin#/public")
	accepted("/admin%3fx", "/admin?x")
	accepted("/.well-known/acme", "/.well-known/acme")
	accepted("/.git/config", "/.git/config")
	accepted("/a.b/..c/d../...", "/a.b/..c/d../...")
	accepted("/a./.b", "/a./.b")
	accepted("/%2ea", "/.a")
	accepted("/a;x=y", "/a")
	accepted("/a;x=y;z/b;v=1.2", "/a/b")
	accepted("/a;..", "/a")
	accepted("/a;/b", "/a/b")
	accepted("/a;x=%41", "/a")
	accepted("/~a!$&'()*+,=:@-_", "/~a!$&'()*+,=:@-_")
	accepted("/a:b@c", "/a:b@c")
	accepted("/"+strings.Repeat("a/", 1000), "/"+strings.Repeat("a/", 1000))
	accepted("/"+strings.Repeat("%61/", 1000), "/"+strings.Repeat("a/", 1000))
}

func TestCanonicalHost(t *testing.T) {
	accepted := func(host, want string) {
		t.Helper()
		for _, buf := range [][]byte{nil, make([]byte, 0, 4), []byte("rubbish")} {
			in := []byte(host)
			if got, ok := canonicalHost(in, buf); !ok || string(got) != want || string(in) != host {
				t.Errorf("%q was read as %q, %v, want %q", host, got, ok, want)
			}
		}
	}
	accepted("app.example.com", "app.example.com")
	accepted("APP.Example.COM", "app.example.com")
	accepted("app.example.com.", "app.example.com")
	accepted("app.example.com:8443", "app.example.com")
	accepted("App.example.com.:80", "app.example.com")
	accepted("app.example.com:", "app.example.com")
	accepted("localhost", "localhost")
	accepted("a_b.example.com", "a_b.example.com")
	accepted("xn--caf-dma.example.com", "xn--caf-dma.example.com")
	accepted("127.0.0.1:8080", "127.0.0.1")
	accepted("[::1]", "[::1]")
	accepted("[::1]:", "[::1]")
	accepted(strings.Repeat("a.", 127), strings.Repeat("a.", 127)[:253])
	accepted("[2001:DB8::1]:443", "[2001:db8::1]")
	accepted("[0:0:0:0:0:0:0:1]", "[::1]")
	accepted("[::0001]:80", "[::1]")
	accepted("[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]")

	refused := func(hosts ...string) {
		t.Helper()
		for _, host := range hosts {
			if got, ok := canonicalHost([]byte(host), nil); ok {
				t.Errorf("%q was read as %q", host, got)
			}
		}
	}
	refused("", ".", "..", ":", ":80", "a..b", ".a", "a..", "a.b..")
	refused("eve:pw@app.example.com", "eve@app.example.com", "app.example.com@evil", "a b", " a", "a ", "a\tb", "a\x00", "a/b", "a?b",
		"a#b", `a\b`, "a,b", "a, b", "a%2eb", "é.example.com")
	refused("a:b", "a:80:80", "a:80a", "a:-80", "a: 80", "a:000000", "a:123456")
	refused("[", "[]", "[:", "[::1", "[::1]80", "[::1]:x", "[::g]", "[::1%25eth0]", "::1", "[a]b", "x[::1]")
	refused(strings.Repeat("a", 254), strings.Repeat("a.", 128))
}
