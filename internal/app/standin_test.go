package app_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/betterauth"
	"github.com/gatehouse-proxy/gatehouse/upstream/crossid"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
	"github.com/gatehouse-proxy/gatehouse/upstream/kratos"
	"github.com/gatehouse-proxy/gatehouse/upstream/wacht"
)

// A dialect is a service that the embedded one stands in for, and how an application that was written for it asks.
type dialect struct {
	name     string
	whoami   string // path
	expires  string // where it tells the end of a session
	end      []string
	email    string // where it tells the address
	newStore func(base httpclient.Config, cookie string) (asker, error)
}

type asker interface {
	upstream.Store
	Close()
}

func dialects() []dialect {
	return []dialect{
		{
			"kratos", "/sessions/whoami", "expires_at",
			[]string{http.MethodDelete, "/self-service/logout/api", `{"session_token":"TOKEN"}`},
			"identity.traits.email",
			func(base httpclient.Config, cookie string) (asker, error) {
				return kratos.New(kratos.Config{HTTP: httpclient.Config{URL: base.URL}, Cookie: cookie})
			},
		},
		{
			"wacht", "/session", "data.active_signin.expires_at",
			[]string{http.MethodPost, "/session/sign-out", ""},
			"data.active_signin.user.primary_email_address.email",
			func(base httpclient.Config, cookie string) (asker, error) {
				return wacht.New(wacht.Config{HTTP: base, Cookie: cookie})
			},
		},
		{
			"crossid", "/api/v1/auth/sessions/whoami", "expiresAt",
			[]string{http.MethodDelete, "/api/v1/auth/sessions/revoke", `{"sessionToken":"TOKEN"}`},
			"identity.email",
			func(base httpclient.Config, cookie string) (asker, error) {
				return crossid.New(crossid.Config{HTTP: base, Cookie: cookie})
			},
		},
		{
			"better_auth", "/api/auth/get-session", "session.expiresAt",
			[]string{http.MethodPost, "/api/auth/sign-out", "{}"},
			"user.email",
			func(base httpclient.Config, cookie string) (asker, error) {
				return betterauth.New(betterauth.Config{HTTP: base, Cookie: cookie})
			},
		},
	}
}

// TestStandIns tests every pair of a service, which the embedded one stands in for, and an application that was written for another: the
// application finds the session at the gateway as it would at its own service, byte for byte if it is its own, and loses it in every face
// when the service has ended it.
func TestStandIns(t *testing.T) {
	for _, service := range dialects() {
		for _, written := range dialects() {
			t.Run(written.name+" on "+service.name, func(t *testing.T) { testPair(t, service, written) })
		}
	}
}

func testPair(t *testing.T, service, written dialect) {
	w := start(t, "upstream: { embedded: { dialect: "+service.name+", listen: 127.0.0.1:0, admin_listen: 127.0.0.1:0 }, timeout: 10s }",
		"whoami: { dialect: "+written.name+", path: "+written.whoami+" }", "session_cache: { fresh_for: 1h }")
	own := "http://" + w.app.Address(app.Service).String()
	var made struct {
		Token   string                       `json:"session_token"`
		Cookie  struct{ Name, Value string } `json:"session_cookie"`
		Session json.RawMessage
	}
	a := w.do(http.MethodPost, "http://"+w.app.Address(app.ServiceAdmin).String()+"/admin/sessions",
		`{"identity":{"id":"a11ce000-0000-4000-8000-000000000001","traits":{"email":"a@example.com","name":"Ada"}},"expires_in":"1h"}`,
		"Content-Type", "application/json")
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.status != http.StatusCreated {
		t.Fatalf("create session: %d %s", a.status, a.body)
	}
	cookie := []string{"Cookie", made.Cookie.Name + "=" + made.Cookie.Value}

	base, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	application, err := written.newStore(httpclient.Config{URL: base}, made.Cookie.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer application.Close()
	credential := upstream.Credential{Kind: upstream.Cookie, Name: made.Cookie.Name, Value: []byte(made.Cookie.Value)}
	for range 2 { // asked, and remembered
		got, err := application.Session(t.Context(), credential)
		if err != nil {
			t.Fatal(err)
		}
		s, ends := got.Session, gjson.GetBytes(made.Session, service.expires).Time()
		if early := ends.Sub(s.ExpiresAt); s.ID == "" || s.IdentityID != "a11ce000-0000-4000-8000-000000000001" ||
			early < 0 || early > time.Millisecond {
			t.Errorf("session %s of %s until %v, want %v", s.ID, s.IdentityID, s.ExpiresAt, ends)
		}
		if email := gjson.GetBytes(s.Body, written.email).Str; email != "a@example.com" {
			t.Errorf("address %q in %s", email, s.Body)
		}
		if served := w.get(own+service.whoami, cookie...).body; service.name == written.name && served != string(s.Body) {
			t.Errorf("whoami says\n%s\nand the service\n%s", s.Body, served)
		}
	}
	unknown := upstream.Credential{Kind: upstream.Cookie, Name: made.Cookie.Name, Value: []byte("nobody")}
	if _, err := application.Session(t.Context(), unknown); !errors.Is(err, upstream.ErrNoSession) {
		t.Errorf("nobody: %v", err)
	}
	for _, path := range []string{"/private", "/.gatehouse/auth/traefik"} {
		if a := w.get(w.url+path, append(forwarded, cookie...)...); a.status != 200 ||
			!strings.Contains(a.body+"X-User-Id: "+a.header.Get("X-User-Id"), "X-User-Id: a11ce000-0000-4000-8000-000000000001") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}

	ended := w.do(service.end[0], own+service.end[1], strings.ReplaceAll(service.end[2], "TOKEN", made.Token),
		append(cookie, "Content-Type", "application/json")...)
	if ended.status >= 300 {
		t.Fatalf("end the session: %d %s", ended.status, ended.body)
	}
	if _, err := application.Session(t.Context(), credential); !errors.Is(err, upstream.ErrNoSession) {
		t.Errorf("after its end: %v", err)
	}
	for _, path := range []string{"/private", "/.gatehouse/auth/traefik"} {
		if a := w.get(w.url+path, append(forwarded, cookie...)...); a.status != 401 {
			t.Errorf("%s after the end: %d", path, a.status)
		}
	}
}

var forwarded = []string{
	"X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.example.com", "X-Forwarded-Uri", "/private",
}

// TestReloadToAnotherDialect tests that rules in the words of one service are not put in force for another that is stood in for.
func TestReloadToAnotherDialect(t *testing.T) {
	const embedded = "upstream: { embedded: { listen: 127.0.0.1:0, admin_listen: 127.0.0.1:0, dialect: "
	w := start(t, embedded+"wacht } }")
	w.configure(strings.Replace(w.yaml, "wacht", "crossid", 1))
	if _, err := w.app.Reload(); err == nil || !strings.Contains(err.Error(), "upstream is embedded (crossid) now and was embedded (wacht)") {
		t.Errorf("reload: %v", err)
	}
}

// TestSignInPage leads a browser from a gateway to the page of the service that stands in, and back with a session.
func TestSignInPage(t *testing.T) {
	f := func(d dialect) {
		t.Helper()
		service := start(t, "upstream: { embedded: { dialect: "+d.name+", listen: 127.0.0.1:0, admin_listen: 127.0.0.1:0 }, timeout: 10s }")
		own, admin := service.app.Address(app.Service).String(), service.app.Address(app.ServiceAdmin).String()
		section := d.name + ": { url: http://" + own + " }"
		if d.name == "crossid" {
			section = d.name + ": { url: http://" + own + ", cookie: crossid_session }"
		}
		w := start(t, "upstream: { "+section+", timeout: 10s }",
			"login: { url: http://"+admin+"/sign-in, allowed_hosts: [127.0.0.1] }")
		a := w.get(w.url+"/.gatehouse/auth/traefik", "Accept", "text/html", "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "http",
			"X-Forwarded-Host", "127.0.0.1", "X-Forwarded-Uri", "/private?x=1")
		page, err := url.Parse(a.header.Get("Location"))
		if err != nil || a.status != http.StatusSeeOther && a.status != http.StatusFound {
			t.Fatalf("%s: %d %v, %v", d.name, a.status, a.header, err)
		}
		to := page.Query().Get("return_to")
		a = w.do(http.MethodPost, "http://"+admin+"/sign-in", url.Values{"email": {"a@example.com"}, "return_to": {to}}.Encode(),
			"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "http://127.0.0.1/private?x=1" {
			t.Fatalf("%s: signing in answers %d, leads to %s", d.name, a.status, a.header.Get("Location"))
		}
		cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
		if a = w.get(w.url+"/private", "Cookie", cookie); a.status != http.StatusOK || !strings.Contains(a.body, "X-User-Id: ") {
			t.Errorf("%s: %d %s", d.name, a.status, a.body)
		}
	}
	for _, d := range dialects() {
		f(d)
	}
}
