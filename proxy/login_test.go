package proxy_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

const (
	loginURL = "https://auth.example.com/login"
	asPage   = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
)

// leading makes a gateway lead browsers to sign in.
func leading(t testing.TB, address string, hosts ...string) func(*setup) {
	t.Helper()
	if len(hosts) == 0 {
		hosts = []string{"app.example.com", "*.example.org", "localhost:8080", "[::1]:8080"}
	}
	login, err := proxy.NewLogin(address, "return_to", hosts)
	if err != nil {
		t.Fatal(err)
	}
	return func(s *setup) { s.Login, s.Explain = login, true }
}

// locationOf returns where an answer leads to and, out of that, where it leads back to.
func locationOf(t testing.TB, res response) (base, back string) {
	t.Helper()
	u, err := url.Parse(res.Header.Get("Location"))
	if err != nil || !u.IsAbs() {
		t.Fatalf("status %d location %q: %v", res.StatusCode, res.Header.Get("Location"), err)
	}
	q := u.Query()
	back = q.Get("return_to")
	q.Del("return_to")
	u.RawQuery = q.Encode()
	return u.String(), back
}

// A browser is led to sign in, and back to where it wanted to go, byte for byte; in the words that its front proxy understands.
func TestLogin(t *testing.T) {
	g := newGateway(t, answering(t, ok("must not be seen")), trusting, leading(t, loginURL))
	f := func(status int, back string, request string) {
		t.Helper()
		res := g.ask(request)
		if res.StatusCode != status || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("X-Gatehouse-Reason") != "no_credential" ||
			(res.Header.Get("Www-Authenticate") != "") != (status == 401) || res.Header["X-User-Id"] != nil {
			t.Errorf("status %d, want %d; head %v", res.StatusCode, status, res.Header)
			return
		}
		if base, got := locationOf(t, res); base != loginURL || got != back {
			t.Errorf("location %s, back %s, want %s", base, got, back)
		}
	}
	for _, d := range overHTTP {
		status := 302
		if d == proxy.Nginx {
			status = 401
		}
		f(status, "https://app.example.com/x?q=1", in(d, asPage))
	}
	f(303, "https://app.example.com/x?q=1", in(proxy.Traefik, asPage, "X-Forwarded-Method: POST"))
	f(302, "https://app.example.com/x?q=1", in(proxy.Traefik, asPage, "X-Forwarded-Method: HEAD"))
	f(401, "https://app.example.com/x?q=1", in(proxy.Nginx, asPage, "X-Original-Method: POST"))
	f(303, "https://app.example.com/x", request("POST", "/.gatehouse/auth/envoy//x", "", "X-Forwarded-Proto: https", asPage))
	f(302, "http://app.example.com/a%20b;v=1?c=/../d&e=%2F%zz", in(proxy.Caddy, asPage, "X-Forwarded-Proto: ws",
		"X-Forwarded-Uri: /a%20b;v=1?c=/../d&e=%2F%zz"))
	f(302, "https://app.example.com/x", in(proxy.HAProxy, asPage, "X-Forwarded-Host: APP.example.com.:443", "X-Forwarded-Uri: /x"))
	f(302, "https://a.b.example.org/x", in(proxy.Traefik, asPage, "X-Forwarded-Host: a.b.example.org", "X-Forwarded-Uri: /x"))
	f(302, "http://localhost:8080/x", in(proxy.Traefik, asPage, "X-Forwarded-Host: localhost:8080", "X-Forwarded-Uri: /x", "X-Forwarded-Proto: http"))
	f(302, "http://[::1]:8080/x", in(proxy.Traefik, asPage, "X-Forwarded-Host: [0:0::1]:8080", "X-Forwarded-Uri: /x", "X-Forwarded-Proto: http"))
	// Where the scheme is not told, it is that of the login page.
	f(401, "https://app.example.com/x", in(proxy.Nginx, asPage, "X-Original-URL: -", "X-Original-URI: /x", "Host: app.example.com"))
	f(302, "https://app.example.com/x?q=1", in(proxy.Envoy, asPage, "X-Forwarded-Proto: -"))
	// The proxy face knows by itself, or from whoever ends TLS before it.
	f(302, "http://app.example.com/x?q=a%26b", request("GET", "/x?q=a%26b", "", asPage))
	f(303, "https://app.example.com/x", request("POST", "/x", "body", asPage, "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example.net"))

	// Whoever may not be led back is led to the page all the same.
	for _, host := range []string{
		"evil.example.net", "example.org", "app.example.com.evil.net", "app.example.com:8443", "localhost", "xexample.org", "app.example.com:80",
	} {
		f(302, "", in(proxy.Traefik, asPage, "X-Forwarded-Host: "+host))
	}
	// What would not fit becomes the front page.
	f(302, "https://app.example.com/", in(proxy.Traefik, asPage, "X-Forwarded-Uri: /x?"+strings.Repeat("/", 1100)))
	f(302, "https://app.example.com/x?"+strings.Repeat("/", 900), in(proxy.Traefik, asPage, "X-Forwarded-Uri: /x?"+strings.Repeat("/", 900)))

	// Others are told in their own words, and nobody is led away from what is not to be mended by signing in.
	none := func(status int, request string) {
		t.Helper()
		kind := "application/problem+json"
		if strings.Contains(request, asPage) {
			kind = "text/html; charset=utf-8" // a page, but not elsewhere
		}
		if res := g.ask(request); res.StatusCode != status || res.Header.Get("Location") != "" || res.Header.Get("Set-Cookie") != "" ||
			res.Header.Get("Content-Type") != kind {
			t.Errorf("status %d, want %d; head %v", res.StatusCode, status, res.Header)
		}
	}
	g.sessions.know("session_token down", upstream.Answer{}, errOutage)
	for _, d := range overHTTP {
		none(401, in(d))
		none(401, in(d, "Accept: application/json"))
		none(503, in(d, asPage, "X-Session-Token: down"))
	}
	none(403, in(proxy.Traefik, asPage, "X-Forwarded-Uri: /deny/x"))
	none(400, in(proxy.Traefik, asPage, "X-Forwarded-Uri: /a/../x"))
	none(400, request("GET", "/a/../x", "", asPage))
	if res := g.get("/sessions/whoami", asPage); res.StatusCode != 401 || res.Header.Get("Location") != "" {
		t.Errorf("whoami: status %d head %v", res.StatusCode, res.Header)
	}
}

// A browser is told by what it wants.
func TestBrowser(t *testing.T) {
	g := newGateway(t, nil, trusting, leading(t, loginURL))
	f := func(want bool, lines ...string) {
		t.Helper()
		for _, request := range []string{request("GET", "/x", "", lines...), in(proxy.Traefik, lines...)} {
			if res := g.ask(request); (res.StatusCode == 302) != want || !want && res.StatusCode != 401 {
				t.Errorf("%q: status %d", lines, res.StatusCode)
			}
		}
	}
	const navigates = "Sec-Fetch-Mode: navigate"
	f(true, asPage)
	f(true, "Accept: text/html")
	f(true, "accept: TEXT/HTML; level=1")
	f(true, "Accept: application/xhtml+xml;q=0.1, */*")
	f(true, "Accept: application/json;q=0.5, text/html;q=0.5")
	f(true, asPage, navigates, "Sec-Fetch-Dest: document")
	f(true, asPage, navigates, "Sec-Fetch-Dest: iframe", "Upgrade-Insecure-Requests: 1")
	f(true, navigates)
	f(false)
	f(false, "Accept: */*", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	f(false, "Accept: application/json")
	f(false, "Accept: application/json, text/plain, */*")
	f(false, "Accept: text/html;q=0")
	f(false, "Accept: text/html;q=x")
	f(false, "Accept: application/json, text/html;q=0.9")
	f(false, "Accept: application/vnd.api+json, text/html;q=0.9")
	f(false, "Accept: text/htmlx, xtext/html")
	f(false, asPage, "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty")
	f(false, asPage, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image")
	f(false, asPage, navigates, "Sec-Fetch-Dest: empty")
	f(false, asPage, "X-Requested-With: XMLHttpRequest")
	f(false, asPage, "Sec-WebSocket-Key: x")
	f(false, asPage, "Upgrade: websocket")
	f(false, asPage, "Sec-Fetch-Mode: websocket")
	f(false, asPage, "Content-Type: application/grpc+proto")
	f(false, asPage, "Content-Type: application/grpc-web")
}

// A session that is not enough for a route is led to be raised. It stays good for all other routes, and is good for this one at once when it
// has been.
func TestStepUp(t *testing.T) {
	g := newGateway(t, nil, trusting, leading(t, loginURL+"?lang=en"))
	weak, strong := session("alice"), session("alice")
	strong.AAL = upstream.AAL2
	raised := false
	g.sessions.decide("session_token weak", func(within time.Duration) (upstream.Answer, error) {
		if raised && within < 0 {
			return upstream.Answer{Session: strong, Source: upstream.Asked}, nil
		}
		return upstream.Answer{Session: weak, Source: upstream.Hit, Renewed: upstreamtest.SetCookie("ory_kratos_session=new")}, nil
	})
	g.sessions.know("session_token refused", upstream.Answer{}, upstreamtest.AAL2Refusal())
	f := func(token, where string, lines ...string) {
		t.Helper()
		for _, d := range overHTTP {
			status := 302
			if d == proxy.Nginx {
				status = 401
			}
			of := append([]string{asPage, "X-Session-Token: " + token}, lines...)
			ask := in(d, append(of, "X-Forwarded-Uri: /strong/x", "X-Original-URL: https://app.example.com/strong/x")...)
			if d == proxy.Envoy {
				ask = strings.Replace(ask, "envoy//x?q=1", "envoy//strong/x", 1)
			}
			res := g.ask(strings.Replace(ask, "X-Original-URL", map[bool]string{true: "X-Original-URL", false: "X-Other"}[d == proxy.Nginx], 1))
			base, back := locationOf(t, res)
			if res.StatusCode != status || base != where || back != "https://app.example.com/strong/x" {
				t.Errorf("%s: status %d to %s, back to %s", d, res.StatusCode, base, back)
			}
			if cookies := res.Header["Set-Cookie"]; token == "weak" && (len(cookies) == 0 || cookies[0] != "ory_kratos_session=new") ||
				d == proxy.Nginx && len(cookies) != 1 {
				t.Errorf("%s: cookies %q", d, cookies)
			}
		}
	}
	f("weak", loginURL+"?aal=aal2&lang=en")
	f("refused", "http://127.0.0.1:4433/self-service/login/browser?aal=aal2")

	api := func(status int, path, token string) response {
		t.Helper()
		res := g.get(path, "X-Session-Token: "+token, "Accept: application/json")
		if res.StatusCode != status || res.Header.Get("Location") != "" {
			t.Errorf("%s: status %d, want %d; head %v", path, res.StatusCode, status, res.Header)
		}
		return res
	}
	api(403, "/strong/x", "weak")
	if res := api(403, "/strong/x", "refused"); res.body != upstreamtest.AAL2Body {
		t.Errorf("body %q", res.body)
	}
	api(404, "/x", "weak") // it passed: there is no application
	raised = true
	api(404, "/strong/x", "weak")
	if res := g.get("/strong/x", "X-Session-Token: weak", asPage); res.StatusCode != 404 {
		t.Errorf("status %d after the step-up", res.StatusCode)
	}
}

// Whoever comes back without a session again and again is not sent away once more.
func TestLoginLoop(t *testing.T) {
	for _, d := range overHTTP {
		g := newGateway(t, nil, trusting, leading(t, loginURL))
		cookie := "Cookie: a=b"
		for i := range 3 {
			res := g.ask(in(d, asPage, cookie))
			if res.Header.Get("Location") == "" || len(res.Cookies()) != 1 {
				t.Fatalf("%s: after %d times: status %d head %v", d, i, res.StatusCode, res.Header)
			}
			c := res.Cookies()[0]
			if c.Name != "gatehouse-login" || c.MaxAge != 30 || !c.HttpOnly || !c.Secure || c.Path != "/" || c.Domain != "" {
				t.Errorf("%s: cookie %v", d, c)
			}
			cookie = "Cookie: a=b; gatehouse-login=" + c.Value
		}
		res := g.ask(strings.Replace(in(d, asPage, cookie), "HEAD ", "GET ", 1))
		if res.StatusCode != 403 || res.Header.Get("Location") != "" || res.Header.Get("Content-Type") != "text/html; charset=utf-8" ||
			!strings.Contains(res.body, `<a href="`+loginURL+`">`) || res.Header.Get("X-Gatehouse-Reason") != string(policy.LoginLoop) {
			t.Errorf("%s: status %d head %v body %q", d, res.StatusCode, res.Header, res.body)
		}
		// Another page is another matter, and so is what is no mark of ours.
		for _, lines := range [][]string{
			{cookie, "X-Forwarded-Uri: /other", "X-Original-URL: https://app.example.com/other"},
			{"Cookie: gatehouse-login=9"},
			{"Cookie: gatehouse-login=-3-ffffffff"},
			{cookie + "; gatehouse-login=x"},
		} {
			if d == proxy.Nginx != strings.Contains(strings.Join(lines, ""), "X-Original-URL") && len(lines) > 1 || d == proxy.Envoy && len(lines) > 1 {
				continue
			}
			if res := g.ask(in(d, append(lines, asPage)...)); res.Header.Get("Location") == "" {
				t.Errorf("%s %q: status %d", d, lines, res.StatusCode)
			}
		}
	}
	// A page that needs a session to get a session is a loop at once.
	g := newGateway(t, nil, leading(t, "https://app.example.com/login?a=1"))
	res := g.get("/login?flow=1", asPage)
	if want := (observation{proxy.ProxyFace, policy.Unauthenticated, policy.LoginLoop}); res.StatusCode != 403 || g.observer.last() != want {
		t.Errorf("status %d, observed %v", res.StatusCode, g.observer.last())
	}
	if res := g.get("/login/x", asPage); res.StatusCode != 302 {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestNewLoginRefuses(t *testing.T) {
	for _, address := range []string{
		"", "/login", "//auth.example.com/", "ftp://auth.example.com/", "https://", "https://a@auth.example.com/",
		"https://auth.example.com/#x", "https://auth.example.com/a/../b", "javascript:alert(1)",
	} {
		if _, err := proxy.NewLogin(address, "return_to", nil); err == nil {
			t.Errorf("%q was accepted", address)
		}
	}
}
