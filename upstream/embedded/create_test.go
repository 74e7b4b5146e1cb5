package embedded_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
)

func TestCreateRefuses(t *testing.T) {
	w := open(t, embedded.Config{})
	known := w.create(user("known@example.test"))
	idle := w.create(user("idle@example.test"))
	w.must("PATCH", "/admin/identities/"+idle.IdentityID, `[{"op":"replace","path":"/state","value":"inactive"}]`)
	before := w.s.Counts()

	f := func(body string, status int, part string) {
		t.Helper()
		a := w.adminCall("POST", "/admin/sessions", body)
		if a.status != status || !strings.Contains(a.body, part) {
			t.Errorf("%.100s: got %d %s; want %d and %s", body, a.status, a.body, status, part)
		}
	}
	f(`{}`, 400, "want either identity or identity_id")
	f(`{"identity":{"traits":{}},"identity_id":"`+known.IdentityID+`"}`, 400, "want either identity or identity_id")
	f(`{"identity_id":"00000000-0000-4000-8000-000000000000"}`, 404, "Unable to locate")
	f(`{"identity_id":"`+idle.IdentityID+`"}`, 400, "the identity is inactive")
	f(`{"identity":{}}`, 400, "identity.traits: want an object")
	f(`{"identity":{"traits":[]}}`, 400, "identity.traits: want an object")
	f(`{"identity":{"traits":{},"id":"me"}}`, 400, "identity.id: uuid: incorrect UUID length 2")
	f(`{"identity":{"traits":{},"id":"g0000000-0000-4000-8000-000000000000"}}`, 400, "identity.id: uuid: incorrect UUID format")
	f(`{"identity":{"traits":{}},"aal":"aal3"}`, 400, "aal: want aal1 or aal2")
	f(`{"identity":{"traits":{}},"expires_in":"soon"}`, 400, "expires_in: want a duration")
	f(`{"identity":{"traits":{}},"expires_in":"0s"}`, 400, "expires_in: want a duration")
	f(`{"identity":{"traits":{}},"expires_in":"1000000h"}`, 400, "at most ten years")
	f(`{"identity":{"traits":{}},"expires_in":3600}`, 400, "Unable to decode")
	f(`{"identity":{"traits":{}},"ExpiresIn":1}`, 400, "unknown field")
	f(`{"identity":{"traits":{},"name":"x"}}`, 400, "unknown field")
	f(`{"identity":{"traits":{}},"devices":[{"id":"x"}]}`, 400, "unknown field")
	f(`{"identity":{"traits":{}}} {}`, 400, "more than one value")
	f(`{"identity":{"traits":{}}`, 400, "unexpected EOF")
	f(`{"identity":{"traits":{"a":"`+strings.Repeat("<", 6<<10)+`"}}}`, 400, "identity: want at most 32 KiB")
	f(`{"identity":{"traits":{}},"devices":[{"location":"`+strings.Repeat("x", 16<<10)+`"}]}`, 400, "devices: want at most 16 KiB")
	f(`{"identity":{"traits":{"a":"`+strings.Repeat("x", 64<<10)+`"}}}`, 413, "longer than 64 KiB")
	if a := w.adminCall("POST", "/admin/sessions", "", "Content-Type: text/plain"); a.status != 400 {
		t.Errorf("no body: %d", a.status)
	}
	if got := w.s.Counts(); got != before {
		t.Errorf("refused calls left something behind: %v, was %v", got, before)
	}

	if _, err := w.s.Create(embedded.NewSession{Identity: &embedded.NewIdentity{Traits: []byte(`{`)}}); err == nil {
		t.Error("Create took traits that are not JSON")
	}
}

// An identity that exists is brought to what a call gives; one that is the same is left alone.
func TestCreateForKnownIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, embedded.Config{})
		n := embedded.NewSession{Identity: &embedded.NewIdentity{ID: "6CBCA666-9125-4D34-BACA-A7C8DED9902E", Traits: []byte(`{"n": 1}`)}}
		identity := func(c embedded.Created) string {
			t.Helper()
			var is struct{ Identity json.RawMessage }
			if err := json.Unmarshal(c.Session, &is); err != nil {
				t.Fatal(err)
			}
			return string(is.Identity)
		}
		first := w.create(n)
		time.Sleep(time.Minute)
		if again := w.create(n); identity(again) != identity(first) || again.SessionID == first.SessionID {
			t.Errorf("%s, then %s", first.Session, again.Session)
		}
		n.Identity.Traits = []byte(`{"n": 2}`)
		if next := w.create(n); !strings.Contains(identity(next), `"traits":{"n":2}`) || next.IdentityID != first.IdentityID {
			t.Errorf("not changed: %s", next.Session)
		}
		if a := w.public("GET", "/sessions/whoami", "", tokenHeader(first)); !strings.Contains(a.body, `"traits":{"n":2}`) {
			t.Errorf("the first session is of another identity: %s", a.body)
		}
	})
}

func TestPatchIdentity(t *testing.T) {
	w := open(t, embedded.Config{})
	c := w.create(embedded.NewSession{Identity: &embedded.NewIdentity{
		Traits: []byte(`{"email":"a@example.test","big":12345678901234567890,"name":{"a/b":"c"}}`),
	}})
	f := func(patch string, status int, part string) {
		t.Helper()
		a := w.adminCall("PATCH", "/admin/identities/"+c.IdentityID, patch)
		if a.status != status || !strings.Contains(a.body, part) {
			t.Errorf("%s: got %d %s; want %d and %s", patch, a.status, a.body, status, part)
		}
	}
	f(`[{"op":"replace","path":"/traits/email","value":"b@example.test"}]`, 200, `"value":"b@example.test"`)
	f(`[{"op":"add","path":"/traits/name/x~0y","value":[1]}]`, 200, `"x~y":[1]`)
	f(`[{"op":"remove","path":"/traits/name/a~1b"}]`, 200, `"big":12345678901234567890`)
	f(`[{"op":"add","path":"/metadata_public","value":{"role":"admin"}}]`, 200, `"metadata_public":{"role":"admin"}`)
	f(`[{"op":"remove","path":"/metadata_public"},{"op":"replace","path":"/metadata_public","value":{"z":1}}]`, 200, `{"z":1}`)

	f(`[{"op":"replace","path":"/state","value":"gone"}]`, 400, "state: want active or inactive")
	f(`[{"op":"remove","path":"/state"}]`, 400, "state: want active or inactive")
	f(`[{"op":"remove","path":"/traits"}]`, 400, "traits: want an object")
	f(`[{"op":"replace","path":"/traits","value":"x"}]`, 400, "traits: want an object")
	f(`[{"op":"replace","path":"/traits/none","value":1}]`, 400, `there is no \"none\"`)
	f(`[{"op":"add","path":"/traits/none/deeper","value":1}]`, 400, `there is no \"none\"`)
	f(`[{"op":"add","path":"/traits/email/x","value":1}]`, 400, "there is no object")
	f(`[{"op":"add","path":"/traits/x"}]`, 400, "want a value")
	f(`[{"op":"move","path":"/traits/x"}]`, 400, `there is no \"x\"`)
	f(`[{"op":"copy","path":"/traits","value":{}}]`, 400, "want add, replace or remove")
	f(`[{"op":"replace","path":"/id","value":"x"}]`, 400, "want /state, /traits, /metadata_public")
	f(`[{"op":"replace","path":"traits","value":{}}]`, 400, "want /state, /traits, /metadata_public")
	f(`[{"op":"replace","path":"","value":{}}]`, 400, "want /state, /traits, /metadata_public")
	f(`[{"op":"add","path":"/traits/x","value":"`+strings.Repeat("x", 32<<10)+`"}]`, 400, "identity: want at most 32 KiB")
	f(`{}`, 400, "Unable to decode")
	if got := w.whoami(tokenHeader(c)); got != 200 {
		t.Errorf("whoami afterwards: %d", got)
	}
	a := w.adminCall("PATCH", "/admin/identities/00000000-0000-4000-8000-000000000000", `[]`)
	if a.status != 404 {
		t.Errorf("an identity that is not: %d", a.status)
	}
}

// Expired sessions make room, and until then there is an end to the room.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, embedded.Config{Lifespan: time.Hour})
		w.s.SetLimit(3)
		full := func() {
			t.Helper()
			if a := w.adminCall("POST", "/admin/sessions", `{"identity":{"traits":{}}}`); a.status != http.StatusInsufficientStorage {
				t.Errorf("got %d %s; want 507", a.status, a.body)
			}
		}
		known := w.create(user("a@example.test"))
		n := embedded.NewSession{IdentityID: known.IdentityID}
		w.create(n)
		long := n
		long.ExpiresIn = 100 * time.Hour
		w.create(long)
		full()
		time.Sleep(time.Hour)
		full() // expired, and still to be looked at
		time.Sleep(time.Hour)
		w.create(n)
		if got, want := w.s.Counts(), [4]int{2, 2, 1, 1}; got != want {
			t.Errorf("after the sweep: %v, want %v", got, want)
		}
		w.create(user("b@example.test"))
		w.must("DELETE", "/admin/identities/"+known.IdentityID, "")
		if got, want := w.s.Counts(), [4]int{1, 1, 1, 1}; got != want {
			t.Errorf("after the deletion: %v, want %v", got, want)
		}
	})
}

// Identities are bounded too, even when they have no sessions.
func TestIdentitiesAreBounded(t *testing.T) {
	w := open(t, embedded.Config{})
	w.s.SetLimit(2)
	for _, email := range []string{"a@example.test", "b@example.test"} {
		c := w.create(user(email))
		w.must("DELETE", "/admin/identities/"+c.IdentityID+"/sessions", "")
	}
	if a := w.adminCall("POST", "/admin/sessions", `{"identity":{"traits":{}}}`); a.status != http.StatusInsufficientStorage {
		t.Errorf("got %d; want 507", a.status)
	}
}
