package proxy_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// Envoy removes headers after it has set others, so that a name which is set must never be removed, whatever the client sends and whatever
// the operator calls the identity (CVE-2024-45410).
func TestWhatIsSetIsNotRemoved(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, trusting)
	p, err := policy.Compile(leadingTo(g.pool, []policy.Rule{{Path: "/*", Access: policy.SessionAccess, Audience: "app"}}), []policy.Header{
		{Name: "X-Kratos-Authenticated-Identity-Id", Path: "identity.id"}, {Name: "X-Host", Path: "identity.id"}, {Name: "X-User-Id", Path: "identity.id"},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.SetPolicy(p.WithTokens(policy.Tokens{Header: "X-Gatehouse-Jwt", Signer: plainSigner{}, KeysPath: "/keys", Keys: []byte(keys)}))
	own := []string{"x-kratos-authenticated-identity-id", "x-host", "x-user-id", "x-gatehouse-jwt"}
	aliases := []string{"x_gatehouse_jwt", "x.host", "x-kratos-authenticated_identity-id", "x-gatehouse-cache", "x-original-url"}

	lines := []proxy.HeaderLine{{Name: "x-session-token", Value: aliceToken}}
	for _, name := range slices.Concat(own, aliases) {
		lines = append(lines, proxy.HeaderLine{Name: name, Value: "forged"})
	}
	o := g.Judge(&proxy.Description{
		Peer: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, Method: "GET", Scheme: "https", Host: "app.example.com", Target: "/x", Header: lines,
	})
	set := map[string]bool{}
	for _, h := range o.Header {
		set[strings.ToLower(h.Name)] = true
		if strings.Contains(h.Value, "forged") {
			t.Errorf("%s: %s", h.Name, h.Value)
		}
	}
	for _, name := range own {
		if !set[name] || slices.Contains(o.Remove, name) {
			t.Errorf("status %d: %s is set: %t; removed: %t", o.Status, name, set[name], slices.Contains(o.Remove, name))
		}
	}
	for _, name := range aliases {
		if !slices.Contains(o.Remove, name) {
			t.Errorf("%s is not removed: %q", name, o.Remove)
		}
	}

	res := g.get(authPath+"/envoy/x", alice)
	removed := strings.Split(res.Header.Get("X-Envoy-Auth-Headers-To-Remove"), ", ")
	for _, name := range own {
		if res.StatusCode != 200 || res.Header.Get(name) == "" || slices.Contains(removed, name) {
			t.Errorf("status %d: %s is %q; removed: %q", res.StatusCode, name, res.Header.Get(name), removed)
		}
	}
}
