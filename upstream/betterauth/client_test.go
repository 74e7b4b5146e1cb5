package betterauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/betterauth"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const cookie = "better-auth.session_token"

func body(id, user string) string {
	return fmt.Sprintf(`{"session":{"id":%q,"userId":%q,"token":"t","createdAt":"2026-01-01T00:00:00.000Z","expiresAt":%q},`+
		`"user":{"id":%q,"email":"ada@example.com","emailVerified":false}}`, id, user, upstreamtest.End, user)
}

func newClient(t *testing.T, base *url.URL) *betterauth.Client {
	t.Helper()
	c, err := betterauth.New(betterauth.Config{HTTP: httpclient.Config{URL: base, MaxConns: 4}, Cookie: cookie})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// dialect is Better Auth, which says null to those who have no session.
var dialect = upstreamtest.Dialect{
	New:   func(t *testing.T, base *url.URL) upstream.Store { return newClient(t, base) },
	Names: map[upstream.Kind]string{upstream.Cookie: cookie, upstream.Bearer: ""},
	Value: "secret-%d.c2ln%%3D",
	Session: func(n int) *upstream.Session {
		id, user := fmt.Sprintf("session-%d", n), fmt.Sprintf("user-%d", n)
		end, _ := time.Parse(time.RFC3339Nano, upstreamtest.End)
		return &upstream.Session{ID: id, IdentityID: user, AAL: upstream.AAL1, ExpiresAt: end, Body: []byte(body(id, user))}
	},
	Nobody: func(*http.Request) (int, string) { return 200, "null" },
	Asked: func(r *http.Request) (upstream.Kind, string) {
		return upstreamtest.CookieOrBearer(r, "/api/auth/get-session?disableCookieCache=true", cookie)
	},
}

func TestClientIsAStore(t *testing.T) { dialect.TestStore(t) }

func TestAnswers(t *testing.T) {
	const json = "application/json"
	f := dialect.Answers(t)
	f(200, json, "null", "no")
	f(200, json, " null\n", "no")
	f(200, json, "{}", "outage")
	f(200, json, `"null"`, "outage")
	f(200, json, `{"session":null,"user":null}`, "outage")
	f(200, json, strings.Replace(body("s", "u"), `"user":{"id":"u"`, `"user":{"id":"other"`, 1), "outage")
}

// TestQuestion tests that the copy of the session is never what answers, and where the question goes.
func TestQuestion(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		var uri string
		var header http.Header
		stub := &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
			uri, header = r.RequestURI, r.Header
			return 200, upstreamtest.JSON(), body("s", "u")
		}}
		base := stub.Start(t)
		base.Path = path
		if _, err := newClient(t, base).Session(t.Context(), upstream.Credential{Kind: upstream.Cookie, Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
		if uri != want {
			t.Errorf("with path %q the question goes to %s, want %s", path, uri, want)
		}
		if diff := cmp.Diff([]string{cookie + "=v"}, header["Cookie"]); diff != "" {
			t.Errorf("cookies (-want +got):\n%s", diff)
		}
	}
	f("", "/api/auth/get-session?disableCookieCache=true")
	f("/", "/api/auth/get-session?disableCookieCache=true")
	f("/auth", "/auth/get-session?disableCookieCache=true")
}

// TestRenewed tests that what renews the session reaches the caller, and nothing else that the service sets.
func TestRenewed(t *testing.T) {
	token, data := cookie+"=new; Path=/; HttpOnly", "better-auth.session_data=abc; Path=/; Max-Age=300"
	stub := &upstreamtest.Stub{Answer: func(*http.Request) (int, http.Header, string) {
		return 200, http.Header{"Content-Type": {"application/json"}, "Set-Cookie": {"other=1", data, token}}, body("s", "u")
	}}
	c := newClient(t, stub.Start(t))
	a, err := c.Session(t.Context(), upstream.Credential{Kind: upstream.Cookie, Name: cookie, Value: []byte("v")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(upstreamtest.SetCookie(token, data), a.Renewed); diff != "" {
		t.Errorf("renewed (-want +got):\n%s", diff)
	}
	if a, err = c.Session(t.Context(), upstream.Credential{Kind: upstream.Bearer, Value: []byte("v")}); err != nil || a.Renewed != nil {
		t.Errorf("an answer about a bearer token renews %q (%v)", a.Renewed, err)
	}
}
