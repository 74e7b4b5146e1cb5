package wacht_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
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
	signedOut = `{"status":200,"message":"","data":{"id":"91"},"session":{"id":"91"},"errors":null}`
)

func body(id, user string) string {
	data := fmt.Sprintf(`{"id":%q,"active_signin":{"id":"7","session_id":%q,"user_id":%q,"created_at":"2026-01-01T00:00:00Z","expires_at":%q}}`,
		id, id, user, upstreamtest.End)
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

// dialect is Wacht in development, which says 200 to those who are not signed in.
var dialect = upstreamtest.Dialect{
	New:   func(t *testing.T, base *url.URL) upstream.Store { return newClient(t, base, true) },
	Names: map[upstream.Kind]string{upstream.Cookie: cookie, upstream.SessionToken: wacht.DevelopmentHeader},
	Session: func(n int) *upstream.Session {
		id, user := fmt.Sprintf("10%d", n), fmt.Sprintf("20%d", n)
		end, _ := time.Parse(time.RFC3339Nano, upstreamtest.End)
		return &upstream.Session{ID: id, IdentityID: user, AAL: upstream.AAL1, ExpiresAt: end, Body: []byte(body(id, user))}
	},
	Nobody: func(*http.Request) (int, string) { return 200, signedOut },
	Asked: func(r *http.Request) (upstream.Kind, string) {
		if token := r.URL.Query().Get("__dev_session__"); token != "" && r.URL.Path == "/session" {
			return upstream.SessionToken, token
		}
		return upstreamtest.CookieOrBearer(r, "/session", cookie)
	},
}

func TestClientIsAStore(t *testing.T) { dialect.TestStore(t) }

func TestAnswers(t *testing.T) {
	const json = "application/json"
	f := dialect.Answers(t)
	f(200, json, signedOut, "no")
	f(200, json, `{"data":{"id":"91","active_signin":null}}`, "no")
	f(200, json, `{"data":{"id":"91","active_signin":"yes"}}`, "outage")
	f(200, json, `{"data":{"id":"91","active_signin":{}}}`, "outage")
	f(200, json, `{"data":null}`, "outage")
	f(200, json, `null`, "outage")
	f(404, json, `{"status":404,"message":"Session not found"}`, "no")
	f(404, json, `{"message":"Deployment not found"}`, "outage")
}

// TestQuestion tests how each kind of credential is presented, and that none is presented to a deployment that does not take it.
func TestQuestion(t *testing.T) {
	f := func(development bool, k upstream.Kind, want []string) {
		t.Helper()
		var got []string
		stub := &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
			got = []string{r.Method + " " + r.RequestURI, r.Header.Get("Cookie"), r.Header.Get(wacht.DevelopmentHeader)}
			return 200, upstreamtest.JSON(), body("s", "u")
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
			stub := &upstreamtest.Stub{Answer: func(*http.Request) (int, http.Header, string) { return 200, upstreamtest.JSON(), body("s", "u") }}
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
	if diff := cmp.Diff(upstreamtest.SetCookie(line), a.Renewed); diff != "" {
		t.Errorf("renewed (-want +got):\n%s", diff)
	}
}

// TestRenewedToken tests that a renewed token reaches the caller who presented a token, and no other.
func TestRenewedToken(t *testing.T) {
	f := func(k upstream.Kind, header string, want []upstream.Field) {
		t.Helper()
		stub := &upstreamtest.Stub{Answer: func(*http.Request) (int, http.Header, string) {
			return 200, http.Header{"Content-Type": {"application/json"}, "X-Development-Session": {header}}, body("s", "u")
		}}
		a, err := newClient(t, stub.Start(t), true).Session(t.Context(), upstream.Credential{Kind: k, Value: []byte("old")})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, a.Renewed); diff != "" {
			t.Errorf("%v %q: renewed (-want +got):\n%s", k, header, diff)
		}
	}
	f(upstream.SessionToken, "new", []upstream.Field{{Name: "X-Development-Session", Value: "new"}})
	f(upstream.SessionToken, "old", nil)
	f(upstream.SessionToken, "", nil)
	f(upstream.SessionToken, "n\xc3\xa9w", nil)
	f(upstream.Cookie, "new", nil)
}

// TestToken tests what is asked for a token, and what is made of the answers.
func TestToken(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.1")
	var got []string
	ask := func(k upstream.Kind, template string, client netip.Addr, status int, header http.Header, body string) (wacht.Token, error) {
		stub := &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
			got = []string{r.Method + " " + r.RequestURI, r.Header.Get("Cookie"), r.Header.Get("X-Wacht-Forwarded-For")}
			return status, header, body
		}}
		return newClient(t, stub.Start(t), true).Token(t.Context(), upstream.Credential{Kind: k, Value: []byte("v")}, template, client)
	}
	const token = `{"status":200,"data":{"token":"t","expires":4075735749170}}`
	end := time.UnixMilli(4075735749170).Add(-5 * time.Second)
	header := http.Header{"Content-Type": {"application/json"}, "Set-Cookie": {cookie + "=new"}, "X-Other": {"x"}}

	a, err := ask(upstream.Cookie, "", client, 200, header, token)
	want := wacht.Token{Until: end, Renewed: upstreamtest.SetCookie(cookie + "=new"), Reply: upstream.Reply{
		Status: 200, Header: []upstream.Field{{Name: "Content-Type", Value: "application/json"}}, Body: []byte(token),
	}}
	if diff := cmp.Diff(want, a); err != nil || diff != "" {
		t.Errorf("token (%v) (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"GET /session/token", cookie + "=v", "192.0.2.1"}, got); diff != "" {
		t.Errorf("question (-want +got):\n%s", diff)
	}
	_, _ = ask(upstream.SessionToken, "a-b", netip.Addr{}, 200, header, token)
	if diff := cmp.Diff([]string{"GET /session/token?__dev_session__=v&template=a-b", "", ""}, got); diff != "" {
		t.Errorf("question (-want +got):\n%s", diff)
	}

	f := func(status int, header http.Header, body, verdict string, life time.Duration) {
		t.Helper()
		now := time.Now()
		a, err := ask(upstream.Cookie, "", client, status, header, body)
		is := fmt.Sprint(a.Reply.Status)
		if err != nil {
			is = "outage"
			if upstream.Definite(err) {
				is = "no"
			}
		}
		if left := a.Until.Sub(now); is != verdict || life == 0 && !a.Until.IsZero() || life > 0 && (left < life || left > life+time.Minute) {
			t.Errorf("%d %q: %s (%v), to be given out for %v, want %s, %v", status, body, is, err, left, verdict, life)
		}
	}
	json := upstreamtest.JSON()
	f(429, json, `{"message":"Too many token exchange requests"}`, "429", time.Second)
	f(429, http.Header{"Retry-After": {"30"}}, `{}`, "429", 30*time.Second)
	f(429, http.Header{"Retry-After": {"86400"}}, `{}`, "429", time.Minute)
	f(400, json, `{"message":"unknown template"}`, "400", 0)
	f(400, json, `no`, "outage", 0)
	f(401, json, `{}`, "no", 0)
	f(401, http.Header{"Content-Type": {"text/html"}}, `{}`, "outage", 0)
	f(404, json, `{"message":"Deployment not found"}`, "outage", 0)
	f(500, json, `{}`, "outage", 0)
	f(200, json, `{"data":{"token":"","expires":4075735749170}}`, "outage", 0)
	f(200, json, `{"data":{"token":"t","expires":"soon"}}`, "outage", 0)
	f(200, json, `{"data":{"token":"t"}}`, "outage", 0)
	f(200, json, `{"data":{"token":"t","expires":1e300}}`, "outage", 0)
	f(200, json, ``, "outage", 0)
	if _, err := ask(upstream.Bearer, "", client, 200, header, token); !upstream.Definite(err) {
		t.Errorf("about a bearer token: %v", err)
	}
}
