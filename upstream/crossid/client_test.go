package crossid_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
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
	cookie = "cid_session"
	nobody = `{"code":"401","message":"client is not authenticated.","status":"Unauthorized"}`
)

func newClient(t *testing.T, base *url.URL, cookie string) *crossid.Client {
	t.Helper()
	c, err := crossid.New(crossid.Config{HTTP: httpclient.Config{URL: base, MaxConns: 4}, Cookie: cookie})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// dialect is Crossid as its description has it: ids that are no UUIDs, and 401 in words of its own.
var dialect = upstreamtest.Dialect{
	New:   func(t *testing.T, base *url.URL) upstream.Store { return newClient(t, base, cookie) },
	Names: map[upstream.Kind]string{upstream.Cookie: cookie, upstream.Bearer: ""},
	Session: func(n int) *upstream.Session {
		id, identity := fmt.Sprintf("QE8WQvyqF7WTfABCq5mh%d", n), fmt.Sprintf("8KCib-%d", n)
		end, _ := time.Parse(time.RFC3339Nano, upstreamtest.End)
		return &upstream.Session{ID: id, IdentityID: identity, AAL: upstream.AAL1, ExpiresAt: end, Body: fmt.Appendf(nil,
			`{"active":true,"authAt":"2021-02-25T20:49:09.170Z","authLevel":0,"expiresAt":%q,"id":%q,`+
				`"identity":{"displayName":"Eric"},"identityId":%q,"issuedAt":"2021-02-25T20:49:09.170Z"}`, upstreamtest.End, id, identity)}
	},
	Nobody: func(*http.Request) (int, string) { return 401, nobody },
	Asked: func(r *http.Request) (upstream.Kind, string) {
		return upstreamtest.CookieOrBearer(r, "/api/v1/auth/sessions/whoami", cookie)
	},
}

func TestClientIsAStore(t *testing.T) { dialect.TestStore(t) }

func TestAnswers(t *testing.T) {
	const json = "application/json"
	good := string(dialect.Session(1).Body)
	f := dialect.Answers(t)
	f(200, json, strings.Replace(good, `"active":true`, `"active":false`, 1), "no")
	f(200, json, strings.Replace(good, `"active":true,`, ``, 1), "outage")
	f(200, json, strings.Replace(good, `"active":true`, `"active":"yes"`, 1), "outage")
	f(200, json, `null`, "outage")
	f(200, json, `{}`, "outage")
	f(401, json, nobody, "no")
	f(401, json, `{"code":401,"message":"client is not authenticated."}`, "no")
	f(401, json, `{"status":"401","detail":"client is not authenticated."}`, "no")
}

// TestKinds tests that a credential of a kind that the service does not take is nobody's, and that nothing is asked.
func TestKinds(t *testing.T) {
	stub := &upstreamtest.Stub{Answer: func(*http.Request) (int, http.Header, string) { return 200, nil, string(dialect.Session(1).Body) }}
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
