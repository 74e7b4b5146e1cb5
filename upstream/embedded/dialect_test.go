package embedded_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/internal/whoami"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/betterauth"
	"github.com/gatehouse-proxy/gatehouse/upstream/crossid"
	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
	"github.com/gatehouse-proxy/gatehouse/upstream/kratos"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
	"github.com/gatehouse-proxy/gatehouse/upstream/wacht"
)

// A standIn is a dialect, and the gateway's own client of it.
type standIn struct {
	dialect whoami.Dialect
	cookie  string
	kinds   []upstream.Kind
	expires string // where the end of a session is told
	client  func(cfg httpclient.Config, cookie string) (asker, error)
}

type asker interface {
	upstream.Store
	Close()
}

func standIns() []standIn {
	return []standIn{
		{
			whoami.Kratos, "ory_kratos_session",
			[]upstream.Kind{upstream.SessionToken, upstream.Cookie, upstream.Bearer},
			"expires_at",
			func(cfg httpclient.Config, cookie string) (asker, error) {
				return kratos.New(kratos.Config{HTTP: cfg, Cookie: cookie})
			},
		},
		{
			whoami.Wacht, "__session",
			[]upstream.Kind{upstream.SessionToken, upstream.Cookie},
			"data.active_signin.expires_at",
			func(cfg httpclient.Config, cookie string) (asker, error) {
				return wacht.New(wacht.Config{HTTP: cfg, Cookie: cookie, Development: true})
			},
		},
		{
			whoami.Crossid, "crossid_session",
			[]upstream.Kind{upstream.Cookie, upstream.Bearer},
			"expiresAt",
			func(cfg httpclient.Config, cookie string) (asker, error) {
				return crossid.New(crossid.Config{HTTP: cfg, Cookie: cookie})
			},
		},
		{
			whoami.BetterAuth, "better-auth.session_token",
			[]upstream.Kind{upstream.Cookie, upstream.Bearer},
			"session.expiresAt",
			func(cfg httpclient.Config, cookie string) (asker, error) {
				return betterauth.New(betterauth.Config{HTTP: cfg, Cookie: cookie})
			},
		},
	}
}

// credential returns how c is presented as a credential of kind k.
func (d *standIn) credential(k upstream.Kind, token, cookie string) upstream.Credential {
	if k == upstream.Cookie {
		return upstream.Credential{Kind: k, Name: d.cookie, Value: []byte(cookie)}
	}
	return upstream.Credential{Kind: k, Value: []byte(token)}
}

// TestClientsAreStores tests that the gateway's clients, each in front of the service in its dialect, keep what every Store promises.
func TestClientsAreStores(t *testing.T) {
	for _, d := range standIns() {
		t.Run(string(d.dialect), func(t *testing.T) {
			upstreamtest.TestStore(t, func(t *testing.T) upstreamtest.Subject { return d.subject(t) })
		})
	}
}

func (d *standIn) subject(t *testing.T) upstreamtest.Subject {
	w := open(t, embedded.Config{Dialect: d.dialect})
	stub := &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
		answer := httptest.NewRecorder()
		w.s.Public().ServeHTTP(answer, r)
		return answer.Code, answer.Header(), answer.Body.String()
	}}
	c, err := d.client(httpclient.Config{URL: stub.Start(t), MaxConns: 4}, d.cookie)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var people atomic.Int32
	s := stub.Subject(c)
	s.Kinds = d.kinds
	s.SignIn = func(k upstream.Kind) (upstream.Credential, *upstream.Session) {
		made := w.create(user(fmt.Sprintf("u%d@example.test", people.Add(1))))
		return d.credential(k, made.SessionToken, made.SessionCookie.Value), &upstream.Session{
			ID: made.SessionID, IdentityID: made.IdentityID, AAL: upstream.AAL1, ExpiresAt: gjson.GetBytes(made.Session, d.expires).Time(),
			Body: append(made.Session, '\n'),
		}
	}
	s.Stranger = func(k upstream.Kind) upstream.Credential { return d.credential(k, "nobody-at-all", "nobody-at-all") }
	if d.dialect == whoami.Kratos {
		s.Refused = func(k upstream.Kind) upstream.Credential {
			n := user("refused@example.test")
			n.RequireAAL2 = true
			made := w.create(n)
			return d.credential(k, made.SessionToken, made.SessionCookie.Value)
		}
	}
	return s
}

// TestEnds tests, over connections in memory, that each call that ends sessions in some dialect ends those that it should for the gateway's
// client of it, and no others, and that Revoked hears of them before the answer.
func TestEnds(t *testing.T) {
	// f makes a call as the first of five people: 0 to 2 are sessions of one person, 3 is somebody else's. ID0 is the id of the first, and
	// TOKEN0 its token.
	f := func(d standIn, method, path, body, want string, ends ...int) {
		t.Helper()
		var heard []string
		w := open(t, embedded.Config{Dialect: d.dialect, Revoked: func(id, _ string) { heard = append(heard, id) }})
		c, err := d.client(httpclient.Config{URL: &url.URL{Scheme: "http", Host: "service"}, Dial: w.s.Dial}, d.cookie)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		mine := w.create(user("a@example.test"))
		same := embedded.NewSession{IdentityID: mine.IdentityID}
		all := []embedded.Created{mine, w.create(same), w.create(same), w.create(user("b@example.test"))}
		for n, x := range all {
			fill := strings.NewReplacer(fmt.Sprint("ID", n), x.SessionID, fmt.Sprint("TOKEN", n), x.SessionToken)
			path, body = fill.Replace(path), fill.Replace(body)
		}
		a := w.public(method, path, body, cookieHeader(mine))
		if got := fmt.Sprint(a.status, " ", strings.TrimSpace(a.body)); got != want {
			t.Errorf("%s %s %s: %s\nwant %s", d.dialect, method, path, got, want)
		}
		if len(heard) != len(ends) {
			t.Errorf("%s %s %s: Revoked heard of %d sessions, want %d", d.dialect, method, path, len(heard), len(ends))
		}
		for n, x := range all {
			for _, k := range d.kinds {
				_, err := c.Session(t.Context(), d.credential(k, x.SessionToken, x.SessionCookie.Value))
				if want := slices.Contains(ends, n); upstream.Definite(err) != want || (err != nil) != want {
					t.Errorf("%s %s %s: session %d by %v: %v", d.dialect, method, path, n, k, err)
				}
			}
		}
	}
	kratos, wacht, crossid, better := standIns()[0], standIns()[1], standIns()[2], standIns()[3]
	f(kratos, "DELETE", "/sessions", "", `200 {"count":2}`, 1, 2)
	f(kratos, "DELETE", "/sessions/ID1", "", "204 ", 1)
	f(kratos, "DELETE", "/sessions/ID3", "", "204 ")
	f(kratos, "DELETE", "/self-service/logout/api", `{"session_token":"TOKEN3"}`, "204 ", 3)

	const nobody = `200 {"status":200,"message":"","data":{"id":"0"},"session":{"id":"0"},"errors":null}`
	const bad = `400 {"status":400,"message":"Bad Request","data":null,"session":null,"errors":[{"code":"400","message":"Bad Request"}]}`
	f(wacht, "POST", "/session/sign-out", "", nobody, 0)
	f(wacht, "POST", "/session/sign-out?sign_in_id=ID0", "", nobody, 0)
	f(wacht, "POST", "/session/sign-out?sign_in_id=ID1", "", bad)
	f(wacht, "POST", "/session/switch-sign-in?sign_in_id=ID1", "", bad)
	f(wacht, "POST", "/session/switch-organization?organization_id=1", "", bad)
	f(wacht, "POST", "/session/switch-workspace?workspace_id=1", "", bad)
	f(wacht, "GET", "/session/sign-out", "", "405 Method Not Allowed")

	const invalid = `400 {"code":"400","message":"Bad Request","status":"Bad Request"}`
	f(crossid, "DELETE", "/api/v1/auth/sessions/revoke", `{"sessionToken":"TOKEN1"}`, "204 ", 1)
	f(crossid, "DELETE", "/api/v1/auth/sessions/revoke", `{"sessionToken":"TOKEN3"}`, "204 ", 3)
	f(crossid, "DELETE", "/api/v1/auth/sessions/revoke", `{"sessionToken":"nobody"}`, invalid)
	f(crossid, "DELETE", "/api/v1/auth/sessions/revoke", `{`, invalid)
	f(crossid, "DELETE", "/api/v1/auth/sessions/revoke", "", invalid)

	f(better, "POST", "/api/auth/revoke-session", `{"token":"ID1"}`, `200 {"status":true}`, 1)
	f(better, "POST", "/api/auth/revoke-session", `{"token":"TOKEN0"}`, `200 {"status":true}`, 0)
	f(better, "POST", "/api/auth/revoke-session", `{"token":"ID3"}`, `200 {"status":true}`)
	f(better, "POST", "/api/auth/revoke-session", `{"token":"TOKEN3"}`, `200 {"status":true}`)
	f(better, "POST", "/api/auth/revoke-session", `{}`, `400 {"code":"BAD_REQUEST","message":"Bad Request"}`)
	f(better, "POST", "/api/auth/revoke-other-sessions", `{}`, `200 {"status":true}`, 1, 2)
	f(better, "POST", "/api/auth/revoke-sessions", `{}`, `200 {"status":true}`, 0, 1, 2)
	f(better, "POST", "/api/auth/sign-out", "", `200 {"success":true}`, 0)
}

// TestNobody tests what those are told who have no session, and everybody when the service is closed.
func TestNobody(t *testing.T) {
	f := func(d standIn, method, path, body, want, wantClosed string) {
		t.Helper()
		w := open(t, embedded.Config{Dialect: d.dialect})
		ask := func(headers ...string) string {
			r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			for n := 0; n < len(headers); n += 2 {
				r.Header.Set(headers[n], headers[n+1])
			}
			answer := httptest.NewRecorder()
			w.s.Public().ServeHTTP(answer, r)
			return fmt.Sprint(answer.Code, " ", strings.TrimSpace(answer.Body.String()))
		}
		for _, header := range [][]string{nil, {"Cookie", d.cookie + "=x"}, {"Authorization", "Bearer x"}, {"X-Development-Session", "x.y.z"}} {
			if got := ask(header...); got != want {
				t.Errorf("%s %s %s with %q: %s\nwant %s", d.dialect, method, path, header, got, want)
			}
		}
		if err := w.s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := ask(); got != wantClosed {
			t.Errorf("%s %s %s of a closed service: %s\nwant %s", d.dialect, method, path, got, wantClosed)
		}
	}
	wacht, crossid, better := standIns()[1], standIns()[2], standIns()[3]

	const down = `503 {"status":503,"message":"Service Unavailable","data":null,"session":null,` +
		`"errors":[{"code":"503","message":"Service Unavailable"}]}`
	const bad = `400 {"status":400,"message":"Bad Request","data":null,"session":null,"errors":[{"code":"400","message":"Bad Request"}]}`
	f(wacht, "GET", "/session", "", `200 {"status":200,"message":"","data":{"id":"0"},"session":{"id":"0"},"errors":null}`, down)
	f(wacht, "POST", "/session/sign-out", "", bad, down)
	f(wacht, "POST", "/session/switch-organization", "", bad, down)
	f(wacht, "GET", "/session/token", "", bad, down)

	const closed = `503 {"code":"503","message":"Service Unavailable","status":"Service Unavailable"}`
	f(crossid, "GET", "/api/v1/auth/sessions/whoami", "",
		`401 {"code":"401","message":"client is not authenticated.","status":"Unauthorized"}`, closed)
	f(crossid, "GET", "/sessions/whoami", "", "404 404 page not found", closed)

	const unavailable = `503 {"code":"SERVICE_UNAVAILABLE","message":"Service Unavailable"}`
	const unauthorized = `401 {"code":"UNAUTHORIZED","message":"Unauthorized"}`
	f(better, "GET", "/api/auth/get-session", "", "200 null", unavailable)
	f(better, "GET", "/api/auth/ok", "", `200 {"ok":true}`, unavailable)
	f(better, "GET", "/api/auth/list-sessions", "", unauthorized, unavailable)
	f(better, "POST", "/api/auth/revoke-session", `{"token":"x"}`, unauthorized, unavailable)
	f(better, "POST", "/api/auth/revoke-other-sessions", `{}`, unauthorized, unavailable)
	f(better, "POST", "/api/auth/revoke-sessions", `{}`, unauthorized, unavailable)
	f(better, "POST", "/api/auth/sign-out", `{}`, `200 {"success":true}`, unavailable)
}

// TestOtherCredentials tests that a dialect takes no credential that only another has.
func TestOtherCredentials(t *testing.T) {
	f := func(d standIn, path, header string, want bool) {
		t.Helper()
		w := open(t, embedded.Config{Dialect: d.dialect})
		token := w.create(user("a@example.test")).SessionToken
		a := w.public("GET", strings.ReplaceAll(path, "TOKEN", token), "", strings.ReplaceAll(header, "TOKEN", token))
		if got := strings.Contains(a.body, "a@example.test"); got != want {
			t.Errorf("%s %s with %s: %d %s", d.dialect, path, header, a.status, a.body)
		}
	}
	kratos, wacht, crossid, better := standIns()[0], standIns()[1], standIns()[2], standIns()[3]
	f(kratos, "/sessions/whoami", "X-Session-Token: TOKEN", true)
	f(kratos, "/sessions/whoami?__dev_session__=TOKEN", "X-Development-Session: TOKEN", false)
	f(wacht, "/session?__dev_session__=TOKEN", "Accept: */*", true)
	f(wacht, "/session", "X-Development-Session: TOKEN", true)
	f(wacht, "/session", "Authorization: Bearer TOKEN", false)
	f(wacht, "/session", "X-Session-Token: TOKEN", false)
	f(crossid, "/api/v1/auth/sessions/whoami", "Authorization: Bearer TOKEN", true)
	f(crossid, "/api/v1/auth/sessions/whoami", "X-Session-Token: TOKEN", false)
	f(better, "/api/auth/get-session", "Authorization: Bearer TOKEN", true)
	f(better, "/api/auth/get-session", "X-Session-Token: TOKEN", false)
}

// TestBetterAuthList tests that people see their own sessions and a token of each that revokes it and signs nobody in.
func TestBetterAuthList(t *testing.T) {
	w := open(t, embedded.Config{Dialect: whoami.BetterAuth})
	n := user("a@example.test")
	address, agent := "192.0.2.1", "Browser"
	n.Devices = []embedded.Device{{IPAddress: &address, UserAgent: &agent}}
	mine := w.create(n)
	other := w.create(embedded.NewSession{IdentityID: mine.IdentityID})
	w.create(user("b@example.test"))

	list := w.public("GET", "/api/auth/list-sessions", "", cookieHeader(other)).body
	var got []struct{ ID, Token, UserID, IPAddress, UserAgent string }
	if err := json.Unmarshal([]byte(list), &got); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b struct{ ID, Token, UserID, IPAddress, UserAgent string }) int {
		return strings.Compare(b.IPAddress, a.IPAddress)
	})
	if len(got) != 2 || got[0].ID != mine.SessionID || got[1].ID != other.SessionID || got[0].UserID != mine.IdentityID ||
		got[0].IPAddress != address || got[0].UserAgent != agent || got[1].IPAddress != "" {
		t.Fatalf("sessions: %s", list)
	}
	if a := w.public("GET", "/api/auth/get-session", "", "Authorization: Bearer "+got[0].Token); a.body != "null\n" {
		t.Errorf("the token of a list signs in: %s", a.body)
	}
	w.public("POST", "/api/auth/revoke-session", `{"token":"`+got[0].Token+`"}`, cookieHeader(other))
	if a := w.public("GET", "/api/auth/get-session", "", cookieHeader(mine)); a.body != "null\n" {
		t.Errorf("the token of a list does not revoke: %s", a.body)
	}
}

// TestTooMuchToTell tests that nobody is created whom the gateway could not be told about: Wacht says a name four times.
func TestTooMuchToTell(t *testing.T) {
	f := func(d whoami.Dialect, name string, ok bool) {
		t.Helper()
		s, err := embedded.Open(embedded.Config{Dialect: d})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		traits, _ := json.Marshal(map[string]string{"name": name})
		c, err := s.Create(embedded.NewSession{Identity: &embedded.NewIdentity{Traits: traits}})
		if (err == nil) != ok || len(c.Session) > 64<<10 {
			t.Errorf("%s with a name of %d bytes: %d bytes of session, %v", d, len(name), len(c.Session), err)
		}
	}
	f(whoami.Kratos, strings.Repeat("x", 30<<10), true)
	f(whoami.Wacht, strings.Repeat("x", 30<<10), false)
	f(whoami.Wacht, strings.Repeat("x", 10<<10), true)
	f(whoami.Crossid, strings.Repeat("x", 30<<10), true)
	f(whoami.Wacht, strings.Repeat("<", 4<<10), false)

	w := open(t, embedded.Config{Dialect: whoami.Wacht})
	c := w.create(user("a@example.test"))
	a := w.adminCall("PATCH", "/admin/identities/"+c.IdentityID,
		`[{"op":"add","path":"/traits/name","value":"`+strings.Repeat("x", 30<<10)+`"}]`)
	if a.status != 400 || !strings.Contains(a.body, "shorten the name") {
		t.Errorf("a name that grows: %d %s", a.status, a.body)
	}
	if _, err := w.s.Create(embedded.NewSession{IdentityID: c.IdentityID, RequireAAL2: true}); err == nil {
		t.Error("a session that Wacht would have to refuse was created")
	}
	if _, err := embedded.Open(embedded.Config{Dialect: "none"}); err == nil || !strings.Contains(err.Error(), "better_auth") {
		t.Errorf("an unknown dialect: %v", err)
	}
}
