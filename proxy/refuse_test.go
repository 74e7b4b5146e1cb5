package proxy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// marked is in every part of a request that a client chooses. No refusal and no log may repeat it.
const marked = "MarkedByTheClient"

// A refusal has its own status, says nothing that came from the client, is not to be stored, and tells the client what it can do.
func TestRefusals(t *testing.T) {
	app := answering(t, ok("must not be seen"))
	for _, explain := range []bool{false, true} {
		g := newGateway(t, app, func(s *setup) { s.Explain = explain })
		g.sessions.know("session_token down"+marked, upstream.Answer{}, errOutage)
		big := session("big")
		big.Body = []byte(`{"identity":{"id":"` + longBody + `"}}`)
		g.sessions.know("session_token big"+marked, upstream.Answer{Session: big}, nil)
		f := func(status int, reason policy.Reason, request string) {
			t.Helper()
			res := g.ask(request)
			h := res.Header
			if res.StatusCode != status || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/problem+json" {
				t.Errorf("status %d, want %d; head %v", res.StatusCode, status, h)
			}
			var problem struct {
				Type, Title, Detail string
				Status              int
			}
			d := json.NewDecoder(strings.NewReader(res.body))
			d.DisallowUnknownFields()
			if err := d.Decode(&problem); err != nil || problem.Status != status || problem.Title != http.StatusText(status) ||
				problem.Detail == "" || problem.Type != "about:blank" {
				t.Errorf("body %q: %v", res.body, err)
			}
			for name, want := range map[string]bool{
				"Www-Authenticate": status == 401, "Retry-After": status == 503, "Allow": status == 405, "X-Gatehouse-Reason": explain,
				"Set-Cookie": false,
				"X-User-Id":  false, "Location": false, "X-Gatehouse-Cache": false,
			} {
				if got := h[name] != nil; got != want {
					t.Errorf("status %d: %s is %q", status, name, h[name])
				}
			}
			if explain && h.Get("X-Gatehouse-Reason") != string(reason) || g.observer.last().Reason != reason {
				t.Errorf("reason %q, observed %v, want %s", h.Get("X-Gatehouse-Reason"), g.observer.last(), reason)
			}
			if all := res.Status + strings.Join(flat(h), "\n") + res.body; strings.Contains(all, marked) {
				t.Errorf("the client's own words: %s", all)
			}
		}
		lines := []string{"X-A: " + marked, "Cookie: a=" + marked}
		get := func(path string, more ...string) string { return request("GET", path, "", append(more, lines...)...) }
		f(401, policy.NoCredential, get("/"+marked+"?"+marked))
		f(401, policy.NoSession, get("/"+marked, "X-Session-Token: "+marked))
		f(401, policy.NoSession, get("/"+marked, "Authorization: Bearer "+marked))
		f(401, policy.NoSession, get("/"+marked, "Cookie: ory_kratos_session="+marked))
		f(401, policy.MalformedCredential, get("/"+marked, "X-Session-Token: a "+marked))
		f(403, policy.RouteDenies, get("/deny/"+marked))
		f(403, policy.InsufficientAAL, get("/strong/"+marked, alice))
		f(503, policy.StoreUnavailable, get("/"+marked, "X-Session-Token: down"+marked))
		f(503, policy.IdentityUnusable, get("/"+marked, "X-Session-Token: big"+marked))
		f(400, policy.MalformedTarget, get("/a/../"+marked))
		f(400, policy.MalformedTarget, get("//"+marked))
		f(400, policy.MalformedTarget, "GET http://"+marked+"/ HTTP/1.1\r\nHost: app.example.com\r\n\r\n")
		f(400, policy.MalformedTarget, "OPTIONS * HTTP/1.1\r\nHost: "+marked+"\r\n\r\n")
		f(400, policy.MalformedHeaders, get("/public/x", marked+" "+marked+": 1"))
		f(405, policy.UnsupportedMethod, request("TRACE", "/public/"+marked, "", alice))
		f(405, policy.UnsupportedMethod, request("CONNECT", "/public/"+marked, "", alice))
		f(405, policy.UnsupportedMethod, "CONNECT "+marked+":443 HTTP/1.1\r\nHost: "+marked+"\r\n\r\n")
		f(405, policy.UnsupportedMethod, request("get", "/public/"+marked, ""))
		f(405, policy.UnsupportedMethod, request(marked, "/public/x", ""))
		f(505, policy.UnsupportedVersion, "GET /public/"+marked+" HTTP/3.1\r\nHost: app.example.com\r\n\r\n")
		if res := g.ask(request("HEAD", "/"+marked, "")); res.StatusCode != 401 || res.body != "" || res.err != nil || res.Close {
			t.Errorf("HEAD: status %d body %q error %v", res.StatusCode, res.body, res.err)
		}
		if log := g.log.String(); strings.Contains(log, marked) || strings.Contains(log, aliceToken) {
			t.Errorf("log %q", log)
		}
	}
	if heads := app.heads(); len(heads) > 0 {
		t.Errorf("the application saw %q", heads)
	}
}

// flat returns the lines of a head.
func flat(h http.Header) (lines []string) {
	for name, values := range h {
		for _, value := range values {
			lines = append(lines, name+": "+value)
		}
	}
	return lines
}

// What the session service says about a session that it refuses reaches the client as it is.
func TestRefusalOfTheServicePasses(t *testing.T) {
	g := newGateway(t, answering(t, ok("must not be seen")), func(s *setup) { s.Explain = true })
	refusal := &upstream.Refusal{
		Status: 403, ContentType: "application/json", ErrorID: "session_aal2_required",
		Body: []byte(`{"error":{"id":"session_aal2_required"}}` + "\n"),
	}
	g.sessions.know("session_token weak", upstream.Answer{}, refusal)
	res := g.get("/x", "X-Session-Token: weak")
	h := res.Header
	if res.StatusCode != 403 || res.body != string(refusal.Body) || h.Get("Content-Type") != refusal.ContentType ||
		h.Get("Ory-Error-Id") != refusal.ErrorID ||
		h.Get("Cache-Control") != "no-store" || h.Get("X-Gatehouse-Reason") != string(policy.RefusedByService) {
		t.Errorf("status %d head %v body %q", res.StatusCode, h, res.body)
	}
	if res := g.get("/optional/x", "X-Session-Token: weak"); res.StatusCode != 200 {
		t.Errorf("status %d on a route that takes anybody", res.StatusCode)
	}
}

// A renewed cookie reaches its client also with a refusal.
func TestRenewedCookieComesWithARefusal(t *testing.T) {
	g := newGateway(t, nil)
	answer := upstream.Answer{Session: session("alice"), Renewed: upstreamtest.SetCookie("ory_kratos_session=new; Path=/")}
	g.sessions.know("cookie c", answer, nil)
	if res := g.get("/strong/x", "Cookie: ory_kratos_session=c"); res.StatusCode != 403 ||
		res.Header.Get("Set-Cookie") != answer.Renewed[0].Value {
		t.Errorf("status %d head %v", res.StatusCode, res.Header)
	}
}

// What cannot be read as a request at all is answered and counted like any other, and nothing of it is repeated.
func TestUnreadableRequests(t *testing.T) {
	g := newGateway(t, nil)
	f := func(status int, reason policy.Reason, raw string) {
		t.Helper()
		c := g.dial()
		_, _ = c.Write([]byte(raw)) // the answer, and the end, may come before all of it is sent
		res := c.next("GET")
		if res.StatusCode != status || !strings.Contains(res.body, fmt.Sprintf(`"status":%d,`, status)) || !res.Close ||
			res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("status %d, want %d; head %v body %q", res.StatusCode, status, res.Header, res.body)
		}
		if strings.Contains(res.body, "aaaa") || strings.Contains(res.body, marked) {
			t.Errorf("body %q", res.body)
		}
		c.nothing()
		if got := g.observer.last(); got.Face != proxy.ProxyFace || got.Reason != reason {
			t.Errorf("observed %v, want %s", got, reason)
		}
	}
	f(400, policy.MalformedRequest, marked+"\r\n\r\n")
	f(400, policy.MalformedRequest, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
	f(400, policy.MalformedRequest, "GET / "+marked+"\r\n\r\n")
	f(400, policy.MalformedRequest, "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: x\r\n\r\n"+strings.Repeat("a", 1<<20))
	f(431, policy.HeadTooLarge, "GET /"+strings.Repeat("a", 70<<10)+" HTTP/1.1\r\n\r\n")
	f(431, policy.HeadTooLarge, "GET / HTTP/1.1\r\nX-A: "+strings.Repeat("a", 70<<10)+"\r\n\r\n")
	o := g.observer
	o.mu.Lock()
	defer o.mu.Unlock()
	if want := []proxy.Limit{proxy.HeadLimit, proxy.HeadLimit}; !slices.Equal(o.limited, want) || o.began != 6 || o.ended != 6 {
		t.Errorf("%d began, %d ended, limited %v", o.began, o.ended, o.limited)
	}
	if log := g.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "client speaks TLS") || strings.Contains(log, marked) {
		t.Errorf("log %q", log)
	}
}

// The access log names requests, and holds neither credentials nor queries.
func TestAccessLog(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, func(s *setup) { s.AccessLog = true })
	f := func(request string, want ...string) {
		t.Helper()
		before := len(g.log.String())
		g.ask(request)
		line := g.log.String()[before:]
		for _, w := range want {
			if !strings.Contains(line, w) {
				t.Errorf("no %s in %q", w, line)
			}
		}
		if strings.Count(line, "\n") != 1 || strings.Contains(line, aliceToken) || strings.Contains(line, marked) {
			t.Errorf("log %q", line)
		}
	}
	f(request("GET", "/a%20b%22?token="+marked, "", alice), "msg=request", "face=proxy", "method=GET", "host=app.example.com",
		`path="/a b\""`, "status=200", "verdict=allowed",
		"reason=session", "route=all", "credential=session_token", "session=0123abcd", "identity=identity-alice", "source=hit")
	f(request("GET", "/x", "", "Authorization: Bearer "+marked), "status=401", "verdict=unauthenticated", "reason=no_session",
		"credential=bearer")
	f(request("GET", "/%2e%2e/x?"+marked, ""), "client=127.0.0.1:", "method=GET", "path=/%2e%2e/x", "status=400", "verdict=malformed")
	f(request("GET", "/sessions/whoami?x="+marked, "", alice), "face=whoami", "path=/sessions/whoami")
	const written = " HTTP/1.1\r\nHost: APP.example.com.:8443\r\n"
	for _, target := range []string{"/x", "/a//b", "/sessions/whoami"} {
		f("GET "+target+written+"\r\n", "host=app.example.com ")
	}
	f("GET /x HTTP/1.1\r\nHost: a@b\r\n\r\n", "host=a@b ")
	f(marked+"\r\n\r\n", "client=127.0.0.1:", `method=""`, `path=""`, "status=400", "reason=malformed_request")

	c := g.dial()
	before := len(g.log.String())
	c.send(request("POST", "/x", "", expects, alice, "Content-Length: 5"))
	c.next("POST")
	c.send("hello")
	c.next("POST")
	if line := g.log.String()[before:]; !strings.Contains(line, "method=POST host=app.example.com path=/x status=200") ||
		!strings.Contains(line, "session=0123abcd") {
		t.Errorf("log %q", line)
	}
}
