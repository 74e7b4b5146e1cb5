package proxy_test

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A realm is a session service of these tests, with a route of its own name. It knows everybody by a single value, and nobody by several.
type realm struct {
	proxy.Service
	sessions *fakeSessions
}

var realmValues = []string{"cred-1", "cred-2", "cred-3"}

func newRealm(name, tokenHeader, cookie string, bearer bool) *realm {
	r := &realm{sessions: &fakeSessions{}}
	r.Service = proxy.Service{
		Label: name, Sessions: r.sessions, Credentials: proxy.Credentials{TokenHeader: tokenHeader, Cookie: cookie, Bearer: bearer},
		Tag: func(upstream.Credential) string { return "0123abcd" },
	}
	for _, kind := range []string{"session_token", "cookie", "bearer"} {
		for _, value := range realmValues {
			r.sessions.know(kind+" "+value, hit(session(name+"-"+kind+strings.TrimPrefix(value, "cred"))), nil)
		}
	}
	return r
}

// counts returns the credential that counts for the service among header lines, as kind and value, and "" if there is none. It is an
// oracle: it is written from the documentation and shares nothing with what it judges.
func (r *realm) counts(lines []proxy.HeaderLine) (kind, value string) {
	first := func(name string) string {
		for _, l := range lines {
			if strings.EqualFold(l.Name, name) {
				return l.Value
			}
		}
		return ""
	}
	if name := r.Credentials.TokenHeader; name != "" && first(name) != "" {
		return "session_token", first(name)
	}
	var cookies []string
	for _, l := range lines {
		if strings.EqualFold(l.Name, "cookie") {
			for pair := range strings.SplitSeq(l.Value, "; ") {
				if v, ok := strings.CutPrefix(pair, r.Credentials.Cookie+"="); ok && r.Credentials.Cookie != "" && !slices.Contains(cookies, v) {
					cookies = append(cookies, v)
				}
			}
		}
	}
	if len(cookies) > 0 {
		return "cookie", strings.Join(cookies, ";")
	}
	if token, ok := strings.CutPrefix(first("authorization"), "Bearer "); ok && r.Credentials.Bearer {
		return "bearer", token
	}
	return "", ""
}

// TestServicesStayApart holds for any credentials on any route that the service of the route is asked about what counts for it, and no other
// service about anything; that nobody passes by the word of another; and that no application gets any of the credentials, nor is it told of
// them by a front proxy that does as it is told.
func TestServicesStayApart(t *testing.T) {
	echo := newApp(t, func(c *appConn) {
		for {
			head, more := c.head()
			if !more {
				return
			}
			c.write(ok(head))
		}
	})
	realms := []*realm{
		newRealm("staff", "X-Session-Token", "sid", true), newRealm("customers", "X-Sid", "sid", false),
		newRealm("guests", "", "guest_sid", true), newRealm("robots", "X-Session-Token", "", false),
	}
	g := newGateway(t, echo, trusting, func(s *setup) {
		s.Rules = nil
		for _, r := range realms {
			s.Services = append(s.Services, &r.Service)
			s.Rules = append(s.Rules, policy.Rule{Path: "/" + r.Label + "/*", Access: policy.SessionAccess, Service: &r.Service})
		}
		s.Rules = append(s.Rules, policy.Rule{Path: "/public/*", Access: policy.PublicAccess})
	})
	rapid.Check(t, func(rt *rapid.T) {
		line := rapid.Custom(func(rt *rapid.T) proxy.HeaderLine {
			value := rapid.SampledFrom(realmValues).Draw(rt, "value")
			switch name := rapid.SampledFrom([]string{"x-session-token", "x-sid", "authorization", "cookie", "x_sid"}).Draw(rt, "name"); name {
			case "authorization":
				return proxy.HeaderLine{Name: name, Value: "Bearer " + value}
			case "cookie":
				var pairs []string
				for _, c := range rapid.SliceOfN(rapid.SampledFrom([]string{"sid", "guest_sid", "sid", "other"}), 1, 4).Draw(rt, "cookies") {
					v := rapid.SampledFrom(realmValues).Draw(rt, "value of cookie")
					if c == "other" {
						v = "harmless"
					}
					pairs = append(pairs, c+"="+v)
				}
				return proxy.HeaderLine{Name: name, Value: strings.Join(pairs, "; ")}
			default:
				return proxy.HeaderLine{Name: name, Value: value}
			}
		})
		lines := rapid.SliceOfN(line, 0, 5).Draw(rt, "lines")
		place := rapid.IntRange(0, len(realms)).Draw(rt, "route") // the last is public
		path, kind, value := "/public/x", "", ""
		if place < len(realms) {
			path = "/" + realms[place].Label + "/x"
			kind, value = realms[place].counts(lines)
		}
		before := make([]int, len(realms))
		for i, r := range realms {
			before[i] = len(r.sessions.questions())
		}
		identity := ""
		if slices.Contains(realmValues, value) {
			identity = "identity-" + realms[place].Label + "-" + kind + strings.TrimPrefix(value, "cred")
		}
		wanted := 401
		if identity != "" || path == "/public/x" {
			wanted = 200
		}

		var text []string
		for _, l := range lines {
			text = append(text, l.Name+": "+l.Value)
		}
		res := g.get(path, text...)
		if res.StatusCode != wanted || wanted == 200 && !strings.Contains(res.body+"\r\nX-User-Id: \r\n", "\r\nX-User-Id: "+identity+"\r\n") {
			rt.Fatalf("status %d, want %d for %q: %s", res.StatusCode, wanted, identity, res.body)
		}
		if strings.Contains(res.body, "cred-") {
			rt.Fatalf("the application got a credential: %s", res.body)
		}

		o := g.Judge(&proxy.Description{
			Peer: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, Method: "GET", Scheme: "https", Host: "app.example.com", Target: path, Header: lines,
		})
		if o.Status != wanted {
			rt.Fatalf("status %d by gRPC, want %d", o.Status, wanted)
		}
		if wanted == 200 {
			for _, l := range passedOn(lines, &o) {
				if strings.Contains(l.Value, "cred-") && l.Name != "x_sid" { // which nobody takes for a credential
					rt.Fatalf("the application got %v by gRPC", l)
				}
			}
		}
		for i, r := range realms {
			asked := r.sessions.questions()[before[i]:]
			if place != i || kind == "" {
				if len(asked) > 0 {
					rt.Fatalf("%s was asked about %v", r.Label, asked)
				}
				continue
			}
			for _, q := range asked {
				if q.credential != kind+" "+value {
					rt.Fatalf("%s was asked about %v, want %s %s", r.Label, q, kind, value)
				}
			}
			if len(asked) != 2 { // once by each face
				rt.Fatalf("%s was asked %d times", r.Label, len(asked))
			}
		}
	})
}

// TestBodiesForServicesWithTokenHeaders holds that whoever presents a token to any of several services has a body waited for.
func TestBodiesForServicesWithTokenHeaders(t *testing.T) {
	app := newApp(t, func(c *appConn) {
		for {
			head, more := c.head()
			body, err := c.body(head)
			if !more || err != nil {
				return
			}
			c.write(ok(body))
		}
	})
	staff, customers := newRealm("staff", "X-Session-Token", "", false), newRealm("customers", "X-Sid", "", false)
	g := newGateway(t, app, func(s *setup) {
		s.Rules = nil
		for _, r := range []*realm{staff, customers} {
			s.Services = append(s.Services, &r.Service)
			s.Rules = append(s.Rules, policy.Rule{Path: "/" + r.Label, Access: policy.SessionAccess, Service: &r.Service})
		}
	})
	f := func(path, line string, status int, body string) {
		t.Helper()
		if res := g.ask(request("POST", path, "hello", line)); res.StatusCode != status || status == 200 && res.body != body {
			t.Errorf("%s %s: status %d, body %q", path, line, res.StatusCode, res.body)
		}
	}
	f("/staff", "X-Session-Token: cred-1", 200, "hello")
	f("/customers", "X-Sid: cred-1", 200, "hello")
	f("/staff", "X-Sid: cred-1", 401, "")
	f("/customers", "X-Session-Token: cred-1", 401, "")
}

// passedOn returns the header of a request after a front proxy has done what it was told.
func passedOn(lines []proxy.HeaderLine, o *proxy.Outcome) (left []proxy.HeaderLine) {
	for _, l := range lines {
		set := slices.ContainsFunc(o.Header, func(h proxy.HeaderLine) bool { return strings.EqualFold(h.Name, l.Name) })
		if !set && !slices.Contains(o.Remove, l.Name) {
			left = append(left, l)
		}
	}
	return append(left, o.Header...)
}

// TestEnvoyRemovesTokensOfAllServices holds for Envoy's HTTP service, too.
func TestEnvoyRemovesTokensOfAllServices(t *testing.T) {
	staff, customers := newRealm("staff", "X-Session-Token", "", false), newRealm("customers", "X-Sid", "", false)
	g := newGateway(t, nil, trusting, func(s *setup) {
		s.Services = []*proxy.Service{&staff.Service, &customers.Service}
		s.Rules = []policy.Rule{
			{Path: "/keeps/*", Access: policy.SessionAccess, Service: &customers.Service, ForwardCredential: true},
			{Path: "/*", Access: policy.SessionAccess, Service: &customers.Service},
		}
	})
	f := func(path string, want ...string) {
		t.Helper()
		res := g.get(authPath+"/envoy"+path, "X-Sid: cred-1", "X-Session-Token: cred-1")
		removed := strings.Split(res.Header.Get("X-Envoy-Auth-Headers-To-Remove"), ", ")
		for _, name := range []string{"x-sid", "x-session-token"} {
			if got := slices.Contains(removed, name); res.StatusCode != http.StatusOK || got != slices.Contains(want, name) {
				t.Errorf("%s: status %d: %s is removed: %t", path, res.StatusCode, name, got)
			}
		}
	}
	f("/x", "x-sid", "x-session-token")
	f("/keeps/x", "x-session-token")
}

// TestRouteWithoutService holds that a route which names no service has no sessions where there are several.
func TestRouteWithoutService(t *testing.T) {
	staff := newRealm("staff", "X-Session-Token", "", false)
	g := newGateway(t, nil, trusting, func(s *setup) {
		s.Services = []*proxy.Service{&staff.Service}
		s.Rules = []policy.Rule{{Path: "/session", Access: policy.SessionAccess}, {Path: "/optional", Access: policy.OptionalAccess}}
		s.Explain = true
	})
	for _, path := range []string{"/session", "/optional", "/sessions/whoami"} {
		res := g.get(path, "X-Session-Token: cred-1")
		if got := res.Header.Get("X-Gatehouse-Reason"); path != "/sessions/whoami" && (res.StatusCode != 404 || got != "no_service") {
			t.Errorf("%s: status %d, %s", path, res.StatusCode, got)
		}
		if res.StatusCode != 404 || len(staff.sessions.questions()) > 0 {
			t.Errorf("%s: status %d after %d questions", path, res.StatusCode, len(staff.sessions.questions()))
		}
	}
}

// TestBodiesForEveryService holds that a body is wanted of whoever presents what the service of the route takes, and of nobody else.
func TestBodiesForEveryService(t *testing.T) {
	staff, customers := newRealm("staff", "X-Session-Token", "", false), newRealm("customers", "X-Sid", "", false)
	g := newGateway(t, answering(t, ok("")), func(s *setup) {
		s.Services = []*proxy.Service{&staff.Service, &customers.Service}
		s.Rules = []policy.Rule{
			{Path: "/staff/*", Access: policy.SessionAccess, Service: &staff.Service},
			{Path: "/customers/*", Access: policy.SessionAccess, Service: &customers.Service},
		}
	})
	f := func(status int, path, line string) {
		t.Helper()
		if res := g.ask(request("POST", path, "hello", line)); res.StatusCode != status {
			t.Errorf("%s with %s: status %d, want %d", path, line, res.StatusCode, status)
		}
		c := g.dial()
		defer func() { _ = c.Close() }()
		c.send(request("POST", path, "", line, "Content-Length: 5", expects))
		if res := c.nextHead("POST"); (res.StatusCode == http.StatusContinue) != (status == 200) {
			t.Errorf("%s with %s: status %d before the body", path, line, res.StatusCode)
		}
	}
	f(200, "/staff/x", "X-Session-Token: cred-1")
	f(200, "/customers/x", "X-Sid: cred-1")
	f(401, "/staff/x", "X-Sid: cred-1")
	f(401, "/customers/x", "X-Session-Token: cred-1")
}

// TestParametersDoNotComeByTheReferer holds that no application gets from a Referer what it does not get in the address.
func TestParametersDoNotComeByTheReferer(t *testing.T) {
	app := answering(t, ok(""))
	f := func(keep bool, page, want string) {
		t.Helper()
		g := newGateway(t, app, func(s *setup) {
			s.Credentials.Query = "k"
			s.Rules = []policy.Rule{{Path: "/*", Access: policy.SessionAccess, ForwardCredential: keep}}
		})
		g.sessions.know("session_token secret", hit(session("alice")), nil)
		head := headOf(t, g, app, request("GET", "/x?k=secret", "", "referer: "+page))
		if got := strings.Contains(head, "\r\nReferer: "+want+"\r\n"); !got || strings.Contains(head, "secret") != keep {
			t.Errorf("the application was sent %q", head)
		}
	}
	const page = "https://app.example.com/y"
	f(false, page+"?k=secret", page)
	f(false, page+"?a=b&%6b=secret;c=d#e", page+"?a=b;c=d#e")
	f(false, page, page)
	f(true, page+"?k=secret", page+"?k=secret")
}
