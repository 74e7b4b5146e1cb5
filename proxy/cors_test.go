package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

const (
	page    = "Origin: https://www.example.com"
	strange = "Origin: https://evil.example"
	put     = "Access-Control-Request-Method: PUT"
)

// corsRules has a route for everything that can be said of pages of other origins.
var corsRules = []policy.Rule{
	{Name: "own", Path: "/own/*", Methods: []string{"PUT", "GET"}, Access: policy.SessionAccess, CORS: &policy.CORS{
		Origins: []string{"https://www.example.com", "http://localhost:3000"}, Credentials: true,
		Methods: "PUT, DELETE", Headers: "Content-Type, X-Csrf", Exposed: "X-Total", MaxAge: "600",
	}},
	{Name: "everybody", Path: "/any/*", Access: policy.PublicAccess, CORS: &policy.CORS{Origins: []string{"*"}}},
	{Name: "pass", Path: "/pass/*", Access: policy.SessionAccess, ForwardCredential: true, CORS: &policy.CORS{Pass: true}},
	{Name: "never", Path: "/never/*", Access: policy.DenyAccess, CORS: &policy.CORS{Pass: true}},
	{Name: "all", Path: "/*", Access: policy.SessionAccess},
}

// corsOf returns what a response says to browsers about sharing it.
func corsOf(res response) map[string][]string {
	all := map[string][]string{}
	for name, values := range res.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			all[name] = values
		}
	}
	return all
}

// A preflight is answered from the configuration, without a session and without the application.
func TestPreflightIsAnswered(t *testing.T) {
	app := answering(t, ok("must not be seen"))
	g := newGateway(t, app, trusting, ruled(corsRules...))
	f := func(path string, status int, reason policy.Reason, want map[string][]string, lines ...string) {
		t.Helper()
		res := g.ask(request("OPTIONS", path, "", lines...))
		if res.StatusCode != status || g.observer.last().Reason != reason || res.Header.Get("Cache-Control") != "no-store" || res.Close {
			t.Errorf("%s %q: status %d, observed %v, head %v", path, lines, res.StatusCode, g.observer.last(), res.Header)
		}
		if diff := cmp.Diff(want, corsOf(res)); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", path, lines, diff)
		}
	}
	varies := map[string][]string{"Vary": {"Origin"}}
	told := func(origin string) map[string][]string {
		return map[string][]string{
			"Access-Control-Allow-Origin": {origin}, "Access-Control-Allow-Credentials": {"true"}, "Vary": {"Origin"},
			"Access-Control-Allow-Methods": {"PUT, DELETE"}, "Access-Control-Allow-Headers": {"Content-Type, X-Csrf"},
			"Access-Control-Max-Age": {"600"},
		}
	}
	f("/own/x", 204, policy.Preflight, told("https://www.example.com"), page, put)
	f("/own/x", 204, policy.Preflight, told("http://localhost:3000"), "Origin: http://localhost:3000", put)
	f("/any/x", 204, policy.Preflight, map[string][]string{"Access-Control-Allow-Origin": {"*"}}, strange, put)
	f("/any/x", 204, policy.Preflight, map[string][]string{"Access-Control-Allow-Origin": {"*"}}, "Origin: null", put)
	for _, origin := range []string{
		"https://evil.example", "null", "*", "https://www.example.com.evil", "https://WWW.example.com", "http://www.example.com",
		"https://www.example.com:443", "https://www.example.com/", "https://www.example.com, https://www.example.com",
	} {
		f("/own/x", 403, policy.PreflightRefused, varies, "Origin: "+origin, put)
	}

	// What is no preflight needs what every other OPTIONS request does.
	none := map[string][]string{}
	f("/own/x", 401, policy.NoCredential, none, page) // the route of OPTIONS says nothing
	f("/own/x", 401, policy.NoCredential, none, put)
	f("/own/x", 401, policy.NoCredential, none, page, put, put)
	f("/own/x", 401, policy.NoCredential, none, page, page, put)
	f("/own/x", 401, policy.NoCredential, none, "Origin:", put)
	f("/own/x", 401, policy.NoCredential, none, page, "Access-Control-Request-Method: TRACE")
	f("/own/x", 401, policy.NoCredential, none, page, "Access-Control-Request-Method: put")
	f("/own/x", 401, policy.NoCredential, none, page, "Access-Control-Request-Method: DELETE") // of another route
	f("/x", 401, policy.NoCredential, none, page, put)
	f("/never/x", 403, policy.RouteDenies, none, page, put)
	if res := g.ask(request("OPTIONS", "/own/x", "body", page, put)); res.StatusCode != 401 {
		t.Errorf("with a body: status %d", res.StatusCode)
	}
	if res := g.ask(request("GET", "/own/x", "", page, put)); res.StatusCode != 401 {
		t.Errorf("GET: status %d", res.StatusCode)
	}
	if res := g.ask(request("OPTIONS", "/own/../x", "", page, put)); res.StatusCode != 400 {
		t.Errorf("path: status %d", res.StatusCode)
	}
	if heads := app.heads(); len(heads) > 0 {
		t.Errorf("the application saw %q", heads)
	}
	if asked := g.sessions.questions(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
	// A front proxy can only let it pass, or not.
	auth := func(path string, status int) {
		t.Helper()
		if res := g.get(authPath, about("OPTIONS", path, page, put)...); res.StatusCode != status {
			t.Errorf("forward-auth of %s: status %d, want %d", path, res.StatusCode, status)
		}
	}
	auth("/own/x", 401)
	auth("/pass/x", 200)
	auth("/never/x", 403)
}

// With pass the application answers it, and is told nothing of anybody.
func TestPreflightIsPassedWithoutIdentity(t *testing.T) {
	app := answering(t, ok("", "Access-Control-Allow-Origin: https://evil.example", "Vary: Accept"))
	g := newGateway(t, app, oneConn, ruled(corsRules...))
	got := headOf(t, g, app, request("OPTIONS", "/pass/x", "", page, put, alice, "Cookie: a=1; ory_kratos_session="+aliceCookie,
		"X-User-Id: root", "Authorization: Bearer "+aliceToken))
	want := "OPTIONS /pass/x HTTP/1.1\r\nHost: app.example.com\r\n" + page + "\r\n" + put + "\r\nCookie: a=1\r\n" + ofPublic + "\r\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if asked := g.sessions.questions(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
	before := map[string][]string{"Access-Control-Allow-Origin": {"https://evil.example"}, "Vary": {"Accept"}}
	if diff := cmp.Diff(before, corsOf(g.get("/pass/x", alice, page))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, path := range []string{"/pass%2Fx", "/pass/x%2Fy", "/pass;x/y", "/pass;x"} { // in one reading only, or with a slash that is not allowed
		if res := g.ask(request("OPTIONS", path, "", page, put)); res.StatusCode != 400 {
			t.Errorf("%s: status %d", path, res.StatusCode)
		}
	}
	for _, lines := range [][]string{{page}, {put}, {page, put, "Transfer-Encoding: chunked"}} {
		if res := g.ask(request("OPTIONS", "/pass/x", "", lines...)); res.StatusCode != 401 {
			t.Errorf("%q: status %d", lines, res.StatusCode)
		}
	}
}

// Only pages of allowed origins may read a response, whatever the application says, and its refusals too.
func TestResponsesAreShared(t *testing.T) {
	app := answering(t, ok("", "access-control-allow-origin: *", "Access-Control-Allow-Origin: https://evil.example",
		"Access-Control-Allow-Credentials: true", "Access-Control-Expose-Headers: X-Secret", "Access-Control-Allow-Private-Network: true",
		"Vary: Accept"))
	g := newGateway(t, app, trusting, ruled(corsRules...))
	f := func(path string, status int, want map[string][]string, lines ...string) {
		t.Helper()
		res := g.get(path, lines...)
		if diff := cmp.Diff(want, corsOf(res)); diff != "" || res.StatusCode != status {
			t.Errorf("%s %q: status %d (-want +got):\n%s", path, lines, res.StatusCode, diff)
		}
	}
	shared := func(vary ...string) map[string][]string {
		return map[string][]string{
			"Access-Control-Allow-Origin": {"https://www.example.com"}, "Access-Control-Allow-Credentials": {"true"},
			"Access-Control-Expose-Headers": {"X-Total"}, "Vary": vary,
		}
	}
	f("/own/x", 200, shared("Accept", "Origin"), alice, page)
	f("/own/x", 401, shared("Origin"), page)
	f("/own/x", 200, map[string][]string{"Vary": {"Accept", "Origin"}}, alice, strange)
	f("/own/x", 200, map[string][]string{"Vary": {"Accept", "Origin"}}, alice)
	f("/own/x", 200, map[string][]string{"Vary": {"Accept", "Origin"}}, alice, page, strange)
	f("/own/x", 401, map[string][]string{"Vary": {"Origin"}}, strange)
	f("/any/x", 200, map[string][]string{"Access-Control-Allow-Origin": {"*"}, "Vary": {"Accept"}}, strange)
	f("/any/x", 200, map[string][]string{"Access-Control-Allow-Origin": {"*"}, "Vary": {"Accept"}})
	f("/x", 401, map[string][]string{}, page)
	f(authPath, 401, shared("Origin"), about("GET", "/own/x", page)...)

	for _, vary := range []string{"origin", "Accept, Origin", "*"} {
		g := newGateway(t, answering(t, ok("", "Vary: "+vary)), ruled(corsRules...))
		if res := g.get("/own/x", alice, page); !cmp.Equal(res.Header["Vary"], []string{vary}) {
			t.Errorf("%s: %q", vary, res.Header["Vary"])
		}
	}
	failing := newGateway(t, answering(t, "HTTP/1.1 nonsense\r\n\r\n"), ruled(corsRules...))
	if res := failing.get("/own/x", alice, page); res.StatusCode != http.StatusBadGateway || !cmp.Equal(corsOf(res), shared("Origin")) {
		t.Errorf("status %d head %v", res.StatusCode, res.Header)
	}
	// A chunked response has its head written by another way.
	streaming := newGateway(t, answering(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nAccess-Control-Allow-Origin: *\r\n\r\n1\r\na\r\n0\r\n\r\n"),
		ruled(corsRules...))
	if res := streaming.get("/own/x", alice, page); res.body != "a" || !cmp.Equal(corsOf(res), shared("Origin")) {
		t.Errorf("body %q head %v", res.body, res.Header)
	}
}
