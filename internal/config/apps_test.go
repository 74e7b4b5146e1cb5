package config_test

import "testing"

// TestTarget holds that every application that the configuration takes can be dialled.
func TestTarget(t *testing.T) {
	f := func(url, network, address string, secured bool) {
		t.Helper()
		app := parse(t, "upstream: { embedded: {} }\nlisten: :1\napp: "+url).App
		n, a, s := app.Target()
		if n != network || a != address || s != secured {
			t.Errorf("%s is dialled at %s %s, TLS %v; want %s %s, %v", url, n, a, s, network, address, secured)
		}
	}
	f("http://127.0.0.1:3000", "tcp", "127.0.0.1:3000", false)
	f("http://app.example.com", "tcp", "app.example.com:80", false)
	f("http://app.example.com/", "tcp", "app.example.com:80", false)
	f("https://app.example.com", "tcp", "app.example.com:443", true)
	f("https://app.example.com:8443", "tcp", "app.example.com:8443", true)
	f("http://[::1]", "tcp", "[::1]:80", false)
	f("https://[::1]", "tcp", "[::1]:443", true)
	f("http://[::1]:3000", "tcp", "[::1]:3000", false)
	f("unix:/run/app.sock", "unix", "/run/app.sock", false)
}

// TestAppOf holds that a route's own application goes before the one for all.
func TestAppOf(t *testing.T) {
	f := func(lines string, want ...string) {
		t.Helper()
		c := parse(t, "upstream: { embedded: {} }\nroutes:\n- { match: { path: /a }, access: session, app: http://a }\n"+
			"- { match: { path: /b }, access: session }\n"+lines)
		for i := range c.Routes {
			got := ""
			if app := c.AppOf(&c.Routes[i]); app != nil {
				got = app.URL
			}
			if got != want[i] {
				t.Errorf("%q: route %d goes to %q, want %q", lines, i, got, want[i])
			}
		}
	}
	f("", "http://a", "")
	f("app: ''", "http://a", "")
	f("app: http://b", "http://a", "http://b")
}
