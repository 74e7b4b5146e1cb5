package e2e

import (
	"net/http"
	"testing"

	ory "github.com/ory/client-go"
)

// TestOrySDK lets the official Go SDK of Ory ask Gatehouse whose session it is, as an application would that was written for Kratos and
// knows nothing of Gatehouse.
func TestOrySDK(t *testing.T) {
	g := start(t)
	created := g.createSession(t, "alice@example.com")

	config := ory.NewConfiguration()
	config.Servers = ory.ServerConfigurations{{URL: g.url}}
	sdk := ory.NewAPIClient(config).FrontendAPI

	f := func(name string, r ory.FrontendAPIToSessionRequest, wantStatus int) {
		t.Helper()
		session, resp, err := r.Execute()
		if resp == nil {
			t.Fatalf("%s: no response: %v", name, err)
		}
		if resp.StatusCode != wantStatus {
			t.Fatalf("%s: got status %d (%v), want %d", name, resp.StatusCode, err, wantStatus)
		}
		if wantStatus != http.StatusOK {
			if session.GetActive() {
				t.Errorf("%s: the SDK says that the session is active", name)
			}
			return
		}
		if !session.GetActive() || session.GetId() != created.Session.ID || session.GetAuthenticatorAssuranceLevel() != ory.AUTHENTICATORASSURANCELEVEL_AAL1 {
			t.Errorf("%s: got session %s, active %v, level %v", name, session.GetId(), session.GetActive(), session.GetAuthenticatorAssuranceLevel())
		}
		traits, _ := session.Identity.Traits.(map[string]any)
		if traits["email"] != "alice@example.com" {
			t.Errorf("%s: got traits %v", name, traits)
		}
		if session.ExpiresAt == nil || session.AuthenticatedAt == nil {
			t.Errorf("%s: expiry or authentication time is missing", name)
		}
	}
	cookie := created.Cookie.Name + "=" + created.Cookie.Value
	f("token, asked", sdk.ToSession(t.Context()).XSessionToken(created.Token), http.StatusOK)
	f("token, remembered", sdk.ToSession(t.Context()).XSessionToken(created.Token), http.StatusOK)
	f("cookie", sdk.ToSession(t.Context()).Cookie(cookie), http.StatusOK)
	f("cookie among others", sdk.ToSession(t.Context()).Cookie("theme=dark; "+cookie+`; prefs={"a":1}`), http.StatusOK)
	f("nothing", sdk.ToSession(t.Context()), http.StatusUnauthorized)
	f("unknown token", sdk.ToSession(t.Context()).XSessionToken("ory_st_unknown"), http.StatusUnauthorized)
	f("unknown template", sdk.ToSession(t.Context()).XSessionToken(created.Token).TokenizeAs("nope"), http.StatusBadRequest)

	g.endSession(t, created.Session.ID)
	f("token of an ended session", sdk.ToSession(t.Context()).XSessionToken(created.Token), http.StatusUnauthorized)
	f("cookie of an ended session", sdk.ToSession(t.Context()).Cookie(cookie), http.StatusUnauthorized)
}
