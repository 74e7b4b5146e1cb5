package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// What is wrong with a target is said in one word, to the operator and, if that is wanted, to the client. The word is never the client's.
func TestDetailOfAMalformedTarget(t *testing.T) {
	g := newGateway(t, nil, trusting, func(s *setup) {
		s.AccessLog, s.Explain = true, true
		s.Rules = append([]policy.Rule{{Name: "slashes", Path: "/slashes/*", Access: policy.PublicAccess, AllowEncodedSlashes: true}}, someRules...)
	})
	f := func(want string, raw string) {
		t.Helper()
		before := len(g.log.String())
		res := g.ask(raw)
		if got := res.Header.Get("X-Gatehouse-Detail"); res.StatusCode != 400 || got != want || strings.Contains(res.body, want) {
			t.Errorf("%q: status %d, detail %q, want %q; body %q", raw, res.StatusCode, got, want, res.body)
		}
		if line := g.log.String()[before:]; !strings.Contains(line, " detail="+want+"\n") && !strings.Contains(line, " detail="+want+" ") {
			t.Errorf("%q: no detail %s in %q", raw, want, line)
		}
	}
	for target, want := range map[string]string{
		"http://other.example.com/x": "no_path", "*": "no_path",
		"//x": "double_slash", "/a//b": "double_slash", "/a%2f%2fb": "double_slash", "/a/;x/b": "double_slash", "/;x": "double_slash",
		"/../x": "dot_segment", "/a/.": "dot_segment", "/a/%2e%2E/b": "dot_segment", "/a/..;x/b": "dot_segment", "/a%2f..%2fb": "dot_segment",
		"/a/..%3fx": "dot_segment",
		`/a\b`:      "backslash", "/a%5cb": "backslash",
		"/a#b": "fragment", "/a?b#c": "fragment",
		"/a%00": "control_byte", "/a%7f": "control_byte",
		"/a\xe9": "raw_byte",
		"/a%":    "bad_encoding", "/a%2": "bad_encoding", "/a%zz": "bad_encoding",
		"/a%252e": "encoded_percent", "/a%3bb": "encoded_semicolon",
		"/a%2fb": "encoded_slash", "/public/a%2Fb": "encoded_slash", "/a;b%2fc": "encoded_slash", "/sessions%2fwhoami": "encoded_slash",
		"/a%c0%ae":    "bad_utf8",
		"/public;x/y": "other_route", "/slashes%2fx": "encoded_slash",
	} {
		f(want, request("GET", target, ""))
	}
	f("host", "GET /x HTTP/1.1\r\nHost: a@b\r\n\r\n")
	f("destination", request("COPY", "/public/x", "", "Destination: /x"))
	f("destination", request("COPY", "/public/x", ""))

	// Of forward-auth it is what a header has.
	f("dot_segment", request("GET", authPath, "", about("GET", "/../x")...))
	f("host", request("GET", authPath, "", "X-Forwarded-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Uri: /x", "X-Forwarded-Host: a b"))
	f("encoded_slash", request("GET", authPath, "", about("GET", "/a%2fb")...))
	f("bad_encoding", request("GET", authPath+"/envoy/a%zz", ""))

	res := g.get("/deny/x")
	if res.StatusCode != 403 || res.Header["X-Gatehouse-Detail"] != nil {
		t.Errorf("status %d, head %v", res.StatusCode, res.Header)
	}
}

// The detail of a question is that of the request it is about.
func TestDetailOfAnAnswer(t *testing.T) {
	g := newGateway(t, nil)
	for target, want := range map[string]string{"/a/%2e%2e": "dot_segment", "/a%2fb": "encoded_slash", "/public;x/y": "other_route"} {
		_, d, err := g.Answer(t.Context(), proxy.Question{Method: "GET", URL: "http://a" + target})
		if err != nil || d.Reason != policy.MalformedTarget || fmt.Sprint(d.Err) != want {
			t.Errorf("%s: %v, %v: %v; want %s", target, err, d.Reason, d.Err, want)
		}
	}
}
