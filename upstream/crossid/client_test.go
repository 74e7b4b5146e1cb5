package crossid_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/crossid"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	cookie    = "cid_session"
	nobody    = `{"code":"401","message":"client is not authenticated.","status":"Unauthorized"}`
	expiresAt = "2099-02-25T20:49:09.17Z"
)

func body(id, identity string) string {
	return fmt.Sprintf(`{"active":true,"authAt":"2021-02-25T20:49:09.170Z","authLevel":0,"expiresAt":%q,"id":%q,`+
		`"identity":{"displayName":"Eric"},"identityId":%q,"issuedAt":"2021-02-25T20:49:09.170Z"}`, expiresAt, id, identity)
}

func newClient(t *testing.T, base *url.URL, cookie string) *crossid.Client {
	t.Helper()
	c, err := crossid.New(crossid.Config{HTTP: httpclient.Config{URL: base, MaxConns: 4}, Cookie: cookie})
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
			if b := sessions[key]; b != "" && r.URL.Path == "/api/v1/auth/sessions/whoami" && r.Method == http.MethodGet {
				return 200, http.Header{"Content-Type": {"application/json"}}, b
			}
			return 401, http.Header{"Content-Type": {"application/json"}}, nobody
		}}
		credential := func(k upstream.Kind, value string) upstream.Credential {
			if k == upstream.Cookie {
				return upstream.Credential{Kind: k, Name: cookie, Value: []byte(value)}
			}
			return upstream.Credential{Kind: k, Value: []byte(value)}
		}
		s := stub.Subject(newClient(t, stub.Start(t), cookie))
		s.Kinds = []upstream.Kind{upstream.Cookie, upstream.Bearer}
		s.SignIn = func(k upstream.Kind) (upstream.Credential, *upstream.Session) {
			mu.Lock()
			defer mu.Unlock()
			n := len(sessions)
			value, id, identity := fmt.Sprintf("secret-%d", n), fmt.Sprintf("QE8WQvyqF7WTfABCq5mh%d", n), fmt.Sprintf("8KCib-%d", n)
			key := "Bearer " + value
			if k == upstream.Cookie {
				key = "cookie " + value
			}
			sessions[key] = body(id, identity)
			end, _ := time.Parse(time.RFC3339Nano, expiresAt)
			return credential(k, value), &upstream.Session{
				ID: id, IdentityID: identity, AAL: upstream.AAL1, ExpiresAt: end, Body: []byte(sessions[key]),
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
		_, err := newClient(t, stub.Start(t), "").Session(t.Context(), upstream.Credential{Kind: upstream.Bearer, Value: []byte("secret")})
		got := outage
		if err == nil {
			got = session
		} else if upstream.Definite(err) {
			got = no
		}
		if got != want {
			t.Errorf("%d %s: %s (%v), want %s", status, body, got, err, want)
		}
	}
	const json = "application/json"
	good := body("s", "i")
	f(200, json, good, session)
	f(200, json, strings.Replace(good, `"active":true`, `"active":false`, 1), no)
	f(200, json, strings.Replace(good, `"active":true,`, ``, 1), outage)
	f(200, json, strings.Replace(good, `"active":true`, `"active":"yes"`, 1), outage)
	f(200, json, body("", "i"), outage)
	f(200, json, body("s", ""), outage)
	f(200, json, strings.Replace(good, expiresAt, "tomorrow", 1), outage)
	f(200, json, strings.Replace(good, expiresAt, "0001-01-01T00:00:00Z", 1), outage)
	f(200, json, `null`, outage)
	f(200, json, `{}`, outage)
	f(401, json, nobody, no)
	f(401, json, `{"code":401,"message":"client is not authenticated."}`, no)
	f(401, json, `{"status":"401","detail":"client is not authenticated."}`, no)
	f(401, "text/html", `<title>Sign in</title>`, outage)
	f(403, json, `{"code":"403","message":"no"}`, outage)
	f(404, json, `{"code":"404"}`, outage)
	f(429, json, `{"status":"429","detail":"API Rate limit exceeded."}`, outage)
	f(500, json, `{"code":"500","message":"an internal error has occurred.","status":"Internal Error"}`, outage)
}

// TestKinds tests that a credential of a kind that the service does not take is nobody's, and that nothing is asked.
func TestKinds(t *testing.T) {
	stub := &upstreamtest.Stub{Answer: func(*http.Request) (int, http.Header, string) { return 200, nil, body("s", "i") }}
	c := newClient(t, stub.Start(t), "")
	f := func(k upstream.Kind) {
		t.Helper()
		_, err := c.Session(t.Context(), upstream.Credential{Kind: k, Name: "x", Value: []byte("secret")})
		if !upstream.Definite(err) || stub.Questions() != 0 {
			t.Errorf("%v: error %v, %d questions; want a definite no without a question", k, err, stub.Questions())
		}
	}
	f(upstream.SessionToken)
	f(upstream.Cookie) // no cookie is configured
}
