package proxy_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// What a client says in headers of where it comes from and what it asks for changes neither the judgement of its own request nor what the
// application is told.
func TestClientsDoNotDescribeTheirRequests(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn, func(s *setup) {
		s.Rules = append([]policy.Rule{{Name: "plain", Path: "/admin/*", Host: "public.example.com", Access: policy.PublicAccess}}, s.Rules...)
	})
	for name, lines := range map[string][]string{
		"CVE-2026-40575 uri":         {"X-Forwarded-Uri: /public/x"},
		"CVE-2026-40575 all":         about("GET", "/public/x"),
		"CVE-2026-33495 proto":       {"X-Forwarded-Proto: http"},
		"CVE-2026-35051 prefix":      {"X-Forwarded-Prefix: /public"},
		"CVE-2026-54764 port":        {"X-Forwarded-Proto: https", "X-Forwarded-Port: 443"},
		"CVE-2026-39858 alias":       {"X_Forwarded_Proto: https", "X.Forwarded.Uri: /public/x"},
		"CVE-2023-27487 envoy":       {"X-Envoy-Original-Path: /public/x", "x-envoy-internal: true"},
		"CVE-2024-47070 chain":       {"X-Forwarded-For: a"},
		"CVE-2025-29927 subrequest":  {"X-Middleware-Subrequest: middleware:middleware:middleware:middleware:middleware"},
		"original and rewritten URL": {"X-Original-Url: /public/x", "X-Rewrite-Url: /public/x", "X-Original-Uri: /public/x"},
		"method override":            {"X-Http-Method-Override: OPTIONS", "X-Method-Override: HEAD", "X-Http-Method: OPTIONS"},
		"host": {
			"X-Forwarded-Host: public.example.com", "X-Original-Host: public.example.com",
			"Forwarded: host=public.example.com",
		},
		"client address": {
			"X-Forwarded-For: 127.0.0.1", "X-Real-Ip: 127.0.0.1", "True-Client-Ip: 127.0.0.1",
			"Forwarded: for=127.0.0.1",
		},
		"authelia 348 both descriptions": append(about("GET", "/public/x"), "X-Original-Url: http://public.example.com/public/x"),
	} {
		if res := g.get("/admin/x", lines...); res.StatusCode != 401 {
			t.Errorf("%s: status %d", name, res.StatusCode)
		}
		if head := headOf(t, g, app, request("GET", "/admin/x", "", append(lines, alice)...)); head !=
			"GET /admin/x HTTP/1.1\r\nHost: app.example.com\r\n"+ofAlice+"\r\n" {
			t.Errorf("%s: the application got %q", name, head)
		}
	}
}

// A description of a request is believed from a trusted peer only, in one family of headers, each of them once; everything else is a
// refusal and never "no restriction".
func TestDescriptionsAreUnambiguous(t *testing.T) {
	stranger, front := newGateway(t, nil), newGateway(t, nil, trusting)
	for _, lines := range [][]string{about("GET", "/public/x"), about("GET", "/x", alice), nil} {
		if res := stranger.get(authPath, lines...); res.StatusCode != 403 || res.Header["X-User-Id"] != nil {
			t.Errorf("CVE-2026-40575: a stranger got status %d and %v", res.StatusCode, res.Header)
		}
	}
	f := func(name string, status int, lines ...string) {
		t.Helper()
		if res := front.get(authPath, lines...); res.StatusCode != status {
			t.Errorf("%s: status %d, want %d", name, res.StatusCode, status)
		}
	}
	with := func(replaced string, lines ...string) []string {
		var all []string
		for _, line := range about("GET", "/public/x") {
			if !strings.HasPrefix(line, replaced+":") {
				all = append(all, line)
			}
		}
		return append(all, lines...)
	}
	f("as it should be", 200, about("GET", "/public/x")...)
	for _, name := range []string{"X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Uri"} {
		f("missing", 400, with(name)...)
		f("empty", 400, with(name, name+":")...)
		f("CVE-2026-39858 alias alone", 400, with(name, strings.ReplaceAll(name, "-", "_")+": x")...)
	}
	f("uri twice", 400, about("GET", "/public/x", "X-Forwarded-Uri: /x")...)
	f("uri twice, the same", 400, about("GET", "/public/x", "x-forwarded-uri: /public/x")...)
	f("host twice", 400, about("GET", "/public/x", "X-Forwarded-Host: app.example.com")...)
	f("method twice", 400, about("GET", "/public/x", "X-Forwarded-Method: GET")...)
	f("proto twice", 400, about("GET", "/public/x", "X-Forwarded-Proto: https")...)
	f("tinyauth 1089 the other family says more", 401, about("GET", "/x", "X-Original-Url: http://app.example.com/public/x",
		"X-Original-Uri: /public/x")...)
	f("authelia 691 only the other family", 400, "X-Original-Url: http://app.example.com/public/x", "X-Original-Method: GET")
	f("CVE-2026-34908", 400, about("GET", "/public/..%2fx")...)
	f("CVE-2019-9901", 400, about("GET", "/public/../x")...)
	f("CVE-2026-41059", 400, about("GET", "/x#/public/x")...)
	f("CVE-2025-54576", 401, about("GET", "/x?a=/public/")...)
	f("first segment taken for a host", 400, about("GET", "//public/x")...)
	f("whole URL", 400, about("GET", "http://app.example.com/public/x")...)
	f("method", 405, about("TRACE", "/public/x")...)
	f("lower-case method", 405, about("get", "/public/x")...)
	f("userinfo", 400, with("X-Forwarded-Host", "X-Forwarded-Host: public@app.example.com")...)
	f("two hosts", 400, with("X-Forwarded-Host", "X-Forwarded-Host: app.example.com, evil.example.com")...)
	f("CVE-2024-47070 scheme", 400, with("X-Forwarded-Proto", "X-Forwarded-Proto: gopher")...)
}
