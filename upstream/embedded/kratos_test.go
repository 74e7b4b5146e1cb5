package embedded_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
	"github.com/gatehouse-proxy/gatehouse/upstream/kratos"
)

// The gateway's own client of Kratos takes this service for Kratos.
func TestKratosClient(t *testing.T) {
	w := open(t, embedded.Config{})
	client, err := kratos.New(kratos.Config{
		HTTP: httpclient.Config{URL: &url.URL{Scheme: "http", Host: "embedded"}, Dial: w.s.Dial}, Cookie: "ory_kratos_session",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ask := func(kind upstream.Kind, name, value string) (upstream.Answer, error) {
		return client.Session(t.Context(), upstream.Credential{Kind: kind, Name: name, Value: []byte(value)})
	}
	n := user("a@example.test")
	n.AAL = "aal2"
	c := w.create(n)

	f := func(kind upstream.Kind, name, value string) {
		t.Helper()
		a, err := ask(kind, name, value)
		if err != nil {
			t.Fatal(err)
		}
		if s := a.Session; s.ID != c.SessionID || s.IdentityID != c.IdentityID || s.AAL != upstream.AAL2 || len(a.Renewed) != 0 {
			t.Errorf("got %+v, renewed %q", s, a.Renewed)
		}
	}
	f(upstream.SessionToken, "X-Session-Token", c.SessionToken)
	f(upstream.Bearer, "", c.SessionToken)
	f(upstream.Cookie, "ory_kratos_session", c.SessionCookie.Value)
	f(upstream.Cookie, "ory_kratos_session", "stale;"+c.SessionCookie.Value)
	if err := client.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}

	w.must("PATCH", "/admin/sessions/"+c.SessionID+"/extend", "")
	a, err := ask(upstream.Cookie, "ory_kratos_session", c.SessionCookie.Value)
	if err != nil || len(a.Renewed) != 1 || !strings.HasPrefix(a.Renewed[0].Value, "ory_kratos_session=") {
		t.Errorf("after an extension: renewed %q, %v", a.Renewed, err)
	}

	weak := user("b@example.test")
	weak.RequireAAL2 = true
	_, err = ask(upstream.SessionToken, "X-Session-Token", w.create(weak).SessionToken)
	if refusal, ok := errors.AsType[*upstream.Refusal](err); !ok || refusal.ErrorID != "session_aal2_required" {
		t.Errorf("a session that needs aal2: %v", err)
	}
	w.must("DELETE", "/admin/sessions/"+c.SessionID, "")
	if _, err := ask(upstream.SessionToken, "X-Session-Token", c.SessionToken); !errors.Is(err, upstream.ErrNoSession) {
		t.Errorf("a revoked session: %v", err)
	}
	if err := w.s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(upstream.SessionToken, "X-Session-Token", c.SessionToken); err == nil || upstream.Definite(err) {
		t.Errorf("a service that is closed: %v", err)
	}
	if err := client.Ready(t.Context()); err == nil {
		t.Error("a service that is closed is ready")
	}
}
