package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// TestHooks holds that a message ends sessions once, is counted, and that nobody sees the secrets of hooks.
func TestHooks(t *testing.T) {
	w := start(t, "session_cache: { fresh_for: 1h }", "log: { access: true }",
		"hooks: { path: /ended, secrets: ["+hookSecret+"], keys: ["+hookKey+"] }")
	w.service.SignIn(upstreamtest.Login{SessionID: "s", Token: "token"})
	f := func(status, questions int, body string, header ...string) {
		t.Helper()
		w.get(w.url+"/private", "X-Session-Token", "token")
		asked := w.service.Questions()
		if a := w.do(http.MethodPost, w.url+"/ended", body, header...); a.status != status {
			t.Errorf("%s: got status %d: %s", body, a.status, a.body)
		}
		w.get(w.url+"/private", "X-Session-Token", "token")
		if n := w.service.Questions() - asked; n != questions {
			t.Errorf("%s: the service was asked %d times, want %d", body, n, questions)
		}
	}
	const body, wacht = `{"session_id":"s"}`, `{"type":"session.deleted","data":{"id":"s"}}`
	once := signed("msg_1", body)
	f(204, 1, body, once...)
	f(409, 0, body, once...)
	f(401, 0, body+" ", signed("msg_2", body)...)
	f(204, 1, wacht, signed("msg_3", wacht)...)
	f(204, 1, body, "Authorization", "Bearer "+hookKey)
	f(204, 0, `{"session_id":"other"}`, "Authorization", "Bearer "+hookKey)
	f(204, 0, `{"identity_id":"somebody"}`, "Authorization", "Bearer "+hookKey)
	f(204, 1, `{"all":true}`, "Authorization", "Bearer "+hookKey)
	f(400, 0, `{"type":"session.created","data":{"id":"s"}}`, "Authorization", "Bearer "+hookKey)
	f(401, 0, body, "Authorization", "Bearer "+hookSecret)
	f(401, 0, body)

	metrics := w.get(w.admin + "/metrics").body
	for _, line := range []string{
		`gatehouse_session_revocations_total{source="webhook"} 6`, `gatehouse_requests_total{face="hooks",rule="",verdict="allowed"} 6`,
		`gatehouse_requests_total{face="hooks",rule="",verdict="denied"} 1`, `gatehouse_requests_total{face="hooks",rule="",verdict="malformed"} 1`,
		`gatehouse_requests_total{face="hooks",rule="",verdict="unauthenticated"} 3`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	for _, line := range []string{
		`"level":"INFO","msg":"revoked by a message","by":"session_id","session_id":"other"}`,
		`"level":"INFO","msg":"revoked by a message","by":"identity_id","identity_id":"somebody"}`,
		`"level":"INFO","msg":"flushed by a message"}`,
	} {
		if n := strings.Count(w.log.String(), line); n != 1 {
			t.Errorf("the log has %s %d times, want once", line, n)
		}
	}
	config := w.get(w.admin + "/config").body
	if !strings.Contains(config, "<secret>") {
		t.Errorf("configuration:\n%s", config)
	}
	for _, s := range []string{hookSecret, hookKey} {
		if strings.Contains(w.log.String()+config+metrics, s) {
			t.Errorf("%s is told", s)
		}
	}
}

// TestDeafGateway holds that a gateway which cannot hear of revocations serves, says so, and believes sessions for less.
func TestDeafGateway(t *testing.T) {
	w := start(t, "upstream: { kratos: { url: SERVICE, revocations: { postgres: 'postgres://u:hunter2@127.0.0.1:1/k?sslmode=disable' } }, timeout: 10s }",
		"session_cache: { fresh_for: 1h, fresh_for_degraded: 0s }")
	w.service.SignIn(upstreamtest.Login{SessionID: "s", Token: "token"})
	for range 3 {
		if a := w.get(w.url+"/private", "X-Session-Token", "token"); a.status != http.StatusOK {
			t.Errorf("got status %d", a.status)
		}
	}
	if n := w.service.Questions(); n != 3 {
		t.Errorf("the service was asked %d times, want 3", n)
	}
	if a := w.get(w.admin + "/readyz?verbose"); a.status != http.StatusOK || !strings.Contains(a.body, "[-] revocations: not heard from Kratos' database") {
		t.Errorf("readiness: %d %s", a.status, a.body)
	}
	metrics := w.get(w.admin + "/metrics").body
	if !strings.Contains(metrics, `gatehouse_session_revocations_heard{source="postgres",upstream="kratos"} 0`+"\n") {
		t.Error("the metric does not tell of it")
	}
	if all := w.log.String() + metrics + w.get(w.admin+"/config").body; strings.Contains(all, "hunter2") {
		t.Error("the password is told")
	}
}
