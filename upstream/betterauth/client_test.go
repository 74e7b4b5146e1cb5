package betterauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
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

const (
	cookie    = "better-auth.session_token"
	expiresAt = "2099-02-25T20:49:09.17Z"
)

var json = http.Header{"Content-Type": {"application/json"}}

func body(id, user string) string {
	return fmt.Sprintf(`{"session":{"id":%q,"userId":%q,"token":"t","createdAt":"2026-01-01T00:00:00.000Z","expiresAt":%q},`+
		`"user":{"id":%q,"email":"ada@example.com","emailVerified":false}}`, id, user, expiresAt, user)
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

func TestClientIsAStore(t *testing.T) {
	upstreamtest.TestStore(t, func(t *testing.T) upstreamtest.Subject {
		var mu sync.Mutex
		sessions := map[string]string{} // bodies by credential
		stub := &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
			mu.Lock()
			defer mu.Unlock()
			key := r.Header.Get("Authorization")
			if c, err := r.Cookie(cookie); err == nil {
				key = "cookie " + c.Value
			}
			if b := sessions[key]; b != "" && r.RequestURI == "/api/auth/get-session?disableCookieCache=true" {
				return 200, json, b
			}
			return 200, json, "null"
		}}
		credential := func(k upstream.Kind, value string) upstream.Credential {
			if k == upstream.Cookie {
				return upstream.Credential{Kind: k, Name: cookie, Value: []byte(value)}
			}
			return upstream.Credential{Kind: k, Value: []byte(value)}
		}
		s := stub.Subject(newClient(t, stub.Start(t)))
		s.Kinds = []upstream.Kind{upstream.Cookie, upstream.Bearer}
		s.SignIn = func(k upstream.Kind) (upstream.Credential, *upstream.Session) {
			mu.Lock()
			defer mu.Unlock()
			n := len(sessions)
			value, id, user := fmt.Sprintf("secret-%d.c2ln%%3D", n), fmt.Sprintf("session-%d", n), fmt.Sprintf("user-%d", n)
			key := "Bearer " + value
			if k == upstream.Cookie {
				key = "cookie " + value
			}
			sessions[key] = body(id, user)
			end, _ := time.Parse(time.RFC3339Nano, expiresAt)
			return credential(k, value), &upstream.Session{
				ID: id, IdentityID: user, AAL: upstream.AAL1, ExpiresAt: end, Body: []byte(sessions[key]),
			}
		}
		s.Stranger = func(k upstream.Kind) upstream.Credential { return credential(k, "nobody-at-all") }
		return s
	})
}

// TestAnswers tells what is a session, what a definite no, and what an outage.
func TestAnswers(t *testing.T) {
	const session, no, outage = "session", "no", "outage"
	f := func(status int, contentType, body, want string) {
		t.Helper()
		stub := &upstreamtest.Stub{Answer: func(*http.Request) (int, http.Header, string) {
			return status, http.Header{"Content-Type": {contentType}}, body
		}}
		_, err := newClient(t, stub.Start(t)).Session(t.Context(), upstream.Credential{Kind: upstream.Cookie, Value: []byte("secret")})
		got := outage
		if err == nil {
			got = session
		} else if upstream.Definite(err) {
			got = no
		}
		if got != want {
			t.Errorf("%d %q: %s (%v), want %s", status, body, got, err, want)
		}
	}
	const json = "application/json"
	good := body("s", "u")
	f(200, json, good, session)
	f(200, json, "null", no)
	f(200, json, " null\n", no)
	f(200, json, "", outage)
	f(200, json, "{}", outage)
	f(200, json, `"null"`, outage)
	f(200, json, `{"session":null,"user":null}`, outage)
	f(200, json, body("", "u"), outage)
	f(200, json, body("s", ""), outage)
	f(200, json, strings.Replace(good, `"user":{"id":"u"`, `"user":{"id":"other"`, 1), outage)
	f(200, json, strings.Replace(good, expiresAt, "tomorrow", 1), outage)
	f(401, json, `{"code":"UNAUTHORIZED"}`, no)
	f(401, "text/html", `<title>Sign in</title>`, outage)
	f(403, json, `{"code":"FORBIDDEN"}`, outage)
	f(404, json, ``, outage)
	f(429, json, `{"message":"Too many requests. Please try again later."}`, outage)
	f(500, json, ``, outage)
}

// TestQuestion tests that the copy of the session is never what answers, and where the question goes.
func TestQuestion(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		var uri string
		var header http.Header
		stub := &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
			uri, header = r.RequestURI, r.Header
			return 200, json, body("s", "u")
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
	if diff := cmp.Diff([]string{token, data}, a.Renewed); diff != "" {
		t.Errorf("renewed (-want +got):\n%s", diff)
	}
	if a, err = c.Session(t.Context(), upstream.Credential{Kind: upstream.Bearer, Value: []byte("v")}); err != nil || a.Renewed != nil {
		t.Errorf("an answer about a bearer token renews %q (%v)", a.Renewed, err)
	}
}
