package wacht_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
	"github.com/gatehouse-proxy/gatehouse/upstream/wacht"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	cookie    = "__session"
	expiresAt = "2099-02-25T20:49:09.17Z"
	signedOut = `{"status":200,"message":"","data":{"id":"91"},"session":{"id":"91"},"errors":null}`
)

var jsonType = http.Header{"Content-Type": {"application/json"}}

func body(id, user string) string {
	data := fmt.Sprintf(`{"id":%q,"active_signin":{"id":"7","session_id":%q,"user_id":%q,"created_at":"2026-01-01T00:00:00Z","expires_at":%q}}`,
		id, id, user, expiresAt)
	return `{"status":200,"message":"","data":` + data + `,"session":` + data + `,"errors":null}`
}

func newClient(t *testing.T, base *url.URL, development bool) *wacht.Client {
	t.Helper()
	c, err := wacht.New(wacht.Config{HTTP: httpclient.Config{URL: base, MaxConns: 4}, Cookie: cookie, Development: development})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestClientIsAStore(t *testing.T) {
	upstreamtest.TestStore(t, func(t *testing.T) upstreamtest.Subject {
		var mu sync.Mutex
		sessions := map[string]string{} // bodies by token
		stub := &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
			mu.Lock()
			defer mu.Unlock()
			token := r.URL.Query().Get("__dev_session__")
			if c, err := r.Cookie(cookie); err == nil {
				token = c.Value
			}
			if b := sessions[token]; b != "" && r.URL.Path == "/session" {
				return 200, jsonType, b
			}
			return 200, jsonType, signedOut
		}}
		credential := func(k upstream.Kind, value string) upstream.Credential {
			if k == upstream.Cookie {
				return upstream.Credential{Kind: k, Name: cookie, Value: []byte(value)}
			}
			return upstream.Credential{Kind: k, Name: wacht.DevelopmentHeader, Value: []byte(value)}
		}
		s := stub.Subject(newClient(t, stub.Start(t), true))
		s.Kinds = []upstream.Kind{upstream.Cookie, upstream.SessionToken}
		s.SignIn = func(k upstream.Kind) (upstream.Credential, *upstream.Session) {
			mu.Lock()
			defer mu.Unlock()
			n := len(sessions)
			value, id, user := fmt.Sprintf("secret-%d", n), fmt.Sprintf("10%d", n), fmt.Sprintf("20%d", n)
			sessions[value] = body(id, user)
			end, _ := time.Parse(time.RFC3339Nano, expiresAt)
			return credential(k, value), &upstream.Session{
				ID: id, IdentityID: user, AAL: upstream.AAL1, ExpiresAt: end, Body: []byte(sessions[value]),
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
		_, err := newClient(t, stub.Start(t), false).Session(t.Context(), upstream.Credential{Kind: upstream.Cookie, Value: []byte("secret")})
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
	f(200, json, signedOut, no)
	f(200, json, `{"data":{"id":"91","active_signin":null}}`, no)
	f(200, json, `{"data":{"id":"91","active_signin":"yes"}}`, outage)
	f(200, json, `{"data":{"id":"91","active_signin":{}}}`, outage)
	f(200, json, `{"data":null}`, outage)
	f(200, json, `null`, outage)
	f(200, json, ``, outage)
	f(200, json, body("", "u"), outage)
	f(200, json, body("s", ""), outage)
	f(200, json, strings.Replace(good, expiresAt, "tomorrow", 1), outage)
	f(401, json, `{"status":401,"message":"Invalid session"}`, no)
	f(401, "text/html", `<title>Sign in</title>`, outage)
	f(404, json, `{"status":404,"message":"Session not found"}`, no)
	f(404, json, `{"message":"Deployment not found"}`, outage)
	f(403, json, `{}`, outage)
	f(429, json, `{}`, outage)
	f(500, json, `{"errors":[{"code":"INTERNAL"}]}`, outage)
}

// TestQuestion tests how each kind of credential is presented, and that none is presented to a deployment that does not take it.
func TestQuestion(t *testing.T) {
	f := func(development bool, k upstream.Kind, want []string) {
		t.Helper()
		var got []string
		stub := &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
			got = []string{r.Method + " " + r.RequestURI, r.Header.Get("Cookie"), r.Header.Get(wacht.DevelopmentHeader)}
			return 200, jsonType, body("s", "u")
		}}
		_, err := newClient(t, stub.Start(t), development).Session(t.Context(), upstream.Credential{Kind: k, Value: []byte("a+b")})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: question (-want +got):\n%s", k, diff)
		}
		if want == nil && !upstream.Definite(err) {
			t.Errorf("%v: error %v, want a definite no", k, err)
		}
	}
	f(false, upstream.Cookie, []string{"GET /session", "__session=a+b", ""})
	f(true, upstream.Cookie, []string{"GET /session", "__session=a+b", ""})
	f(true, upstream.SessionToken, []string{"GET /session?__dev_session__=a%2Bb", "", "a+b"})
	f(false, upstream.SessionToken, nil)
	f(true, upstream.Bearer, nil)
}

// TestBelieveFor tests that nothing is believed beyond the end of the token.
func TestBelieveFor(t *testing.T) {
	f := func(token string, want time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			token := strings.ReplaceAll(token, "NOW+60", fmt.Sprint(time.Now().Unix()+60))
			if head, claims, ok := strings.Cut(token, "|"); ok {
				token = head + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".sig"
			}
			stub := &upstreamtest.Stub{Answer: func(*http.Request) (int, http.Header, string) { return 200, jsonType, body("s", "u") }}
			base := &url.URL{Scheme: "http", Host: "frontend.example.com"}
			c, err := wacht.New(wacht.Config{HTTP: httpclient.Config{URL: base, Dial: stub.Pipe(t)}, Cookie: cookie})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			a, err := c.Session(t.Context(), upstream.Credential{Kind: upstream.Cookie, Value: []byte(token)})
			if err != nil || a.BelieveFor != want {
				t.Errorf("answer about %q is believed for %v (%v), want %v", token, a.BelieveFor, err, want)
			}
		})
	}
	f(`h|{"exp":NOW+60}`, time.Minute)
	f(`h|{"exp":1}`, 0)
	f(`h|{"exp":"NOW+60"}`, 0)
	f(`h|{"exp":1e300}`, 0)
	f(`h|{}`, upstream.Unlimited)
	f(`h|{`, 0)
	f(`opaque`, 0)
	f(`a.b.c`, 0)
}

// TestRenewed tests that the renewed cookie reaches the caller.
func TestRenewed(t *testing.T) {
	line := cookie + "=new; Path=/; HttpOnly; Secure"
	stub := &upstreamtest.Stub{Answer: func(*http.Request) (int, http.Header, string) {
		return 200, http.Header{"Content-Type": {"application/json"}, "Set-Cookie": {"other=1", line}}, body("s", "u")
	}}
	a, err := newClient(t, stub.Start(t), false).Session(t.Context(), upstream.Credential{Kind: upstream.Cookie, Value: []byte("v")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{line}, a.Renewed); diff != "" {
		t.Errorf("renewed (-want +got):\n%s", diff)
	}
}
