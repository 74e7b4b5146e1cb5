package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// asks are the questions of front proxies about GET https://app.example.com/x?q=1 with alice's session token, as each of them sends it.
var asks = map[proxy.Dialect]string{
	proxy.Traefik: "GET /.gatehouse/auth/traefik HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: Go-http-client/1.1\r\n" +
		"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: app.example.com\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Port: 443\r\n" +
		"X-Forwarded-Proto: https\r\nX-Forwarded-Server: edge\r\nX-Forwarded-Uri: /x?q=1\r\nX-Real-Ip: 192.0.2.1\r\n" +
		"Accept-Encoding: gzip\r\n",
	proxy.Caddy: "GET /.gatehouse/auth/caddy HTTP/1.1\r\nHost: app.example.com\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /x?q=1\r\n" +
		"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: app.example.com\r\nVia: 1.1 Caddy\r\n" +
		"Accept-Encoding: gzip\r\n",
	proxy.HAProxy: "HEAD /.gatehouse/auth/haproxy HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nconnection: close\r\nx-forwarded-method: GET\r\n" +
		"x-forwarded-proto: https\r\nx-forwarded-host: app.example.com\r\nx-forwarded-uri: /x?q=1\r\nte: trailers\r\n",
	proxy.Nginx: "GET /.gatehouse/auth/nginx HTTP/1.0\r\nX-Original-URL: https://app.example.com/x?q=1\r\nX-Original-Method: GET\r\n" +
		"Host: 127.0.0.1:8080\r\nConnection: close\r\nContent-Type: text/plain\r\n",
	proxy.Envoy: "GET /.gatehouse/auth/envoy//x?q=1 HTTP/1.1\r\nhost: app.example.com\r\ncontent-length: 0\r\n" +
		"x-forwarded-for: 10.0.0.7\r\nx-forwarded-proto: https\r\nx-envoy-internal: true\r\nx-envoy-expected-rq-timeout-ms: 250\r\n",
}

// in returns a question in a dialect, with other lines than those of asks where names are the same, and without those whose value is "-".
func in(d proxy.Dialect, lines ...string) string {
	head := strings.Split(strings.TrimSuffix(asks[d], "\r\n"), "\r\n")
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		for i := len(head) - 1; i > 0; i-- {
			if old, _, _ := strings.Cut(head[i], ": "); strings.EqualFold(old, name) {
				head = append(head[:i], head[i+1:]...)
			}
		}
		if value != "-" {
			head = append(head, line)
		}
	}
	return strings.Join(head, "\r\n") + "\r\n\r\n"
}

// overHTTP are the dialects that are spoken in HTTP.
var overHTTP = []proxy.Dialect{proxy.Traefik, proxy.Caddy, proxy.HAProxy, proxy.Nginx, proxy.Envoy}

// Every dialect gets exactly 200 with every identity header once, about the request that it describes and no other.
func TestDialectsAllow(t *testing.T) {
	g := newGateway(t, nil, trusting)
	for _, d := range overHTTP {
		res := g.ask(in(d, alice))
		want := http.Header{"Cache-Control": {"no-store"}, "X-User-Id": {"identity-alice"}, "X-User-Email": {"alice@example.com"}, "X-User-Phone": {""}}
		if d == proxy.Envoy {
			want["X-Envoy-Auth-Headers-To-Remove"] = []string{
				"x-original-url, x-original-uri, x-original-path, x-original-method, x-original-host, x-rewrite-url, x-rewrite-uri, " +
					"x-override-url, x-waws-unencoded-url, x-host, x-http-host-override, x-http-method, x-http-method-override, " +
					"x-method-override, x-middleware-subrequest, x-kratos-authenticated-identity-id, x_user_email, x.user.email, " +
					"x_user_id, x.user.id, x_user_phone, x.user.phone, x-session-token, x-session-cookie",
			}
		}
		for _, name := range []string{"Date", "Content-Length", "Connection"} {
			res.Header.Del(name)
		}
		if res.StatusCode != 200 || res.body != "" || cmp.Diff(want, res.Header) != "" {
			t.Errorf("%s: status %d body %q (-want +got)\n%s", d, res.StatusCode, res.body, cmp.Diff(want, res.Header))
		}
		if closes := d == proxy.HAProxy || d == proxy.Nginx; res.Close != closes {
			t.Errorf("%s: close is %v", d, res.Close)
		}
		if res := g.ask(in(d)); res.StatusCode != 401 || !strings.Contains(res.Header.Get("Www-Authenticate"), "Bearer") {
			t.Errorf("%s: status %d head %v", d, res.StatusCode, res.Header)
		}
	}
	if len(g.observer.foreign) > 0 || g.observer.large > 0 {
		t.Errorf("observed %v foreign, %d large", g.observer.foreign, g.observer.large)
	}
}

// The methods, targets and hosts that are judged are those that the dialect's own lines name.
func TestDialectsJudgeWhatIsDescribed(t *testing.T) {
	g := newGateway(t, nil, trusting, func(s *setup) {
		s.Rules = []policy.Rule{
			{Name: "write", Host: "app.example.com", Path: "/x", Methods: []string{"DELETE"}, Access: policy.DenyAccess},
			{Name: "app", Host: "app.example.com", Path: "/x", Access: policy.PublicAccess},
			{Name: "deep", Host: "app.example.com", Path: "/a b/*", Access: policy.PublicAccess},
		}
	})
	f := func(status int, request string) {
		t.Helper()
		if res := g.ask(request); res.StatusCode != status {
			t.Errorf("status %d, want %d: %q", res.StatusCode, status, request)
		}
	}
	for _, d := range []proxy.Dialect{proxy.Traefik, proxy.Caddy, proxy.HAProxy} {
		f(200, in(d))
		f(403, in(d, "X-Forwarded-Method: DELETE"))
		f(403, in(d, "X-Forwarded-Uri: /y"))
		f(421, in(d, "X-Forwarded-Host: evil.example.com"))
		f(200, in(d, "X-Forwarded-Host: APP.example.com.:8443"))
		f(200, in(d, "X-Forwarded-Uri: /a%20b/c;v=1?/../"))
		for _, scheme := range []string{"ws", "wss", "HTTP"} {
			f(200, in(d, "X-Forwarded-Proto: "+scheme))
		}
	}
	f(200, in(proxy.Nginx))
	f(403, in(proxy.Nginx, "X-Original-Method: DELETE"))
	f(403, in(proxy.Nginx, "X-Original-URL: https://app.example.com/y"))
	f(403, in(proxy.Nginx, "X-Original-URL: https://evil.example.com/x"))
	f(200, in(proxy.Nginx, "X-Original-URL: wss://APP.example.com:8443/a%20b/c?u=http://evil.example.com/"))
	f(200, in(proxy.Nginx, "X-Original-URL: -", "X-Original-URI: /x?q=1", "Host: app.example.com"))
	f(403, in(proxy.Nginx, "X-Original-URL: -", "X-Original-URI: /x?q=1")) // another host

	envoy := func(method, target string, lines ...string) string {
		return request(method, "/.gatehouse/auth/envoy"+target, "", lines...)
	}
	for _, target := range []string{"/x", "//x", "//x?a=//b", "//a%20b/c"} {
		f(200, envoy("GET", target))
		f(200, envoy("POST", target, "Content-Length: 0"))
	}
	f(403, envoy("DELETE", "/x"))
	f(403, envoy("GET", "//y"))
	f(403, envoy("GET", "//.gatehouse/auth/envoy/x"))
	f(403, envoy("GET", "/metrics"))
	f(405, envoy("CONNECT", "/x"))
	f(405, envoy("FOO", "//x"))
	f(405, in(proxy.Traefik, "X-Forwarded-Method: FOO"))
	f(403, in(proxy.Nginx, "X-Original-Method: FOO"))
	f(403, in(proxy.Nginx, "X-Original-URL: https://app.example.com/a%2fb"))
	for _, target := range []string{"///x", "//x/../y", "/../x", "//x%2fy", "/*", "//x/..%2fy"} {
		want := 400
		if target == "/*" {
			want = 403 // a path like any other
		}
		f(want, envoy("GET", target))
	}
	f(404, envoy("GET", ""))
	f(404, envoy("GET", "*"))
	f(404, request("GET", "/.gatehouse/%61uth/envoy/x", ""))
	for _, path := range []string{"/.gatehouse/auth/", "/.gatehouse/auth/ngnix", "/.gatehouse/auth/nginx/", "/.gatehouse/auth/istio"} {
		f(404, request("GET", path, "", about("GET", "/x")...))
		if want := (observation{proxy.ForwardAuthFace, policy.Denied, policy.UnknownDialect}); g.observer.last() != want {
			t.Errorf("observed %v", g.observer.last())
		}
	}
}

// What describes a request is there exactly once, in the dialect's own lines. The answer names the line that is not.
func TestDialectsNameTheHeaderAtFault(t *testing.T) {
	g := newGateway(t, nil, trusting)
	f := func(name string, status int, request string) {
		t.Helper()
		request = strings.Replace(request, "HEAD ", "GET ", 1) // to see the body
		res := g.ask(request)
		if res.StatusCode != status || !strings.Contains(res.body, "The header "+name+" must be there once") || res.Header["X-User-Id"] != nil {
			t.Errorf("status %d body %q, want %d and %s: %q", res.StatusCode, res.body, status, name, request)
		}
	}
	double := func(d proxy.Dialect, line string) string {
		return strings.TrimSuffix(in(d, line, alice), "\r\n") + line + "\r\n\r\n"
	}
	for _, d := range []proxy.Dialect{proxy.Traefik, proxy.Caddy, proxy.HAProxy} {
		for _, name := range []string{"X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-Proto"} {
			f(name, 400, in(d, name+": -", alice))
			f(name, 400, in(d, name+":", alice))
			f(name, 400, in(d, name+": a, b", alice))
		}
		f("X-Forwarded-Method", 400, double(d, "X-Forwarded-Method: GET"))
		f("X-Forwarded-Host", 400, double(d, "X-Forwarded-Host: app.example.com"))
		f("X-Forwarded-Uri", 400, double(d, "x-forwarded-uri: /x"))
		f("X-Forwarded-Proto", 400, double(d, "X-Forwarded-Proto: https"))
		f("X-Forwarded-Uri", 400, in(d, "X-Forwarded-Uri: -", "X-Original-URI: /x", "X_Forwarded_Uri: /x", alice))
	}
	const app = "https://app.example.com"
	f("X-Original-Method", 400, in(proxy.Nginx, "X-Original-Method: -", "X-Forwarded-Method: GET", alice))
	f("X-Original-Method", 400, double(proxy.Nginx, "X-Original-Method: GET"))
	f("X-Original-URL", 400, in(proxy.Nginx, "X-Original-URL: -", alice))
	f("X-Original-URL", 400, double(proxy.Nginx, "X-Original-URL: "+app+"/x"))
	f("X-Original-URI", 400, in(proxy.Nginx, "X-Original-URI: /public/x", alice)) // beside X-Original-URL
	f("X-Original-URI", 400, strings.Replace(double(proxy.Nginx, "X-Original-URI: /x"), "X-Original-URL: "+app+"/x?q=1\r\n", "", 1))
	for _, url := range []string{
		"/x", "app.example.com/x", "//app.example.com/x", "ftp://app.example.com/x", app, app + "?x", "https:///x",
		"https://eve:pw@app.example.com/x", "https://a b/x", "https://a,b/x", "https://app.example.com\\@evil/x", "javascript:alert(1)//",
	} {
		f("X-Original-URL", 400, in(proxy.Nginx, "X-Original-URL: "+url, alice))
	}
	// What the client has chosen is no mistake of nginx, to which 400 would be a failure of ours.
	for _, path := range []string{"//x", "/a/../b", "/a%5cb", "/a b", "/\xff"} {
		f("X-Original-URL", 403, in(proxy.Nginx, "X-Original-URL: "+app+path, alice))
	}
	f("X-Forwarded-Proto", 400, double(proxy.Envoy, "X-Forwarded-Proto: https"))
	f("X-Forwarded-Proto", 400, in(proxy.Envoy, "X-Forwarded-Proto: gopher", alice))
}

// What other front proxies describe a request with is what the client sent. It changes nothing, and is counted.
func TestDialectsIgnoreOneAnother(t *testing.T) {
	forwarded := []string{"X-Forwarded-Uri: /public/x", "X-Forwarded-Method: OPTIONS", "X-Forwarded-Host: evil.example.com"}
	original := []string{"X-Original-Url: https://app.example.com/public/x", "X-Original-Uri: /public/x", "X-Original-Method: OPTIONS"}
	for _, d := range overHTTP {
		lines := original
		if d == proxy.Nginx {
			lines = forwarded
		} else if d == proxy.Envoy {
			lines = append(lines, forwarded...)
		}
		for _, line := range lines {
			g := newGateway(t, nil, trusting)
			if res := g.ask(in(d, line)); res.StatusCode != 401 || cmp.Diff([]proxy.Dialect{d}, g.observer.foreign) != "" {
				t.Errorf("%s with %s: status %d, observed %v", d, line, res.StatusCode, g.observer.foreign)
			}
		}
	}
}

// Only trusted peers are answered, in every dialect.
func TestDialectsAreForTrustedPeers(t *testing.T) {
	g := newGateway(t, nil)
	for _, d := range overHTTP {
		if res := g.ask(in(d, alice)); res.StatusCode != 403 || res.Header["X-User-Id"] != nil || g.observer.last().Reason != policy.UntrustedPeer {
			t.Errorf("%s: status %d head %v", d, res.StatusCode, res.Header)
		}
	}
	if res := g.get("/.gatehouse/auth/ngnix"); res.StatusCode != 403 {
		t.Errorf("status %d", res.StatusCode)
	}
}

// However a front proxy frames its question, it has its answer at once.
func TestDialectsEndOddConnections(t *testing.T) {
	g := newGateway(t, nil, trusting)
	for _, d := range overHTTP {
		for _, line := range []string{
			"Content-Length: 1000", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x", "Connection: close, upgrade",
		} {
			c := g.dial()
			c.send(in(d, alice, line))
			method, _, _ := strings.Cut(asks[d], " ")
			if res := c.next(method); res.StatusCode != 200 || !res.Close || res.Header.Get("X-User-Id") != "identity-alice" {
				t.Errorf("%s %q: status %d close %v head %v", d, line, res.StatusCode, res.Close, res.Header)
			}
			c.nothing()
		}
	}
}

// nginx knows 200, 401, 403 and what failed. Everything else would be a failure to it.
func TestNginxStatuses(t *testing.T) {
	g := newGateway(t, nil, trusting)
	g.sessions.know("session_token down", upstream.Answer{}, errOutage)
	g.sessions.know("session_token weak", upstream.Answer{}, &upstream.Refusal{Status: 403, ContentType: "application/json", Body: []byte("{}")})
	g.sessions.know("session_token odd", upstream.Answer{}, &upstream.Refusal{Status: 422, ContentType: "application/json", Body: []byte("{}")})
	f := func(status int, lines ...string) {
		t.Helper()
		if res := g.ask(in(proxy.Nginx, lines...)); res.StatusCode != status || (res.Header.Get("Retry-After") != "") != (status == 503) {
			t.Errorf("%q: status %d, want %d", lines, res.StatusCode, status)
		}
	}
	f(503, "X-Session-Token: down")
	f(403, "X-Session-Token: weak")
	f(403, "X-Session-Token: odd")
	f(401, "X-Session-Token: unknown")
	f(403, alice, "X-Original-URL: https://app.example.com/deny/x")
	f(403, alice, "X-Original-URL: https://app.example.com/strong/x")
}

// nginx has little room for the head of an answer, and one line for a cookie.
func TestNginxRoom(t *testing.T) {
	g := newGateway(t, nil, trusting)
	know := func(token string, size int, renewed ...string) {
		s := session("alice")
		s.Body = []byte(`{"identity":{"id":"` + strings.Repeat("x", size) + `"}}`)
		g.sessions.know("session_token "+token, upstream.Answer{Session: s, Renewed: upstreamtest.SetCookie(renewed...)}, nil)
	}
	f := func(token string, large int) {
		t.Helper()
		if res := g.ask(in(proxy.Nginx, "X-Session-Token: "+token)); res.StatusCode != 200 || g.observer.large != large ||
			strings.Contains(g.log.String(), "proxy_buffer_size") != (large > 0) ||
			strings.Contains(g.log.String(), " token_bytes=0 ") != (large > 0) {
			t.Errorf("%s: status %d, %d were large, log %q", token, res.StatusCode, g.observer.large, g.log)
		}
	}
	know("small", 3300)
	know("cookie", 3300, "ory_kratos_session="+strings.Repeat("c", 428))
	know("large", 3600)
	f("small", 0)
	if res := g.ask(in(proxy.Traefik, "X-Session-Token: large")); res.StatusCode != 200 || g.observer.large > 0 {
		t.Errorf("status %d, %d were large for Traefik", res.StatusCode, g.observer.large)
	}
	f("cookie", 1)
	f("large", 2)

	know("two", 1, "ory_kratos_session=old; Path=/", "ory_kratos_session=new; Path=/")
	if res := g.ask(in(proxy.Nginx, "X-Session-Token: two")); cmp.Diff([]string{"ory_kratos_session=new; Path=/"}, res.Header["Set-Cookie"]) != "" {
		t.Errorf("cookies %q", res.Header["Set-Cookie"])
	}
	for _, d := range []proxy.Dialect{proxy.Traefik, proxy.Caddy, proxy.HAProxy, proxy.Envoy} {
		if res := g.ask(in(d, "X-Session-Token: two")); len(res.Header["Set-Cookie"]) == 0 {
			t.Errorf("%s: cookies %q", d, res.Header["Set-Cookie"])
		}
	}
}
