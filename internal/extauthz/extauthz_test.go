//go:build !core

package extauthz_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-proxy/gatehouse/internal/extauthz"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

func TestAllows(t *testing.T) {
	g := newGate(t, "127.0.0.0/8", false)
	alice, nobody := []string{"x-user-id: alice", "x-user-phone: "}, []string{"x-user-id: ", "x-user-phone: "}
	token := map[string]string{"x-session-token": "alice"}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		g.allows(about(method, "/x?a=/../b", token), alice, []string{"x-session-token"}, nil)
	}
	g.allows(about("GET", "/public/x", token), nobody, []string{"x-session-token"}, nil)
	g.allows(about("GET", "/x", map[string]string{"authorization": "Bearer alice"}), alice, []string{"authorization"}, nil)
	g.allows(about("GET", "/public/x", map[string]string{"authorization": "Basic YTpi"}), nobody, nil, nil)
	g.allows(about("GET", "/x", map[string]string{"cookie": "session=alice"}), alice, []string{"cookie"}, nil)
	g.allows(about("GET", "/x", map[string]string{"cookie": "a=1; session=alice; b=2"}), append([]string{"cookie: a=1; b=2"}, alice...), nil, nil)
	g.allows(about("GET", "/public/x", map[string]string{"cookie": "a=1; b=2"}), nobody, nil, nil)
	g.allows(about("GET", "/x", map[string]string{"cookie": "session=renewed"}), alice, []string{"cookie"},
		[]string{"+set-cookie: session=new; Path=/", "+set-cookie: session=newer; Path=/"})

	// A route may let the application have the credential that counted, and no other.
	all := map[string]string{"x-session-token": "alice", "cookie": "session=b", "authorization": "Bearer b"}
	g.allows(about("GET", "/keeps/x", all), alice, []string{"authorization", "cookie"}, nil)
	delete(all, "x-session-token")
	all["cookie"] = "session=alice"
	g.allows(about("GET", "/keeps/x", all), alice, []string{"authorization"}, nil)
	delete(all, "cookie")
	all["authorization"] = "Bearer alice"
	g.allows(about("GET", "/keeps/x", all), alice, nil, nil)

	// What a client sends under the name of an identity header is overwritten, and its aliases go.
	g.allows(about("GET", "/public/x", map[string]string{
		"x-user-id": "root", "x_user_id": "root", "x.user-id": "root", "x-user_phone": "1", "x-original-url": "/y", "x-http-method-override": "PUT",
		"x-gatehouse-reason": "a", "x-other": "1", "x-forwarded-for": "10.0.0.1", "x-envoy-internal": "true",
	}), nobody, []string{"x-gatehouse-reason", "x-http-method-override", "x-original-url", "x-user_phone", "x.user-id", "x_user_id"}, nil)

	// Envoy may send headers as they are, and name the route itself.
	raw := about("GET", "/x", nil)
	raw.Attributes.Request.Http.Headers = nil
	raw.Attributes.Request.Http.HeaderMap = &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
		{Key: "X-Session-Token", RawValue: []byte("alice")}, {Key: "cookie", RawValue: []byte("a=1")},
	}}
	g.allows(raw, alice, []string{"x-session-token"}, nil)
	cookies := func(path string, removed []string, want []string, lines ...string) {
		t.Helper()
		var all []*corev3.HeaderValue
		for _, line := range lines {
			all = append(all, &corev3.HeaderValue{Key: "Cookie", RawValue: []byte(line)})
		}
		raw := about("GET", path, nil)
		raw.Attributes.Request.Http.Headers, raw.Attributes.Request.Http.HeaderMap = nil, &corev3.HeaderMap{Headers: all}
		g.allows(raw, append(want, alice...), removed, nil)
	}
	cookies("/x", nil, []string{"cookie: a=b; c=d"}, "a=b; session=alice", "c=d")
	cookies("/x", nil, []string{"cookie: a=b; z=y"}, "a=b", "session=alice; z=y", "session=alice")
	cookies("/x", nil, []string{"cookie: a=b"}, "session=alice", "a=b")
	cookies("/x", []string{"cookie"}, nil, "session=alice", "session=alice", "session=")
	cookies("/keeps/x", nil, nil, "a=b", "session=alice; z=y", "c=d")
	named := about("GET", "/deny/x", nil)
	named.Attributes.ContextExtensions = map[string]string{"route": "public"}
	named.Attributes.Request.Http.Host = "elsewhere.example.com"
	g.allows(named, nobody, nil, nil)

	newGate(t, "127.0.0.0/8", true).allows(about("GET", "/x", token), append([]string{"x-gatehouse-cache: hit"}, alice...),
		[]string{"x-session-token"}, nil)
}

func TestDenies(t *testing.T) {
	g := newGate(t, "127.0.0.0/8", true)
	f := func(code codes.Code, status int, reason policy.Reason, req *authv3.CheckRequest, want ...string) *authv3.DeniedHttpResponse {
		t.Helper()
		res := g.check(req)
		d := res.GetDeniedResponse()
		got := lines(d.GetHeaders())
		if codes.Code(res.GetStatus().GetCode()) != code || int(d.GetStatus().GetCode()) != status || g.observer.last() != reason {
			t.Errorf("got %v, observed %s; want %s and %d for %s", res, g.observer.last(), code, status, reason)
		}
		for _, line := range append(want, "cache-control: no-store", "x-gatehouse-reason: "+string(reason)) {
			if !slices.Contains(got, line) {
				t.Errorf("%s: no %q in %q", reason, line, got)
			}
		}
		return d
	}
	is := func(token string) map[string]string { return map[string]string{"x-session-token": token} }
	const problem = "content-type: application/problem+json"
	d := f(codes.Unauthenticated, 401, policy.NoCredential, about("GET", "/x", nil), problem, `www-authenticate: Bearer realm="gatehouse"`)
	if !strings.Contains(d.Body, `"status":401`) {
		t.Errorf("body %q", d.Body)
	}
	f(codes.Unauthenticated, 401, policy.NoSession, about("GET", "/x", is("unknown")), problem)
	f(codes.PermissionDenied, 403, policy.RouteDenies, about("GET", "/deny/x", is("alice")), problem)
	f(codes.PermissionDenied, 403, policy.InsufficientAAL, about("GET", "/strong/x", is("alice")), problem)
	f(codes.Unavailable, 503, policy.StoreUnavailable, about("GET", "/x", is("down")), problem, "retry-after: 2")
	f(codes.Unavailable, 500, policy.InternalError, about("GET", "/x", is("panic")), problem)
	f(codes.PermissionDenied, 400, policy.MalformedTarget, about("GET", "//x", is("alice")), problem)
	f(codes.PermissionDenied, 400, policy.MalformedTarget, about("GET", "/a/../x", is("alice")), problem)
	f(codes.PermissionDenied, 405, policy.UnsupportedMethod, about("CONNECT", "/x", is("alice")), problem)
	f(codes.PermissionDenied, 400, policy.MalformedTarget, &authv3.CheckRequest{}, problem)
	f(codes.PermissionDenied, 403, policy.RefusedByService, about("GET", "/x", is("odd"))) // 499 is no status to Envoy
	if d := f(codes.PermissionDenied, 403, policy.RefusedByService, about("GET", "/x", is("weak"))); d.Body != "{\"a\":\"\uFFFD\"}" {
		t.Errorf("body %q", d.Body)
	}
	f(codes.PermissionDenied, 414, policy.URITooLong, about("GET", "/"+strings.Repeat("x", 17<<10), is("alice")), problem)
	for _, host := range []string{"", "a b", "eve@app.example.com"} {
		odd := about("GET", "/x", is("alice"))
		odd.Attributes.Request.Http.Host = host
		f(codes.PermissionDenied, 400, policy.MalformedTarget, odd)
	}
	odd := about("GET", "/x", is("alice"))
	odd.Attributes.Request.Http.Scheme = "gopher"
	f(codes.PermissionDenied, 400, policy.MalformedForward, odd)
	odd = about("GET", "/x", is("alice"))
	odd.Attributes.ContextExtensions = map[string]string{"route": "misspelt"}
	f(codes.PermissionDenied, 403, policy.NoRoute, odd)
	if log := g.log.String(); !strings.Contains(log, "face=ext_authz") || !strings.Contains(log, "dialect=envoy_grpc") || strings.Contains(log, "unknown") {
		t.Errorf("log %q", log)
	}
	if g.observer.began != g.observer.ended || g.observer.began != len(g.observer.reasons) {
		t.Errorf("%d began, %d ended, %d decided", g.observer.began, g.observer.ended, len(g.observer.reasons))
	}
}

// A preflight that the application answers itself needs no session. With a body it is none.
func TestPreflightsHaveNoBody(t *testing.T) {
	g := newGate(t, "127.0.0.0/8", false)
	f := func(status int, name, value string) {
		t.Helper()
		req := about("OPTIONS", "/pass/x", map[string]string{
			"origin": "https://www.example.com", "access-control-request-method": "PUT", name: value,
		})
		if status == http.StatusOK {
			g.allows(req, []string{"x-user-id: ", "x-user-phone: "}, nil, nil)
		} else if got := g.check(req).GetDeniedResponse().GetStatus().GetCode(); int(got) != status {
			t.Errorf("%s: %s: status %d, want %d", name, value, got, status)
		}
	}
	f(200, "accept", "*/*")
	f(200, "content-length", "0")
	for _, length := range []string{"1", "00", "0,5", ""} {
		f(401, "content-length", length)
	}
	f(401, "transfer-encoding", "chunked")
}

// Browsers are led to sign in, to a second factor, and not for ever.
func TestLeads(t *testing.T) {
	g := newGate(t, "127.0.0.0/8", false)
	browser := map[string]string{"accept": "text/html", "sec-fetch-mode": "navigate"}
	f := func(status int, location, method string, more map[string]string) string {
		t.Helper()
		headers := map[string]string{}
		for _, from := range []map[string]string{browser, more} {
			for name, value := range from {
				headers[name] = value
			}
		}
		d := g.check(about(method, "/x?q=1", headers)).GetDeniedResponse()
		cookie := ""
		for _, line := range lines(d.GetHeaders()) {
			if c, ok := strings.CutPrefix(line, "+set-cookie: "); ok {
				cookie, _, _ = strings.Cut(c, ";")
			}
		}
		if got := lines(d.GetHeaders()); int(d.GetStatus().GetCode()) != status || location != "" != slices.Contains(got, "location: "+location) {
			t.Errorf("status %d head %q, want %d to %s", d.GetStatus().GetCode(), got, status, location)
		}
		return cookie
	}
	const back = "return_to=https%3A%2F%2Fapp.example.com%2Fx%3Fq%3D1"
	cookie := f(302, "https://auth.example.com/login?"+back, "GET", nil)
	f(303, "https://auth.example.com/login?"+back, "POST", nil)
	f(302, "https://id.example.com/login?aal=aal2&"+back, "GET", map[string]string{"x-session-token": "weak"})
	for range 2 {
		cookie = f(302, "https://auth.example.com/login?"+back, "GET", map[string]string{"cookie": cookie})
	}
	f(403, "", "GET", map[string]string{"cookie": cookie})
}

// What describes a request in HTTP is the client's own here. It changes nothing and is counted.
func TestOtherDescriptionsAreIgnored(t *testing.T) {
	g := newGate(t, "127.0.0.0/8", false)
	res := g.check(about("GET", "/x", map[string]string{"x-forwarded-uri": "/public/x", "x-original-method": "OPTIONS"}))
	if res.GetDeniedResponse().GetStatus().GetCode() != http.StatusUnauthorized || cmp.Diff([]proxy.Dialect{proxy.EnvoyGRPC}, g.observer.foreign) != "" {
		t.Errorf("got %v, observed %v", res, g.observer.foreign)
	}
}

func TestOnlyTrustedPeersAreAnswered(t *testing.T) {
	g := newGate(t, "10.0.0.0/8", false)
	res := g.check(about("GET", "/public/x", map[string]string{"x-session-token": "alice"}))
	if res.GetDeniedResponse().GetStatus().GetCode() != http.StatusForbidden || g.observer.last() != policy.UntrustedPeer {
		t.Errorf("got %v", res)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	g := newGate(t, "127.0.0.0/8", false)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := g.client.Check(ctx, about("GET", "/x", map[string]string{"x-large": strings.Repeat("x", 2<<20)}))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("error %v", err)
	}
	f := func(size, status int, reason policy.Reason) {
		t.Helper()
		req := about("GET", "/public/x", map[string]string{"x-large": strings.Repeat("x", size)})
		if status == http.StatusOK {
			g.allows(req, []string{"x-user-id: ", "x-user-phone: "}, nil, nil)
		} else if got := g.check(req).GetDeniedResponse().GetStatus().GetCode(); int(got) != status || g.observer.last() != reason {
			t.Errorf("%d bytes: status %d for %s, want %d", size, got, g.observer.last(), status)
		}
	}
	head := len("GET /public/x HTTP/1.1\r\nhost: app.example.com\r\nx-forwarded-proto: https\r\nx-large: \r\n\r\n")
	f(64<<10-head, 200, "")
	f(64<<10-head+1, 431, policy.HeadTooLarge)
	f(900<<10, 431, policy.HeadTooLarge)
}

// A question that is under way is answered before the end, and one that does not end is cut off.
func TestShutdown(t *testing.T) {
	f := func(patient bool) {
		t.Helper()
		asked, answer := make(chan struct{}), make(chan struct{})
		server := extauthz.New(judgeFunc(func(*proxy.Description) proxy.Outcome {
			close(asked)
			<-answer
			return proxy.Outcome{Status: 200}
		}))
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- server.Serve(ln) }()
		conn, err := grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		checked := make(chan error, 1)
		go func() {
			_, err := authv3.NewAuthorizationClient(conn).Check(context.Background(), about("GET", "/x", nil))
			checked <- err
		}()
		<-asked
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- server.Shutdown(ctx) }()
		for { // until nothing more is accepted
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				break
			}
			_ = c.Close()
		}
		if patient {
			close(answer)
			if err := errors.Join(<-checked, <-ended, <-served); err != nil {
				t.Errorf("shutdown: %v", err)
			}
			return
		}
		cancel()
		if err := <-checked; status.Code(err) != codes.Unavailable {
			t.Errorf("check: %v", err)
		}
		close(answer)
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
	f(true)
	f(false)

	server := extauthz.New(judgeFunc(nil))
	if err := server.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(ln); err != nil {
		t.Errorf("serve after the end: %v", err)
	}
}
