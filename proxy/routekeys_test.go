package proxy_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// ruled makes a gateway judge by rules of its own.
func ruled(rules ...policy.Rule) func(*setup) { return func(s *setup) { s.Rules = rules } }

// servedAs returns the target by which the application was asked for what a client asked for, and the reason if it was not asked.
func servedAs(t *testing.T, g *gateway, app *scriptedApp, request string) string {
	t.Helper()
	before := len(app.heads())
	res := g.ask(request)
	heads := app.heads()
	if len(heads) == before {
		return res.Status[:4] + string(g.observer.last().Reason)
	}
	_, rest, _ := strings.Cut(heads[len(heads)-1], " ")
	target, _, _ := strings.Cut(rest, " HTTP/1.1\r\n")
	return target
}

// An encoded slash gets through only where the route allows it, and only if that route is the one whether or not a server takes it for a
// slash; as it came, then.
func TestEncodedSlashes(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, trusting, oneConn, ruled(
		policy.Rule{Name: "secret", Path: "/git/secret/*", Access: policy.PublicAccess, AllowEncodedSlashes: true},
		policy.Rule{Name: "exact", Path: "/git/a/b", Access: policy.PublicAccess, AllowEncodedSlashes: true},
		policy.Rule{Name: "git", Path: "/git/*", Access: policy.PublicAccess, AllowEncodedSlashes: true},
		policy.Rule{Name: "all", Path: "/*", Access: policy.PublicAccess},
	))
	f := func(path, want string) {
		t.Helper()
		if got := servedAs(t, g, app, request("GET", path, "")); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		res := g.get(authPath, about("GET", path)...)
		if passes := !strings.HasPrefix(want, "4"); passes != (res.StatusCode == 200) {
			t.Errorf("%s: forward-auth answers %d, the proxy %q", path, res.StatusCode, want)
		}
	}
	const refused = "400 malformed_target"
	same := func(path string) { t.Helper(); f(path, path) }
	same("/git/projects/group%2Fproject/issues?x=%2f")
	same("/git/projects/group%2fsub%2Fproject")
	same("/git/%61%2Fb%20c")
	same("/git/x%2F")
	same("/git/secret/a%2fb")
	same("/git/a/b%2Fc")

	f("/git/secret%2Fx", refused) // /git/secret/x to those that decode first
	f("/git/secret%2fx", refused)
	f("/git%2Fsecret/x", refused)
	f("/git%2Fx", refused)   // /git/x to them, and nothing under /git to others
	f("/git/a%2Fb", refused) // is one route's exact path to some
	f("/a%2Fb", refused)     // not allowed there
	f("/a/git%2Fb", refused)
	f("/%2Fgit/x", refused)
	for _, path := range []string{
		"/git/..%2fx", "/git/x%2f..", "/git/x%2F..%2Fsecret/y", "/git/%2e%2e%2fx", "/git/x%2f%2e%2e%2fy", "/git/%2e%2f", "/git/x%2f.",
		"/git/x%2F%2Fy", "/git/%2Fx", "/git/x%2F/y", "/git/x%2f%2f", "/git/x;y%2fz/a", "/git/x%2f..;y/z", "/git/x%5cy", "/git/x%252Fy", "/git/x%2",
		"/git/x%2F..%20/y", "/git/x%c0%afy", "/git/x%2f..%5cy",
	} {
		f(path, refused)
	}

	// No spelling of a path of Gatehouse's own reaches the application, even if only some would read it so.
	g = newGateway(t, app, oneConn, ruled(policy.Rule{Path: "/*", Access: policy.PublicAccess, AllowEncodedSlashes: true}))
	for path, want := range map[string]string{
		"/sessions%2Fwhoami": refused, "/%73essions%2fwhoami?x": refused, "/.gatehouse%2Fauth": refused, "/sessions/x%2Fwhoami": "/sessions/x%2Fwhoami",
	} {
		if got := servedAs(t, g, app, request("GET", path, "")); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// The application gets the path without the prefix, and no other than that which was judged.
func TestStripPrefix(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn, ruled(
		policy.Rule{Name: "secret", Path: "/api/secret/*", Access: policy.DenyAccess, StripPrefix: "/api"},
		policy.Rule{Name: "deep", Path: "/api/v1/x", Access: policy.PublicAccess, StripPrefix: "/api/v1"},
		policy.Rule{Name: "api", Path: "/api/*", Access: policy.PublicAccess, StripPrefix: "/api", AllowEncodedSlashes: true},
		policy.Rule{Name: "unicode", Path: "/ü b/*", Access: policy.PublicAccess, StripPrefix: "/ü b"},
		policy.Rule{Name: "all", Path: "/*", Access: policy.DenyAccess},
	))
	f := func(path, want string) {
		t.Helper()
		if got := servedAs(t, g, app, request("GET", path, "")); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	f("/api", "/")
	f("/api/", "/")
	f("/api?a=/api/b", "/?a=/api/b")
	f("/api/?", "/?")
	f("/api?", "/?")
	f("/api/users", "/users")
	f("/api/users/", "/users/")
	f("/api/api/users?x=//y", "/api/users?x=//y")
	f("/api/%75sers%20x/%c3%a9", "/%75sers%20x/%c3%a9")
	f("/api/a%2Fb", "/a%2Fb")
	f("/api/a;x=1/b", "/a;x=1/b")
	f("/%61pi/users", "/users") // the prefix in another spelling
	f("/%61%70%69?x", "/?x")
	f("/api/v1/x", "/x")
	f("/api/v1/x/y", "/v1/x/y")
	f("/%C3%BC%20b/x", "/x")
	f("/%c3%bc%20b", "/")

	f("/api/secret/x", "403 route_denies")
	f("/api/%73ecret", "403 route_denies")
	f("/apix", "403 route_denies")
	f("/api../secret", "403 route_denies") // CVE-2026-40912 and its like
	f("/api;x/users", "400 malformed_target")
	f("/api%2Fusers", "400 malformed_target")
	f("/api%2F%2Fevil", "400 malformed_target")
	f("/api%2Fsecret", "400 malformed_target")
	for _, path := range []string{"/api//x", "/api/", "/api/..", "/api/../x", "/api/..%2fx", "/api/%2fx", "/api/%2e%2e/x", `/api/\x`} {
		if path != "/api/" {
			f(path, "400 malformed_target")
		}
	}

	// Who made the path shorter tells by what. Clients cannot.
	head := headOf(t, g, app, request("GET", "/%61pi/users", "", "X-Forwarded-Prefix: /evil"))
	if want := "GET /users HTTP/1.1\r\nHost: app.example.com\r\n" + ofPublic + "X-Forwarded-Prefix: /api\r\n\r\n"; head != want {
		t.Errorf("%q, want %q", head, want)
	}
	head = headOf(t, g, app, request("GET", "/%C3%BC%20b/x", ""))
	if !strings.HasSuffix(head, "X-Forwarded-Prefix: /%C3%BC%20b\r\n\r\n") {
		t.Errorf("%q", head)
	}
}

// Parameters are judged as such and as part of a name, since applications differ in it.
func TestParametersHaveTwoReadings(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, ruled(
		policy.Rule{Name: "login", Path: "/login", Access: policy.PublicAccess},
		policy.Rule{Name: "admin", Path: "/app/admin/*", Access: policy.DenyAccess},
		policy.Rule{Name: "app", Path: "/app/*", Access: policy.PublicAccess},
	))
	f := func(path, want string) {
		t.Helper()
		if got := servedAs(t, g, app, request("GET", path, "")); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	f("/app/x;jsessionid=1/y;a=b?c;d", "/app/x;jsessionid=1/y;a=b?c;d")
	f("/app/x;", "/app/x;")
	f("/app/admin;x", "400 malformed_target") // the admin's to some, and everybody's to others
	f("/app/admin;/x", "400 malformed_target")
	f("/login;x", "400 malformed_target")
	f("/app;x/y", "400 malformed_target")
	f("/other;x", "403 no_route")
}

// A whole URL is what RFC 9112 section 3.2.2 makes of it, if it names the host of the Host line.
func TestAbsoluteForm(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, trusting)
	f := func(url, host, want string) {
		t.Helper()
		if got := servedAs(t, g, app, "GET "+url+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); got != want {
			t.Errorf("%s at %s: %q, want %q", url, host, got, want)
		}
	}
	const refused = "400 malformed_target"
	f("http://app.example.com/public/x?y=http://z", "app.example.com", "/public/x?y=http://z")
	f("HTTPS://App.example.com:8443/public/%78", "app.Example.com:8443", "/public/%78")
	f("http://[::1]:80/public/x", "[::1]:80", "/public/x")
	f("http://app.example.com", "app.example.com", "401 no_credential")
	f("http://app.example.com?x", "app.example.com", "401 no_credential")
	f("http://app.example.com/deny/x", "app.example.com", "403 route_denies")
	f("http://app.example.com/public/../x", "app.example.com", refused)
	f("http://app.example.com//public/x", "app.example.com", refused)
	f("http://app.example.com#/public/x", "app.example.com", refused)
	for _, url := range []string{
		"http://other.example.com/public/x", "http://app.example.com:80/public/x", "http://app.example.com./public/x",
		"http://app.example.com@other/public/x", "http://eve:pw@app.example.com/public/x", "ftp://app.example.com/public/x",
		"http:///public/x", "//app.example.com/public/x",
	} {
		f(url, "app.example.com", refused)
	}
	for _, url := range []string{"http:/app.example.com/public/x", "http://app.example.com\\public/x"} {
		f(url, "app.example.com", "400 malformed_request")
	}
	f("http://eve@app.example.com/public/x", "eve@app.example.com", refused)
	f("http://\u212aelvin/public/x", "kelvin", refused) // the sign of the unit, which is a k to those who fold Unicode

	if res := g.ask("GET http://gw/sessions/whoami HTTP/1.1\r\nHost: gw\r\n" + alice + "\r\n\r\n"); res.StatusCode != 200 {
		t.Errorf("whoami: status %d", res.StatusCode)
	}
	if res := g.ask("GET http://gw/sessions/whoami HTTP/1.1\r\nHost: other\r\n" + alice + "\r\n\r\n"); res.StatusCode != 400 {
		t.Errorf("whoami at another host: status %d", res.StatusCode)
	}
	for _, two := range []string{"Host: a\r\nHost: b", "Host: a\r\nHost: a", ""} { // exactly one Host
		for _, version := range []string{"1.0", "1.1"} {
			c := g.dial()
			c.send("GET /public/x HTTP/" + version + "\r\n" + two + "\r\n\r\n")
			if res := c.next("GET"); res.StatusCode != 400 {
				t.Errorf("%q with HTTP/%s: status %d", two, version, res.StatusCode)
			}
		}
	}
}

// A host that no route could be for is told so, unless a route is for any host.
func TestUnknownHost(t *testing.T) {
	app := answering(t, ok(""))
	hosts := []policy.Rule{
		{Name: "a", Host: "a.example.com", Path: "/a/*", Access: policy.PublicAccess},
		{Name: "b", Host: "*.b.example.com", Path: "/*", Access: policy.PublicAccess},
	}
	f := func(g *gateway, host, want string) {
		t.Helper()
		if got := servedAs(t, g, app, "GET /x HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
	g := newGateway(t, app, trusting, ruled(hosts...))
	f(g, "a.example.com", "403 no_route")
	f(g, "A.Example.com.:80", "403 no_route")
	f(g, "x.y.b.example.com", "/x")
	for _, host := range []string{"b.example.com", "example.com", "127.0.0.1", "[::1]", "x.a.example.com", "a.example.com.evil"} {
		f(g, host, "421 unknown_host")
	}
	res := g.get(authPath, "X-Forwarded-Method: GET", "X-Forwarded-Host: other", "X-Forwarded-Uri: /x")
	if res.StatusCode != 421 || g.observer.last().Verdict != policy.Denied {
		t.Errorf("forward-auth: status %d", res.StatusCode)
	}
	g = newGateway(t, app, ruled(append(hosts, policy.Rule{Name: "any", Path: "/any"})...))
	f(g, "example.com", "403 no_route")
}

// What may be a replay changes nothing (RFC 8470), and an application is told that it may be one.
func TestEarlyData(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn, trusting)
	for _, line := range []string{"Early-Data: 1", "early-data: 0", "Early-Data:"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "MKCOL"} {
			res := g.ask(request(method, "/public/x", "", line))
			if res.Status != "425 Too Early" || g.observer.last().Reason != policy.TooEarly || !strings.Contains(res.body, "Too Early") {
				t.Errorf("%s with %s: %s %q", method, line, res.Status, res.body)
			}
			if res := g.get(authPath, about(method, "/public/x", line)...); res.StatusCode != 425 {
				t.Errorf("forward-auth, %s with %s: %s", method, line, res.Status)
			}
		}
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "PROPFIND"} {
			if got := headOf(t, g, app, request(method, "/public/x", "", line)); !strings.Contains(got, "\r\nEarly-Data:") {
				t.Errorf("%s with %s: %q", method, line, got)
			}
		}
	}
	if res := g.ask(request("POST", "/public/x", "hello", "Early-Data: 1", " folded")); res.StatusCode != 425 {
		t.Errorf("in a head that cannot be passed on: %s", res.Status)
	}
}

// COPY and MOVE write to another path than that of their request line. Both must take the same route.
func TestDestination(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, trusting, oneConn, ruled(
		policy.Rule{Name: "secret", Path: "/dav/secret/*", Access: policy.DenyAccess},
		policy.Rule{Name: "dav", Path: "/dav/*", Access: policy.PublicAccess},
		policy.Rule{Name: "stripped", Path: "/strip/*", Access: policy.PublicAccess, StripPrefix: "/strip"},
		policy.Rule{Name: "all", Path: "/*", Access: policy.SessionAccess},
	))
	lines := func(destination ...string) (all []string) {
		for _, d := range destination {
			all = append(all, "Destination: "+d)
		}
		return all
	}
	f := func(path, want string, destination ...string) {
		t.Helper()
		for _, method := range []string{"COPY", "MOVE"} {
			for _, body := range []string{"", "hello"} {
				if got := servedAs(t, g, app, request(method, path, body, lines(destination...)...)); got != want {
					t.Errorf("%s %s to %q: %q, want %q", method, path, destination, got, want)
				}
			}
			if path[:4] != "/dav" {
				continue
			}
			res := g.get(authPath, about(method, path, lines(destination...)...)...)
			if passes := !strings.HasPrefix(want, "4"); passes != (res.StatusCode == 200) {
				t.Errorf("%s %s to %q: forward-auth answers %d", method, path, destination, res.StatusCode)
			}
		}
	}
	const refused = "400 malformed_target"
	f("/dav/a", "/dav/a", "/dav/b")
	f("/dav/a", "/dav/a", "http://app.example.com/dav/b%20c")
	f("/dav/a", "/dav/a", "https://APP.example.com:443/dav/b")
	f("/dav/a", refused)
	for _, destination := range []string{
		"", "/dav/secret/x", "/dav/%73ecret", "/x", "/dav/../x", "//x/dav/b", "dav/b", "http://other/dav/b", "http://eve@app.example.com/dav/b",
		"/dav/secret;x", "/dav/secret%2fx", "/dav/b%2fc", "ftp://app.example.com/dav/b",
	} {
		f("/dav/a", refused, destination)
	}
	f("/dav/a", refused, "/dav/b", "/dav/b")
	f("/strip/a", "/a", "/strip/b?x")
	head := headOf(t, g, app, request("COPY", "/strip/a", "", "Destination: http://app.example.com/strip/b?x"))
	if !strings.Contains(head, "\r\nDestination: /b?x\r\n") {
		t.Errorf("%q", head)
	}
	head = headOf(t, g, app, request("GET", "/strip/a", "", "Destination: /anything"))
	if !strings.Contains(head, "\r\nDestination: /anything\r\n") {
		t.Errorf("%q", head)
	}
}

// With forward_credential the application gets the credential that counted, and no other, so that it can take the request for nobody
// else's.
func TestForwardCredential(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, oneConn, ruled(
		policy.Rule{Path: "/public/*", Access: policy.PublicAccess, ForwardCredential: true},
		policy.Rule{Path: "/x/*", Access: policy.SessionAccess, ForwardCredential: true},
		policy.Rule{Path: "/*", Access: policy.SessionAccess},
	))
	cookie, bearer := "Cookie: a=1; ory_kratos_session="+aliceCookie+"; b=2", "Authorization: Bearer "+aliceToken
	f := func(path string, sent, want []string) {
		t.Helper()
		end := ofAlice
		if strings.HasPrefix(path, "/public") {
			end = ofPublic
		}
		lines := ""
		for _, line := range want {
			lines += line + "\r\n"
		}
		got := headOf(t, g, app, request("GET", path, "", sent...))
		if want := "GET " + path + " HTTP/1.1\r\nHost: app.example.com\r\n" + lines + end + "\r\n"; got != want {
			t.Errorf("%s with %q: %q, want %q", path, sent, got, want)
		}
	}
	for _, path := range []string{"/x/", "/public/"} {
		f(path, []string{alice}, []string{alice})
		f(path, []string{cookie}, []string{cookie})
		f(path, []string{bearer}, []string{bearer})
		f(path, []string{bearer, cookie, alice}, []string{"Cookie: a=1; b=2", alice})
		f(path, []string{bearer, cookie}, []string{cookie})
		f(path, []string{alice, bob}, []string{alice})
		f(path, []string{alice, "X_Session_Token: " + bobToken}, []string{alice})
		f(path, []string{bearer, "Authorization: Bearer " + bobToken}, []string{bearer})
		f(path, []string{"Connection: X-Session-Token", alice}, nil)
		f(path, []string{"X-User-Id: root", alice}, []string{alice})
	}
	f("/public/", []string{"X-Session-Token: a b", cookie}, []string{"Cookie: a=1; b=2"})
	f("/", []string{alice, "Cookie: a=1"}, []string{"Cookie: a=1"})
}

// Every method that is served reaches the application, and whoever says so in a rule can tell them apart.
func TestMethodsOfWebDAV(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, ruled(policy.Rule{Path: "/*", Methods: []string{"PROPFIND", "QUERY"}, Access: policy.PublicAccess}))
	for _, method := range policy.Methods() {
		want := "403 no_route"
		if method == "PROPFIND" || method == "QUERY" {
			want = "/x"
		}
		got := servedAs(t, g, app, request(method, "/x", "<a/>", "Destination: /y"))
		if got != want {
			t.Errorf("%s: %q, want %q", method, got, want)
		}
	}
	for _, all := range app.received() {
		if !strings.HasSuffix(all, "\r\n\r\n<a/>") {
			t.Errorf("%q has lost its body", all)
		}
	}
}
