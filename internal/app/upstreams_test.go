package app_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// TestCredentialsOfSeveralServices holds that a credential known to one service never opens a route of another, however often it was asked
// about, on every face, and that no application sees any of them.
func TestCredentialsOfSeveralServices(t *testing.T) {
	for _, cookie := range []string{"customer_session", upstreamtest.DefaultCookie} {
		p := startPair(t, cookie)
		session := func(identity, of string) string {
			if identity == "" {
				return "401"
			}
			return identity + " of " + of
		}
		optional := func(identity, of string) string {
			if identity == "" {
				return " of "
			}
			return identity + " of " + of
		}
		for range 2 { // from the services, and then from memory
			for _, c := range presentations(cookie) {
				for _, face := range []string{"proxy", "forward_auth", "whoami"} {
					f := func(host, path, want string) {
						t.Helper()
						if got := p.by(face, host, path, c.header...); got != want {
							t.Errorf("%s %s%s with %q: got %q, want %q", face, host, path, c.header, got, want)
						}
					}
					f("a.example.com", "/x", session(c.staff, "staff"))
					f("b.example.com", "/x", session(c.customers, "customers"))
					if face == "whoami" {
						f("nobody.example.com", "/x", "404")
						f("unknown.example.com", "/x", "404")
						continue
					}
					f("a.example.com", "/optional/x", optional(c.staff, "staff"))
					f("b.example.com", "/optional/x", optional(c.customers, "customers"))
					f("a.example.com", "/public/x", " of ")
					f("nobody.example.com", "/x", " of ")
				}
			}
		}
		foreign := map[string]string{"staff": cookie + "=", "customers": upstreamtest.DefaultCookie + "="}
		p.mu.Lock()
		for name, all := range p.asked {
			for _, asked := range all {
				if cookie != upstreamtest.DefaultCookie && strings.Contains(asked, foreign[name]) {
					t.Errorf("%s was asked about %q", name, asked)
				}
			}
		}
		p.mu.Unlock()
	}
}

// TestForwardCredentialOfOneService holds that what is forwarded is the credential for the route's own service and nothing of the others.
func TestForwardCredentialOfOneService(t *testing.T) {
	p := startPair(t, "customer_session")
	const own, other = "Cookie: ory_kratos_session=cookie-of-staff", "cookie-of-customers"
	body := p.at("a.example.com", "/keeps/x", "Cookie", "ory_kratos_session=cookie-of-staff; customer_session="+other).body
	if !strings.Contains(body, own) || strings.Contains(body, other) {
		t.Errorf("the application got %q", body)
	}
	body = p.at("a.example.com", "/keeps/x", "Cookie", "customer_session="+other,
		"X-Session-Token", "token-of-staff", "Authorization", "Bearer same").body
	if !strings.Contains(body, "token-of-staff") || strings.Contains(body, other) || strings.Contains(body, "same") {
		t.Errorf("the application got %q", body)
	}
}

// TestRevocationOfOneService holds for every way to revoke that it concerns the services that it names, although the others have sessions,
// identities and credentials of the same names.
func TestRevocationOfOneService(t *testing.T) {
	p := startPair(t, "customer_session", "hooks: { keys: ["+hookKey+"] }")
	f := func(method, url, body string, staff, customers int, header ...string) {
		t.Helper()
		count := func() (int, int) {
			p.at("a.example.com", "/x", "X-Session-Token", "same")
			p.at("b.example.com", "/x", "X-Session-Token", "same")
			return p.staff.Questions(), p.customers.Questions()
		}
		a, b := count()
		if again, too := count(); again != a || too != b {
			t.Fatalf("%s: nothing is remembered", body)
		}
		if got := p.do(method, url, body, header...); got.status/100 != 2 {
			t.Fatalf("%s: got status %d: %s", body, got.status, got.body)
		}
		again, too := count()
		if again-a != staff || too-b != customers {
			t.Errorf("%s to %s: staff was asked %d times and customers %d, want %d and %d", body, url, again-a, too-b, staff, customers)
		}
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for _, what := range []string{"session_id=s", "identity_id=i", "credential=same", "credential=same&kind=session_token"} {
		f(http.MethodPost, p.admin+"/-/revoke", what, 1, 1, form...)
		f(http.MethodPost, p.admin+"/-/revoke", what+"&upstream=staff", 1, 0, form...)
		f(http.MethodPost, p.admin+"/-/revoke", what+"&upstream=customers", 0, 1, form...)
	}
	f(http.MethodPost, p.admin+"/-/flush", "", 1, 1)
	for _, what := range []string{`{"session_id":"s"}`, `{"identity_id":"i"}`, `{"all":true}`, `{"type":"session.deleted","data":{"id":"s"}}`} {
		f(http.MethodPost, p.url+"/hooks/revoke", what, 1, 1, "Authorization", "Bearer "+hookKey)
		f(http.MethodPost, p.url+"/hooks/revoke/staff", what, 1, 0, "Authorization", "Bearer "+hookKey)
		f(http.MethodPost, p.url+"/hooks/revoke/customers", what, 0, 1, "Authorization", "Bearer "+hookKey)
	}
	for _, wrong := range []string{"/hooks/revoke/nobody", "/hooks/revoke/staff/x", "/hooks/revoke/"} {
		if a := p.do(http.MethodPost, p.url+wrong, `{"all":true}`, "Authorization", "Bearer "+hookKey); a.status != http.StatusNotFound {
			t.Errorf("%s: got status %d", wrong, a.status)
		}
	}
	if a := p.do(http.MethodPost, p.admin+"/-/revoke", "session_id=s&upstream=nobody", form...); a.status != http.StatusBadRequest {
		t.Errorf("got status %d for a service that there is not: %s", a.status, a.body)
	}
}

// TestOutageOfOneService holds that it does not touch the routes of the other, and that it can be told which of them it is.
func TestOutageOfOneService(t *testing.T) {
	p := startPair(t, "customer_session", "limits: { unknown_per_client: 5 }")
	p.staff.Break(upstreamtest.Down)
	for i := range 30 { // more than open a breaker
		if a := p.at("a.example.com", "/x", "X-Session-Token", fmt.Sprint("new-", i)); a.status != http.StatusServiceUnavailable {
			t.Fatalf("staff: got status %d", a.status)
		}
	}
	if got := p.by("proxy", "b.example.com", "/x", "X-Session-Token", "token-of-customers"); got != "i-own of customers" {
		t.Errorf("customers: got %q", got)
	}
	text := p.get(p.admin + "/metrics").body
	for _, line := range []string{
		`gatehouse_upstream_breaker_open{upstream="staff"} 1`, `gatehouse_upstream_breaker_open{upstream="customers"} 0`,
		`gatehouse_upstream_requests_total{result="ok",upstream="customers"} 1`, `gatehouse_upstream_requests_total{result="ok",upstream="staff"} 0`,
		`gatehouse_session_lookups_total{outcome="miss",upstream="customers"} 1`, `gatehouse_session_lookups_total{outcome="miss",upstream="staff"} 0`,
		`gatehouse_session_cache_entries{table="window",upstream="customers"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	ready := p.get(p.admin + "/readyz?verbose").body
	if !strings.Contains(ready, "[-] session_service staff: ") || !strings.Contains(ready, "[+] session_service customers: ok") {
		t.Errorf("readiness: %s", ready)
	}
	if !strings.Contains(p.log.String(), `"upstream":"staff"`) {
		t.Error("the log does not say which service gives no answer")
	}

	for i := range 10 { // who presents too many unknown credentials to one service may present others to the other
		p.at("b.example.com", "/x", "X-Session-Token", fmt.Sprint("unknown-", i))
	}
	if a := p.at("b.example.com", "/x", "X-Session-Token", "one more"); a.status != http.StatusUnauthorized { // cannot be a credential
		t.Errorf("got status %d", a.status)
	}
	if a := p.at("b.example.com", "/x", "X-Session-Token", "unknown"); a.status != http.StatusTooManyRequests {
		t.Errorf("customers: got status %d", a.status)
	}
	p.staff.Break(upstreamtest.Healthy)
}

// TestSessionsOfSeveralServices holds that the admin listener tells whose sessions are remembered.
func TestSessionsOfSeveralServices(t *testing.T) {
	p := startPair(t, "customer_session")
	p.at("a.example.com", "/x", "X-Session-Token", "same")
	p.at("b.example.com", "/x", "X-Session-Token", "same")
	f := func(query string, want ...string) {
		t.Helper()
		body := p.get(p.admin + "/-/sessions?" + query).body
		for _, name := range []string{"staff", "customers"} {
			if got := strings.Contains(body, `{"upstream":"`+name+`","session_id":"s"`); got != slices.Contains(want, name) {
				t.Errorf("%s: %s is there: %t: %s", query, name, got, body)
			}
		}
	}
	f("", "staff", "customers")
	f("session_id=s", "staff", "customers")
	f("upstream=staff", "staff")
	f("upstream=customers&identity_id=i", "customers")
	f("limit=1", "customers")
	if body := p.get(p.admin + "/-/sessions?limit=1").body; !strings.Contains(body, `"more":true`) {
		t.Error(body)
	}
	if a := p.get(p.admin + "/-/sessions?upstream=nobody"); a.status != http.StatusBadRequest {
		t.Errorf("got status %d: %s", a.status, a.body)
	}
}

// TestWebSocketsOfSeveralServices holds that a tunnel ends with the session of its own service, and when its route becomes another's.
func TestWebSocketsOfSeveralServices(t *testing.T) {
	routes := func(first string) string {
		return "routes: [{ match: { path: /a }, access: session, upstream: " + first + " }, " +
			"{ match: { path: /b }, access: session, upstream: customers }]"
	}
	p := startPair(t, "customer_session", chatting(t), routes("staff"))
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	a, b := p.socket("/a", "X-Session-Token: same"), p.socket("/b", "X-Session-Token: same")
	p.do(http.MethodPost, p.admin+"/-/revoke", "session_id=s&upstream=staff", form...)
	a.ends()
	b.lives()
	a = p.socket("/a", "X-Session-Token: same")
	p.do(http.MethodPost, p.admin+"/-/revoke", "session_id=s&upstream=customers", form...)
	b.ends()
	a.lives()
	b = p.socket("/b", "X-Session-Token: same")
	own := p.socket("/a", "X-Session-Token: token-of-staff")
	asked := p.customers.Questions()

	p.configure(strings.Replace(p.yaml, routes("staff"), routes("customers"), 1))
	if _, err := p.app.Reload(); err != nil {
		t.Fatal(err)
	}
	a.ends() // although the other service knows such a session, too
	own.ends()
	b.lives()
	if n := p.customers.Questions() - asked; n != 0 {
		t.Errorf("customers was asked %d times about what was presented to staff", n)
	}
	if text := p.get(p.admin + "/metrics").body; !strings.Contains(text, `gatehouse_tunnels_ended_total{cause="policy"} 2`+"\n") {
		t.Error("the tunnels did not end because of the reload")
	}
}

// TestServicesRace asks on routes of both services while reloads lead one route to and fro and sessions of either are revoked: whoever passes
// is somebody of a service that the route may have, and of no other.
func TestServicesRace(t *testing.T) {
	p := startPair(t, "customer_session")
	const at = "host: a.example.com, path: /* }, access: session, upstream: "
	there := p.yaml
	elsewhere := strings.Replace(there, at+"staff", at+"customers", 1)
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for i := range 8 {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				face := []string{"proxy", "forward_auth", "whoami"}[i%3]
				if got := p.by(face, "b.example.com", "/x", "X-Session-Token", "same"); got != "i of customers" {
					t.Errorf("%s: got %q", face, got)
				}
				if got := p.by(face, "a.example.com", "/x", "X-Session-Token", "same"); got != "i of staff" && got != "i of customers" {
					t.Errorf("%s: got %q", face, got)
				}
				if got := p.by(face, "b.example.com", "/x", "X-Session-Token", "token-of-staff"); got != "401" {
					t.Errorf("%s: got %q for who is nobody there", face, got)
				}
			}
		})
	}
	for i := range 40 {
		p.configure([]string{elsewhere, there}[i%2])
		if _, err := p.app.Reload(); err != nil {
			t.Error(err)
		}
		p.do(http.MethodPost, p.admin+"/-/revoke", "identity_id=i&upstream="+[]string{"staff", "customers"}[i/2%2],
			"Content-Type", "application/x-www-form-urlencoded")
		for _, host := range []string{"a.example.com", "b.example.com"} { // nobody can be told anything while every answer is revoked on its way
			if got := p.by("proxy", host, "/x", "X-Session-Token", "same"); !strings.HasPrefix(got, "i of ") {
				t.Errorf("%s: got %q", host, got)
			}
		}
	}
	close(stop)
	asking.Wait()
}

// TestReloadOfSeveralServices holds that a route may go to another service that there is, and to no other.
func TestReloadOfSeveralServices(t *testing.T) {
	p := startPair(t, "customer_session")
	yaml := p.yaml
	f := func(from, to, want string, restart ...string) {
		t.Helper()
		p.configure(strings.ReplaceAll(yaml, from, to))
		got, err := p.app.Reload()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || !slices.Equal(got, restart) {
			t.Errorf("%q for %q: %v, %v, want %q", to, from, got, err, want)
		}
	}
	const at = "host: a.example.com, path: /* }, access: session, upstream: "
	if got := p.by("proxy", "a.example.com", "/x", "X-Session-Token", "same"); got != "i of staff" {
		t.Errorf("got %q", got)
	}
	f(at+"staff", at+"customers", "")
	if got := p.by("proxy", "a.example.com", "/x", "X-Session-Token", "same"); got != "i of customers" {
		t.Errorf("got %q", got)
	}
	f("timeout: 10s", "timeout: 11s", "", "upstreams")
	f("upstreams:", "upstreams:\n  third: { wacht: { url: http://127.0.0.1:1 } }", "", "upstreams")
	f(at+"staff", at+"third", "no session service of the name")
	third := strings.Replace(yaml, "upstreams:", "upstreams:\n  third: { wacht: { url: http://127.0.0.1:1 } }", 1)
	p.configure(strings.Replace(third, at+"staff", at+"third", 1))
	if _, err := p.app.Reload(); err == nil || !strings.Contains(err.Error(), "third is not there") {
		t.Errorf("a route to a service that is not there yet: %v", err)
	}
	f("staff: { kratos: {", "staff: { crossid: {", "upstreams.staff is crossid now and was kratos")
	p.configure(strings.Split(yaml, "upstreams:")[0] + "upstream: { kratos: { url: http://127.0.0.1:1 } }")
	if _, err := p.app.Reload(); err == nil || !strings.Contains(err.Error(), "now it is the other") {
		t.Errorf("upstream in place of upstreams: %v", err)
	}
	f("none", "none", "")
}

// hostOf returns the host whose requests are for a service.
func hostOf(k kindOfService) string { return strings.ReplaceAll(k.name, "_", "-") + ".example.com" }

// TestServicesOfAllKinds holds that identity headers are told by each service where it says them, and whoami in its own words, when there is
// one of every kind.
func TestServicesOfAllKinds(t *testing.T) {
	all := services(t)
	sections, routes := "upstreams:\n", "routes:\n"
	for _, k := range all {
		_, section := k.serve(t)
		_, section, _ = strings.Cut(section, ": ")
		sections += "  " + k.name + ": " + section + "\n"
		routes += "  - { match: { host: " + hostOf(k) + ", path: /* }, access: session, upstream: " + k.name + " }\n"
	}
	w := start(t, sections, routes)
	for _, k := range all {
		for _, other := range all {
			host, want := hostOf(other), 401
			if other.name == k.name {
				want = 200
			}
			a := w.get(w.url+"/x", append(k.credential, "Host", host)...)
			if a.status != want || want == 200 && !strings.Contains(a.body, "X-User-Id: u1\r\n") {
				t.Errorf("the credential for %s at %s: status %d: %s", k.name, host, a.status, a.body)
			}
			if strings.Contains(a.body, "good") {
				t.Errorf("%s: the application got a credential: %s", host, a.body)
			}
			a = w.get(w.url+"/sessions/whoami", append(k.credential, "Host", host)...)
			switch {
			case want == 401:
				if fmt.Sprint(a.status) != other.refused[0] || !strings.HasPrefix(a.body, other.refused[1]) {
					t.Errorf("whoami of %s for nobody: %d %s", other.name, a.status, a.body)
				}
			case a.status != 200 || k.name != "http" && a.body != k.body:
				t.Errorf("whoami of %s: %d %s", k.name, a.status, a.body)
			}
		}
	}
}

// TestDecideWithSeveralServices holds that the service of the route is meant.
func TestDecideWithSeveralServices(t *testing.T) {
	var service upstreamtest.Service
	service.SignIn(upstreamtest.Login{Token: "token", IdentityID: "i"})
	urls := strings.NewReplacer("STAFF", service.Start(t).String(), "CUSTOMERS, cookie: COOKIE", "http://127.0.0.1:1")
	cfg, err := config.Parse("test.yaml", []byte(urls.Replace(pairUpstreams+"\n  third: { wacht: { url: http://127.0.0.1:1 } }\n"+pairRoutes+
		"\n  - { match: { host: c.example.com, path: /* }, access: session, upstream: third }")), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := func(q app.Question, reason, identity, fault string) {
		t.Helper()
		r, err := app.Decide(context.Background(), cfg, metrics.BuildInfo{}, q)
		if err != nil || fault != "" {
			if err == nil || fault == "" || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s: %v, want %q", q.URL, err, fault)
			}
			return
		}
		got := ""
		if r.Session != nil {
			got = r.Session.Identity
		}
		if r.Reason != reason || got != identity {
			t.Errorf("%s: %s for %q, want %s for %q", q.URL, r.Reason, got, reason, identity)
		}
	}
	statement := upstreamtest.Session("s", "stated").Body
	token := func(url string) app.Question {
		return app.Question{Method: "GET", URL: url, Kind: upstream.SessionToken, Value: []byte("token")}
	}
	f(token("http://a.example.com/x"), "session", "i", "")
	f(token("http://b.example.com/x"), "store_unavailable", "", "")
	f(token("http://c.example.com/x"), "no_credential", "", "") // it takes no tokens
	f(app.Question{Method: "GET", URL: "http://a.example.com/x", Statement: statement}, "session", "stated", "")
	f(app.Question{Method: "GET", URL: "http://b.example.com/x", Statement: statement}, "session", "stated", "")
	f(app.Question{Method: "GET", URL: "http://c.example.com/x", Statement: statement}, "", "", "can be stated in the words of Kratos")
	f(app.Question{Method: "GET", URL: "http://c.example.com/public/x", Statement: statement}, "public", "", "")
}
