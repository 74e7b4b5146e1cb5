//go:build core

package config_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

// What a core build lacks is an error where the configuration asks for it, and nothing else is one.
func TestCore(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := config.Parse("c.yaml", []byte(text), nil)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			return
		}
		want += ": use the full build, which is made without the tag core, or do without"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", text, err, want)
		}
	}
	const kratos = "upstream: { kratos: { url: http://127.0.0.1:4433 } }\n"
	f(kratos, "")
	f(kratos+"routes: [{ match: { path: /* }, access: session, require: { aal: aal2, methods: [totp] } }]", "")
	f(kratos+"routes: [{ match: { path: /* }, access: session, require: { expression: 'true' } }]",
		"routes[0].require.expression: this build has no expressions")
	f(kratos+"requirements: { staff: { expression: 'true' } }", "requirements.staff.expression: this build has no expressions")
	f("upstream: { http: { url: http://127.0.0.1:9, authenticated_when: 'status == 200', token_header: X-Token, paths: { id: a, identity_id: b } } }",
		"upstream.http.authenticated_when: this build has no expressions")
	f(kratos+"forward_auth: { grpc_listen: 127.0.0.1:9191 }\ntrusted_proxies: [127.0.0.1]", "forward_auth.grpc_listen: this build has no gRPC")
	f("upstream: { kratos: { url: http://127.0.0.1:4433, revocations: { postgres: 'postgres://a@b/c' } } }",
		"upstream.kratos.revocations.postgres: this build has no PostgreSQL")
}
