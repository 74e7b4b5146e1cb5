package app_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// Envoy asks by gRPC about the same sessions as everybody else, under the routes in force.
func TestEnvoyAsks(t *testing.T) {
	w := start(t, "forward_auth: { grpc_listen: 127.0.0.1:0 }")
	login := w.service.SignIn(upstreamtest.Login{IdentityID: "alice"})
	conn, err := grpc.NewClient(w.app.Address(app.Checks).String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	f := func(status int, path, token string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		res, err := authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Method: "GET", Path: path, Host: "app.example.com", Scheme: "https", Headers: map[string]string{"x-session-token": token},
			}},
		}})
		got := http.StatusOK
		if d := res.GetDeniedResponse(); d != nil {
			got = int(d.GetStatus().GetCode())
		}
		if err != nil || got != status {
			t.Errorf("%s: status %d, error %v; want %d", path, got, err, status)
		}
	}
	f(200, "/x", login.Token)
	f(401, "/x", "unknown")
	w.configure(strings.ReplaceAll(w.yaml, "routes:", "#") + "routes: [{ match: { path: /x }, access: deny }]")
	if _, err := w.app.Reload(); err != nil {
		t.Fatal(err)
	}
	f(403, "/x", login.Token)
	metrics := w.get(w.admin + "/metrics").body
	if !strings.Contains(metrics, `gatehouse_requests_total{face="ext_authz",rule="routes[0]",verdict="denied"} 1`) {
		t.Errorf("metrics lack the face")
	}
}

// After a step-up the very next request passes, with the same token, whatever is remembered of it. Before that, routes that need less keep
// working.
func TestStepUpBitesAtOnce(t *testing.T) {
	w := start(t, "login: { url: 'https://auth.example.com/login', allowed_hosts: [app.example.com] }",
		"routes: [{ match: { path: /strong }, access: session, require: { aal: aal2 } }, { match: { path: /* }, access: session }]")
	login := w.service.SignIn(upstreamtest.Login{IdentityID: "alice"})
	f := func(status int, location, uri string, more ...string) {
		t.Helper()
		a := w.get(w.url+"/.gatehouse/auth/traefik", append(more, "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https",
			"X-Forwarded-Host", "app.example.com", "X-Forwarded-Uri", uri, "X-Session-Token", login.Token)...)
		if a.status != status || a.header.Get("Location") != location {
			t.Errorf("%s: status %d to %s, want %d to %s", uri, a.status, a.header.Get("Location"), status, location)
		}
	}
	f(200, "", "/x")
	f(403, "", "/strong")
	f(302, "https://auth.example.com/login?aal=aal2&return_to=https%3A%2F%2Fapp.example.com%2Fstrong", "/strong", "Accept", "text/html")
	f(200, "", "/x")
	login.AAL, login.Body = upstream.AAL2, nil
	w.service.SignIn(login)
	f(200, "", "/strong")
	f(200, "", "/x")

	// Kratos may refuse the session everywhere until it is raised. That is never remembered.
	login.AAL, login.NeedsAAL2 = upstream.AAL1, true
	login.SessionID, login.Token, login.Body = "", "", nil
	login = w.service.SignIn(login)
	f(302, "http://127.0.0.1:4433/self-service/login/browser?aal=aal2&return_to=https%3A%2F%2Fapp.example.com%2Fx", "/x", "Accept", "text/html")
	f(403, "", "/x")
	login.AAL, login.NeedsAAL2, login.Body = upstream.AAL2, false, nil
	w.service.SignIn(login)
	f(200, "", "/x")
}
