package app_test

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A pair is a gateway of two session services. Both know the session "s" of the identity "i" by the token "same", each in words of its own,
// and one token and one cookie that the other does not know. Staff is asked about at a.example.com, and customers at b.example.com.
type pair struct {
	*world
	staff, customers *upstreamtest.Service
	mu               sync.Mutex
	asked            map[string][]string // what each service was asked about
}

const pairRoutes = `routes:
  - { match: { path: /public/* }, access: public }
  - { match: { host: a.example.com, path: /optional/* }, access: optional, upstream: staff }
  - { match: { host: b.example.com, path: /optional/* }, access: optional, upstream: customers }
  - { match: { host: a.example.com, path: /keeps/* }, access: session, upstream: staff, forward_credential: true }
  - { match: { host: a.example.com, path: /* }, access: session, upstream: staff }
  - { match: { host: b.example.com, path: /* }, access: session, upstream: customers }
  - { match: { host: nobody.example.com, path: /* }, access: public }`

const pairUpstreams = `upstreams:
  staff: { kratos: { url: STAFF }, timeout: 10s }
  customers: { kratos: { url: CUSTOMERS, cookie: COOKIE }, timeout: 10s }`

// startPair starts a gateway in which customers has the session cookie of that name.
func startPair(t *testing.T, cookie string, lines ...string) *pair {
	t.Helper()
	p := &pair{staff: &upstreamtest.Service{}, customers: &upstreamtest.Service{Cookie: cookie}, asked: map[string][]string{}}
	urls := []string{"COOKIE", cookie}
	for name, s := range map[string]*upstreamtest.Service{"staff": p.staff, "customers": p.customers} {
		urls = append(urls, strings.ToUpper(name), s.Start(t).String())
		s.Observe(func(r *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.asked[name] = append(p.asked[name], r.Header.Get("X-Session-Token")+r.Header.Get("Authorization")+r.Header.Get("Cookie"))
		})
		login := func(suffix, token string, cookies ...string) {
			s.SignIn(upstreamtest.Login{
				SessionID: "s" + suffix, IdentityID: "i" + suffix, Token: token, Cookies: cookies, Traits: map[string]string{"of": name},
			})
		}
		login("", "same", "same-cookie")
		login("-own", "token-of-"+name, "cookie-of-"+name)
	}
	base := override([]string{
		pairUpstreams, pairRoutes, "identity_headers: { X-User-Id: identity.id, X-User-Of: identity.traits.of }",
		"session_cache: { fresh_for: 1h, stale_for: 1h }",
	}, lines)
	for i := range base {
		base[i] = strings.NewReplacer(urls...).Replace(base[i])
	}
	p.world = start(t, base...)
	return p
}

// at asks for a path at a host. Headers are names and values in turn.
func (p *pair) at(host, path string, header ...string) answer {
	return p.get(p.url+path, append(header, "Host", host)...)
}

// by asks a face about a path at a host: the identity and its service as the application, or whoever asks, is told them, or the status.
func (p *pair) by(face, host, path string, header ...string) string {
	switch face {
	case "whoami":
		a := p.at(host, "/sessions/whoami", header...)
		if a.status != http.StatusOK {
			return fmt.Sprint(a.status)
		}
		_, identity, _ := strings.Cut(a.body, `"identity":{"id":"`)
		identity, rest, _ := strings.Cut(identity, `"`)
		_, of, _ := strings.Cut(rest, `"of":"`)
		of, _, _ = strings.Cut(of, `"`)
		return identity + " of " + of
	case "forward_auth":
		a := p.get(p.url+"/.gatehouse/auth", append(header, "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https",
			"X-Forwarded-Host", host, "X-Forwarded-Uri", path)...)
		if a.status != http.StatusOK {
			return fmt.Sprint(a.status)
		}
		return a.header.Get("X-User-Id") + " of " + a.header.Get("X-User-Of")
	default:
		a := p.at(host, path, header...)
		if a.status != http.StatusOK {
			return fmt.Sprint(a.status)
		}
		for _, secret := range []string{"same", "token-of", "cookie-of"} {
			if strings.Contains(a.body, secret) {
				p.t.Errorf("%s%s with %q: the application got a credential: %q", host, path, header, a.body)
			}
		}
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(a.body)))
		if err != nil {
			p.t.Fatal(err)
		}
		return req.Header.Get("X-User-Id") + " of " + req.Header.Get("X-User-Of")
	}
}

// A presented is what a request presents, and what each service makes of it: the identity, "" if it is nobody's.
type presented struct {
	header           []string
	staff, customers string
}

// presentations returns requests with the credentials of either service, of both, and of none. The second service has a cookie of that name.
func presentations(cookie string) []presented {
	own, other := upstreamtest.DefaultCookie+"=cookie-of-staff", cookie+"=cookie-of-customers"
	list := []presented{
		{nil, "", ""},
		{[]string{"X-Session-Token", "token-of-staff"}, "i-own", ""},
		{[]string{"X-Session-Token", "token-of-customers"}, "", "i-own"},
		{[]string{"X-Session-Token", "same"}, "i", "i"},
		{[]string{"Authorization", "Bearer token-of-staff"}, "i-own", ""},
		{[]string{"Authorization", "Bearer token-of-customers"}, "", "i-own"},
		{[]string{"Authorization", "Bearer same"}, "i", "i"},
		{[]string{"Cookie", own}, "i-own", ""},
		{[]string{"Cookie", other}, "", "i-own"},
		{[]string{"Cookie", "x=1; " + own + "; " + other + "; y=2"}, "i-own", "i-own"},
		{[]string{"Cookie", other, "Cookie", own}, "i-own", "i-own"},
		{[]string{"Cookie", upstreamtest.DefaultCookie + "=same-cookie; " + other}, "i", "i-own"},
		{[]string{"X-Session-Token", "token-of-staff", "Cookie", other}, "i-own", ""}, // the first kind counts, whose ever it is
		{[]string{"Cookie", other, "Authorization", "Bearer token-of-staff"}, "i-own", "i-own"},
		{[]string{"X-Session-Token", "nobody", "Cookie", own + "; " + other}, "", ""},
	}
	if cookie == upstreamtest.DefaultCookie { // where both have the same name, cookies are for both
		return slices.DeleteFunc(list, func(p presented) bool {
			both := slices.Contains(p.header, "Cookie") && slices.Contains(p.header, "Authorization")
			return both || strings.Count(strings.Join(p.header, ";"), cookie) > 1
		})
	}
	return list
}
