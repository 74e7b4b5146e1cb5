package proxy_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Who describes a request otherwise than in HTTP is told of every way in which a credential may stand in it, and what renews one.
func TestDescribedCredentials(t *testing.T) {
	g := newGateway(t, nil, trusting, func(s *setup) {
		s.Credentials = proxy.Credentials{TokenHeader: "X-Session-Token", CookieHeader: "X-Session-Cookie", Cookie: "ory_*", Query: "k"}
	})
	answer := upstream.Answer{Session: session("alice"), Renewed: []upstream.Field{
		{Name: "Set-Cookie", Value: "ory_a=new"}, {Name: "X-Development-Session", Value: "new"},
	}}
	g.sessions.know("session_token token", answer, nil)
	o := g.Judge(&proxy.Description{
		Peer: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, Method: "GET", Scheme: "https", Host: "app.example.com", Target: "/app/x?a=1&k=token",
		Header: []proxy.HeaderLine{{Name: "x-session-cookie"}, {Name: "x-session-token"}, {Name: "cookie", Value: "a=1; ory_b="}},
	})
	if o.Status != 200 || len(o.Parameters) != 1 || o.Parameters[0] != "k" {
		t.Fatalf("status %d, parameters %q are to be removed", o.Status, o.Parameters)
	}
	for _, name := range []string{"x-session-cookie", "x-session-token"} {
		if !slices.Contains(o.Remove, name) {
			t.Errorf("%s is not removed: %q", name, o.Remove)
		}
	}
	if !slices.ContainsFunc(o.Header, func(h proxy.HeaderLine) bool { return h.Name == "Cookie" && h.Value == "a=1" }) {
		t.Errorf("the cookie is not removed: %q", o.Header)
	}
	if diff := cmp.Diff([]proxy.HeaderLine{{Name: "X-Development-Session", Value: "new"}}, o.Renewed); diff != "" || len(o.SetCookie) != 1 {
		t.Errorf("renewed %q, %s", o.SetCookie, diff)
	}
	for _, h := range o.Header {
		if strings.Contains(h.Value, "token") || strings.Contains(h.Value, "new") {
			t.Errorf("the application is told %s: %s", h.Name, h.Value)
		}
	}
}
