package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestSessions tells a running gateway of two sessions, and lists, shows and revokes them.
func TestSessions(t *testing.T) {
	const token, other = "ory_st_AliceAliceAlice", "ory_st_BobBobBobBobBob"
	asked := map[string]int{}
	kratos := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.ToLower(r.Header.Get("X-Session-Token")[7:10])
		asked[name]++
		_, _ = w.Write([]byte(`{"id":"s-` + name + `","active":true,"authenticator_assurance_level":"aal1","identity":{"id":"i-` + name + `"}}`))
	}))
	defer kratos.Close()
	p := serveWith(t, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nupstream: { kratos: { url: "+kratos.URL+" }, timeout: 20s }\n")

	sessions := func(code int, stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command(p.Path, append(append([]string{"sessions"}, args...), "--admin", p.addresses["administration"])...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code || strings.Contains(string(out), "ory_st_") {
			t.Errorf("%v: %v, want exit code %d\n%s", args, err, code, out)
		}
		return string(out)
	}
	whoami := func(token string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.addresses["requests"]+"/sessions/whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Session-Token", token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("whoami answered %d", resp.StatusCode)
		}
	}
	want := func(out, pattern string) {
		t.Helper()
		if !regexp.MustCompile(pattern).MatchString(out) {
			t.Errorf("got\n%s\nwant %s", out, pattern)
		}
	}
	want(sessions(exitOK, "", "list"), `^SESSION +IDENTITY +AAL.*\n$`)
	whoami(token)
	whoami(other)
	want(sessions(exitOK, "", "list"), `(?s)^SESSION.*\ns-ali +i-ali +aal1 +fresh +[0-9.]+m?s +never +(hot|window) +[0-9a-f]{8}\ns-bob .*\n$`)
	want(sessions(exitOK, "", "list", "--identity", "i-bob"), `^SESSION.*\ns-bob.*\n$`)
	want(sessions(exitOK, "", "list", "--limit", "1"), `there are more than 1`)
	var list struct{ Sessions []remembered }
	if err := json.Unmarshal([]byte(sessions(exitOK, "", "list", "--json")), &list); err != nil || len(list.Sessions) != 2 {
		t.Errorf("as JSON: %v, error %v", list, err)
	}
	want(sessions(exitFailed, "", "list", "--limit", "0"), "limit must be a number")
	want(sessions(exitOK, "", "show", "s-ali"),
		`(?s)session +s-ali\nidentity +i-ali\naal +aal1\nexpires +never\ncredential +[0-9a-f]{8}, fresh, asked .* ago`)
	want(sessions(exitFailed, "", "show", "s-nobody"), "nothing is remembered of this session")

	f := func(name, token, stdin string, args ...string) {
		t.Helper()
		before := asked[name]
		want(sessions(exitOK, stdin, append([]string{"revoke"}, args...)...), "^revoked: if anything was remembered here, it is forgotten, and the session service is asked anew\n$")
		sessions(exitFailed, "", "show", "s-"+name)
		if whoami(token); asked[name] != before+1 {
			t.Errorf("%v: the service was asked %d times", args, asked[name]-before)
		}
	}
	f("ali", token, "", "s-ali")
	f("bob", other, "", "--identity", "i-bob")
	f("ali", token, token+"\n", "--credential", "-")
	f("ali", token, token+"\n", "--credential", "-", "--kind", "session_token")
	f("bob", other, "", "--all")
	want(sessions(exitOK, "", "revoke", "s-nobody"), "^revoked: if anything was remembered here")
	want(sessions(exitFailed, "not a token\n", "revoke", "--credential", "-"), "the gateway refused")
}

// TestSessionsOfSeveralServices lists, shows and revokes sessions of one service only, where another has some of the same names.
func TestSessionsOfSeveralServices(t *testing.T) {
	kratos := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"id":"s","active":true,"authenticator_assurance_level":"aal1","identity":{"id":"i"}}`))
	}))
	defer kratos.Close()
	p := serveWith(t, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nupstreams:\n  staff: { kratos: { url: "+kratos.URL+" }, timeout: 20s }\n"+
		"  customers: { kratos: { url: "+kratos.URL+" }, timeout: 20s }\nroutes:\n"+
		"  - { match: { host: localhost, path: /* }, access: session, upstream: staff }\n"+
		"  - { match: { path: /* }, access: session, upstream: customers }\n")
	for _, host := range []string{"localhost", "shop.example.com"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.addresses["requests"]+"/sessions/whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("X-Session-Token", "token")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	f := func(code int, pattern string, args ...string) {
		t.Helper()
		cmd := exec.Command(p.Path, append(append([]string{"sessions"}, args...), "--admin", p.addresses["administration"])...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code || !regexp.MustCompile(pattern).Match(out) {
			t.Errorf("%v: %v, want exit code %d and %s\n%s", args, err, code, pattern, out)
		}
	}
	f(exitOK, `^UPSTREAM +SESSION.*\ncustomers +s +i .*\nstaff +s +i .*\n$`, "list")
	f(exitOK, `^UPSTREAM +SESSION.*\nstaff +s +i .*\n$`, "list", "--upstream", "staff")
	f(exitOK, `(?s)^upstream +customers\nsession +s\n.*credential.*\nupstream +staff\nsession +s\n`, "show", "s")
	f(exitOK, `(?s)^upstream +staff\nsession +s\n`, "show", "s", "--upstream", "staff")
	f(exitFailed, `name of one of upstreams`, "revoke", "s", "--upstream", "nobody")
	f(exitOK, `^revoked`, "revoke", "s", "--upstream", "staff")
	f(exitOK, `^UPSTREAM +SESSION.*\ncustomers +s +i .*\n$`, "list")
	f(exitOK, `^revoked`, "revoke", "s")
	f(exitFailed, "nothing is remembered", "show", "s")
}
