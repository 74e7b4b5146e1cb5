package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3" // the types that configurations name
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	meshv1 "istio.io/api/mesh/v1alpha1"
	securityv1 "istio.io/api/security/v1"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// Envoy itself cannot be had as a package. Its configurations are read as its own types instead, which know every key and what may be in
// it, and Gatehouse is asked as Envoy asks that is configured so.

// message reads YAML as a message. A key that the message does not have is an error.
func message[M proto.Message](t *testing.T, text []byte, m M) M {
	t.Helper()
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(asJSON, m); err != nil {
		t.Fatal(err)
	}
	if v, ok := any(m).(interface{ ValidateAll() error }); ok {
		if err := v.ValidateAll(); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// authorization returns the configuration of ext_authz in a configuration of Envoy.
func authorization(t *testing.T, text string) *authzv3.ExtAuthz {
	t.Helper()
	bootstrap := message(t, []byte(text), &bootstrapv3.Bootstrap{})
	manager, ext := &hcmv3.HttpConnectionManager{}, &authzv3.ExtAuthz{}
	if err := bootstrap.StaticResources.Listeners[0].FilterChains[0].Filters[0].GetTypedConfig().UnmarshalTo(manager); err != nil {
		t.Fatal(err)
	}
	if err := manager.HttpFilters[0].GetTypedConfig().UnmarshalTo(ext); err != nil {
		t.Fatal(err)
	}
	if err := manager.ValidateAll(); err != nil {
		t.Fatal(err)
	}
	if err := ext.ValidateAll(); err != nil {
		t.Fatal(err)
	}
	if ext.FailureModeAllow {
		t.Error("what Gatehouse does not answer passes")
	}
	return ext
}

func TestEnvoyByGRPC(t *testing.T) {
	if ext := authorization(t, shipped(t, "envoy/grpc.yaml")); ext.GetGrpcService().GetEnvoyGrpc().GetClusterName() != "gatehouse" {
		t.Errorf("asks %v", ext.GetGrpcService())
	}
}

func TestEnvoyByHTTP(t *testing.T) {
	w := startWorld(t, "")
	ext := authorization(t, shipped(t, "envoy/http.yaml"))
	service := ext.GetHttpService()
	client := clientOf(t, w.gatehouse, &atomic.Int64{})
	names := func(list *matcherv3.ListStringMatcher) (all []string) {
		for _, p := range list.Patterns {
			all = append(all, p.GetExact())
		}
		return all
	}
	// ask sends what Envoy sends about a request, and returns the status that the client gets, or 200, and what Envoy makes of the answer.
	ask := func(method, target string, lines ...string) (status int, app, browser http.Header, removed []string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+service.PathPrefix+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Envoy-Internal", "true")
		req.Header.Set("X-Envoy-Expected-Rq-Timeout-Ms", "5000")
		req.Header.Set("X-Forwarded-For", "10.0.0.7")
		for _, h := range service.AuthorizationRequest.HeadersToAdd {
			req.Header.Set(h.Key, strings.ReplaceAll(h.Value, "%REQ(:SCHEME)%", "http"))
		}
		for _, line := range lines {
			if name, value, _ := strings.Cut(line, ": "); slices.Contains(names(ext.AllowedHeaders), strings.ToLower(name)) {
				req.Header.Add(name, value)
			}
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return resp.StatusCode, nil, resp.Header, nil
		}
		pick := func(list *matcherv3.ListStringMatcher) http.Header {
			picked := http.Header{}
			for _, name := range names(list) {
				if values := resp.Header.Values(name); values != nil {
					picked[http.CanonicalHeaderKey(name)] = values
				}
			}
			return picked
		}
		response := service.AuthorizationResponse
		return 200, pick(response.AllowedUpstreamHeaders), pick(response.AllowedClientHeadersOnSuccess),
			strings.Split(resp.Header.Get("X-Envoy-Auth-Headers-To-Remove"), ", ")
	}

	alice := w.service.SignIn(upstreamtest.Login{Renewed: "newer"})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		status, app, browser, removed := ask(method, "/a?b=c", cookie(alice), "X-User-Id: mallory", "X-Original-Url: /assets/x")
		if status != 200 || app.Get("X-User-Id") != alice.IdentityID || app.Get("X-User-Email") == "" ||
			!slices.Contains(removed, "x-session-token") || !slices.Contains(removed, "x_user_id") || slices.Contains(removed, "x-user-id") {
			t.Errorf("%s: status %d, set %v, removed %v", method, status, app, removed)
		}
		if renewed := strings.Contains(browser.Get("Set-Cookie"), "=newer; "); renewed != (method == "GET") {
			t.Errorf("%s: cookies %v", method, browser)
		}
	}
	if status, app, _, _ := ask("GET", "/assets/x"); status != 200 || app.Get("X-User-Id") != "" || len(app["X-User-Id"]) != 1 {
		t.Errorf("status %d, set %v", status, app)
	}
	if status, _, answer, _ := ask("POST", "/a"); status != 401 || answer.Get("Www-Authenticate") == "" {
		t.Errorf("status %d, %v", status, answer)
	}
	status, _, answer, _ := ask("GET", "/a?b=c", browserLines...)
	if want := loginURL + "?return_to=http%3A%2F%2F" + host + "%2Fa%3Fb%3Dc"; status != 302 || answer.Get("Location") != want {
		t.Errorf("status %d to %s, want %s", status, answer.Get("Location"), want)
	}
	w.service.Break(upstreamtest.Down)
	if status, _, answer, _ := ask("GET", "/a", "X-Session-Token: new"); status != 503 || answer.Get("Retry-After") == "" {
		t.Errorf("status %d, %v", status, answer)
	}
}

func TestIstio(t *testing.T) {
	mesh := message(t, []byte(shipped(t, "istio/mesh.yaml")), &meshv1.MeshConfig{})
	var policy struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Spec       yaml.Node
	}
	if err := yaml.Unmarshal([]byte(shipped(t, "istio/authorization-policy.yaml")), &policy); err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(&policy.Spec)
	if err != nil {
		t.Fatal(err)
	}
	spec := message(t, text, &securityv1.AuthorizationPolicy{})
	provider := mesh.ExtensionProviders[0]
	if policy.Kind != "AuthorizationPolicy" || spec.Action != securityv1.AuthorizationPolicy_CUSTOM || spec.GetProvider().GetName() != provider.Name ||
		provider.GetEnvoyExtAuthzGrpc().GetFailOpen() || len(spec.Rules) == 0 {
		t.Errorf("policy %v with provider %v", spec, provider)
	}
}
