package whoami_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-proxy/gatehouse/internal/whoami"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

var dialects = []whoami.Dialect{whoami.Kratos, whoami.Wacht, whoami.Crossid, whoami.BetterAuth}

func session(body string) *upstream.Session {
	return &upstream.Session{
		ID: "s1", IdentityID: "u1", AAL: upstream.AAL2, Body: []byte(body),
		AuthenticatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("", 3600)),
		ExpiresAt:       time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

// TestTell tests the table of fields in docs/reference/session-services.md.
func TestTell(t *testing.T) {
	f := func(d whoami.Dialect, want string) {
		t.Helper()
		got := string(d.Tell(session(`{"user":{"email":"a@example.com","name":"Ada"}}`), whoami.ProfileOf(whoami.BetterAuth)))
		want = strings.NewReplacer("\n", "", "\t", "").Replace(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", d, diff)
		}
	}
	f(whoami.Kratos, `{"id":"s1","active":true,"expires_at":"2099-01-02T03:04:05Z","authenticated_at":"2026-01-02T02:04:05.6789Z",
		"authenticator_assurance_level":"aal2","issued_at":"2026-01-02T02:04:05.6789Z",
		"identity":{"id":"u1","schema_id":"default","schema_url":"","state":"active","traits":{"email":"a@example.com","name":"Ada"}}}`)
	const signIn = `{"id":"s1","session_id":"s1","user_id":"u1","created_at":"2026-01-02T02:04:05.6789Z","expires_at":"2099-01-02T03:04:05Z",
		"user":{"id":"u1","first_name":"Ada","last_name":"","primary_email_address":{"email":"a@example.com"}}}`
	const data = `{"id":"s1","created_at":"2026-01-02T02:04:05.6789Z","updated_at":"2026-01-02T02:04:05.6789Z",
		"active_signin":` + signIn + `,"signins":[` + signIn + `]}`
	f(whoami.Wacht, `{"status":200,"message":"","data":`+data+`,"session":`+data+`,"errors":null}`)
	f(whoami.Crossid, `{"active":true,"authAt":"2026-01-02T02:04:05.678Z","expiresAt":"2099-01-02T03:04:05.000Z","id":"s1",
		"identity":{"displayName":"Ada","email":"a@example.com"},"identityId":"u1","issuedAt":"2026-01-02T02:04:05.678Z"}`)
	f(whoami.BetterAuth, `{"session":{"expiresAt":"2099-01-02T03:04:05.000Z","token":"","createdAt":"2026-01-02T02:04:05.678Z",
		"updatedAt":"2026-01-02T02:04:05.678Z","ipAddress":null,"userAgent":null,"userId":"u1","id":"s1"},
		"user":{"name":"Ada","email":"a@example.com","emailVerified":false,"image":null,"id":"u1"}}`)
}

// TestTellLittle tests that what is not known is left out, and not a time of the year 1.
func TestTellLittle(t *testing.T) {
	for _, d := range dialects {
		got := string(d.Tell(&upstream.Session{ID: "s", IdentityID: "u", Body: []byte("{}")}, whoami.Profile{}))
		if !json.Valid([]byte(got)) || strings.Contains(got, "0001-01-01") || strings.Contains(got, "xpires") {
			t.Errorf("%s: %s", d, got)
		}
	}
}

// TestProfiles tests where each dialect tells name and e-mail address.
func TestProfiles(t *testing.T) {
	f := func(d whoami.Dialect, body, wantName, wantEmail string) {
		t.Helper()
		var got struct{ User struct{ Name, Email string } }
		if err := json.Unmarshal(whoami.BetterAuth.Tell(session(body), whoami.ProfileOf(d)), &got); err != nil {
			t.Fatal(err)
		}
		if got.User.Name != wantName || got.User.Email != wantEmail {
			t.Errorf("%s in %s: %+v", d, body, got.User)
		}
	}
	f(whoami.Kratos, `{"identity":{"traits":{"email":"e","name":"n"}}}`, "n", "e")
	f(whoami.Kratos, `{"identity":{"traits":{"email":["e"],"name":{"first":"f","last":"l"}}}}`, "f l", "")
	f(whoami.Kratos, `{"identity":{"traits":{"name":{"last":"l"}}}}`, "l", "")
	f(whoami.Kratos, `{"identity":{"traits":{"name":7}}}`, "", "")
	f(whoami.Wacht, `{"data":{"active_signin":{"user":{"first_name":"f","last_name":"l","primary_email_address":{"email":"e"}}}}}`, "f l", "e")
	f(whoami.Crossid, `{"identity":{"displayName":"n","email":"e"}}`, "n", "e")
	f(whoami.BetterAuth, `{"user":{"name":"n","email":"e"}}`, "n", "e")
	for _, d := range dialects { // and what is told in one dialect is understood in it
		told := d.Tell(session(`{"user":{"email":"a@example.com","name":"Ada"}}`), whoami.ProfileOf(whoami.BetterAuth))
		f(d, string(told), "Ada", "a@example.com")
	}
}

// TestRefusal tests how each dialect says that there is no session, and that what is no answer never looks like that.
func TestRefusal(t *testing.T) {
	f := func(d whoami.Dialect, status, wantStatus int, want string) {
		t.Helper()
		got, body := d.Refusal(status)
		if got != wantStatus || string(body) != want {
			t.Errorf("%s says for %d: %d %s", d, status, got, body)
		}
	}
	f(whoami.Kratos, 401, 401, `{"error":{"code":401,"status":"Unauthorized","message":"Unauthorized"}}`)
	f(whoami.Wacht, 401, 200, `{"status":200,"message":"","data":{"id":"0"},"session":{"id":"0"},"errors":null}`)
	f(whoami.Crossid, 401, 401, `{"code":"401","message":"client is not authenticated.","status":"Unauthorized"}`)
	f(whoami.BetterAuth, 401, 200, `null`)
	f(whoami.Wacht, 503, 503, `{"status":503,"message":"Service Unavailable","data":null,"session":null,`+
		`"errors":[{"code":"503","message":"Service Unavailable"}]}`)
	f(whoami.Crossid, 503, 503, `{"code":"503","message":"Service Unavailable","status":"Service Unavailable"}`)
	f(whoami.BetterAuth, 503, 503, `{"code":"SERVICE_UNAVAILABLE","message":"Service Unavailable"}`)
	f(whoami.BetterAuth, 403, 403, `{"code":"FORBIDDEN","message":"Forbidden"}`)
	for _, d := range dialects {
		for _, status := range []int{403, 429, 503} {
			if got, body := d.Refusal(status); got != status || !json.Valid(body) {
				t.Errorf("%s says for %d: %d %s", d, status, got, body)
			}
		}
	}
}

// TestTellAnything tests that whatever a service says, a translation is JSON, names the right session, and changes nothing of what it is
// made of.
func TestTellAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &upstream.Session{ID: rapid.String().Draw(t, "id"), IdentityID: rapid.String().Draw(t, "identity")}
		s.Body = rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		before := string(s.Body)
		d, from := rapid.SampledFrom(dialects).Draw(t, "into"), rapid.SampledFrom(dialects).Draw(t, "from")
		told := d.Tell(s, whoami.ProfileOf(from))
		var v map[string]any
		if err := json.Unmarshal(told, &v); err != nil || string(s.Body) != before {
			t.Fatalf("%s: %v", told, err)
		}
		get := func(keys ...string) any {
			var at any = v
			for _, k := range keys {
				at = at.(map[string]any)[k]
			}
			return at
		}
		id, identity := map[whoami.Dialect][]string{
			whoami.Kratos: {"id"}, whoami.Wacht: {"data", "id"}, whoami.Crossid: {"id"}, whoami.BetterAuth: {"session", "id"},
		}, map[whoami.Dialect][]string{
			whoami.Kratos: {"identity", "id"}, whoami.Wacht: {"data", "active_signin", "user_id"},
			whoami.Crossid: {"identityId"}, whoami.BetterAuth: {"session", "userId"},
		}
		if get(id[d]...) != s.ID || get(identity[d]...) != s.IdentityID {
			t.Fatalf("%s tells of another session: %s", d, told)
		}
	})
}
