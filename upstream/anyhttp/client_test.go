package anyhttp_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/anyhttp"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var json = http.Header{"Content-Type": {"application/json"}}

// has is the condition that the body is an object with a key.
func has(key string) func(int, map[string]string, any) (bool, error) {
	return func(_ int, _ map[string]string, body any) (bool, error) {
		m, _ := body.(map[string]any)
		return m[key] != nil, nil
	}
}

func newClient(t *testing.T, base *url.URL, cfg anyhttp.Config) *anyhttp.Client {
	t.Helper()
	cfg.HTTP.URL, cfg.HTTP.MaxConns = base, 4
	c, err := anyhttp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A kind of endpoint: how it is configured, and how it answers. Its bodies have the credential's number for id, and end in 2099.
type endpoint struct {
	cfg    anyhttp.Config
	path   string
	kinds  []upstream.Kind
	id     string // of a session, with a verb for its number; empty if it is made
	body   string // of a session, with verbs for its number
	nobody func(*http.Request) (int, string)
	asked  func(*http.Request) (credential string) // checks the question
}

const (
	end     = "2099-02-25T20:49:09Z"
	endUnix = 4075735749
)

// authJS is https://authjs.dev/getting-started/session-management/get-session: an empty object for nobody, and no id of a session.
func authJS() endpoint {
	const cookie = "authjs.session-token"
	return endpoint{
		cfg: anyhttp.Config{
			Names: httpclient.Names{Cookie: cookie}, Condition: has("user"),
			Paths: anyhttp.Paths{IdentityID: "user.email", ExpiresAt: "expires"},
		},
		path: "/api/auth/session", kinds: []upstream.Kind{upstream.Cookie},
		body:   `{"user":{"name":"Ada","email":"user-%[1]d"},"expires":"` + end + `"}`,
		nobody: func(*http.Request) (int, string) { return 200, "{}" },
		asked: func(r *http.Request) string {
			c, _ := r.Cookie(cookie)
			if c == nil || r.Method != http.MethodGet || r.Header.Get("Authorization") != "" {
				return ""
			}
			return c.Value
		},
	}
}

// supabase is GET /auth/v1/user: https://github.com/supabase/auth/blob/master/openapi.yaml.
func supabase() endpoint {
	return endpoint{
		cfg: anyhttp.Config{
			Names: httpclient.Names{Bearer: true}, Header: http.Header{"Apikey": {"public"}}, Condition: has("id"),
			Paths: anyhttp.Paths{ID: "session_id", IdentityID: "id"},
		},
		path: "/auth/v1/user", kinds: []upstream.Kind{upstream.Bearer}, id: "session-%d",
		body: `{"id":"user-%[1]d","session_id":"session-%[1]d","aud":"authenticated","email":"ada@example.com"}`,
		nobody: func(*http.Request) (int, string) {
			return 403, `{"code":403,"error_code":"bad_jwt","msg":"invalid JWT"}`
		},
		asked: func(r *http.Request) string {
			token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if r.Method != http.MethodGet || r.Header.Get("Apikey") != "public" {
				return ""
			}
			return token
		},
	}
}

// introspection is RFC 7662.
func introspection() endpoint {
	return endpoint{
		cfg: anyhttp.Config{
			Method: http.MethodPost, Names: httpclient.Names{Bearer: true, TokenHeader: "X-Session-Token"}, FormField: "token",
			ClientID: "gate house", ClientSecret: "s3cr:et", Condition: active,
			Paths: anyhttp.Paths{ID: "jti", IdentityID: "sub", ExpiresAt: "exp", AuthenticatedAt: "iat"},
		},
		path: "/oauth2/introspect", kinds: []upstream.Kind{upstream.Bearer, upstream.SessionToken}, id: "session-%d",
		body:   fmt.Sprintf(`{"active":true,"sub":"user-%%[1]d","jti":"session-%%[1]d","iat":1700000000,"exp":%d}`, int64(endUnix)),
		nobody: func(*http.Request) (int, string) { return 200, `{"active":false}` },
		asked: func(r *http.Request) string {
			id, secret, _ := r.BasicAuth()
			if r.Method != http.MethodPost || id != "gate+house" || secret != "s3cr%3Aet" || r.Header.Get("X-Session-Token") != "" {
				return ""
			}
			return r.PostFormValue("token")
		},
	}
}

func active(_ int, _ map[string]string, body any) (bool, error) {
	m, _ := body.(map[string]any)
	is, told := m["active"].(bool)
	if !told {
		return false, errors.New("no such key")
	}
	return is, nil
}

func TestClientIsAStore(t *testing.T) {
	for name, e := range map[string]endpoint{"auth.js": authJS(), "supabase": supabase(), "introspection": introspection()} {
		t.Run(name, func(t *testing.T) { upstreamtest.TestStore(t, e.subject) })
	}
}

func (e endpoint) subject(t *testing.T) upstreamtest.Subject {
	var mu sync.Mutex
	bodies := map[string]string{} // by credential
	stub := &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
		mu.Lock()
		defer mu.Unlock()
		if b := bodies[e.asked(r)]; b != "" && r.RequestURI == e.path {
			return 200, json, b
		}
		status, body := e.nobody(r)
		return status, json, body
	}}
	credential := func(k upstream.Kind, value string) upstream.Credential {
		names := map[upstream.Kind]string{upstream.Cookie: e.cfg.Names.Cookie, upstream.SessionToken: e.cfg.Names.TokenHeader}
		return upstream.Credential{Kind: k, Name: names[k], Value: []byte(value)}
	}
	base := stub.Start(t)
	base.Path = e.path
	c := newClient(t, base, e.cfg)
	s := stub.Subject(c)
	s.Kinds = e.kinds
	s.SignIn = func(k upstream.Kind) (upstream.Credential, *upstream.Session) {
		mu.Lock()
		n := len(bodies)
		cred := credential(k, fmt.Sprintf("secret-%d+/%%=", n))
		body := fmt.Sprintf(e.body, n)
		bodies[string(cred.Value)] = body
		mu.Unlock()
		want := &upstream.Session{ID: fmt.Sprintf(e.id, n), IdentityID: fmt.Sprintf("user-%d", n), AAL: upstream.AAL1, Body: []byte(body)}
		if e.cfg.Paths.ExpiresAt != "" {
			want.ExpiresAt, _ = time.Parse(time.RFC3339, end)
		}
		if e.id == "" {
			want.ID = derivedID(t, c, cred)
		}
		return cred, want
	}
	s.Stranger = func(k upstream.Kind) upstream.Credential { return credential(k, "nobody-at-all") }
	return s
}

// derivedID returns the id that a session gets for want of one of its own.
func derivedID(t *testing.T, c *anyhttp.Client, cred upstream.Credential) string {
	t.Helper()
	a, err := c.Session(t.Context(), cred)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(a.Session.ID, "derived-") || strings.Contains(a.Session.ID, string(cred.Value)) {
		t.Errorf("id is %q", a.Session.ID)
	}
	return a.Session.ID
}

// ask asks an endpoint that gives one answer to every question.
func ask(t *testing.T, cfg anyhttp.Config, cred upstream.Credential, status int, contentType, body string) (*upstream.Session, error) {
	t.Helper()
	stub := &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
		_, _ = io.Copy(io.Discard, r.Body)
		return status, http.Header{"Content-Type": {contentType}}, body
	}}
	a, err := newClient(t, stub.Start(t), cfg).Session(t.Context(), cred)
	return a.Session, err
}

// TestAnswers tells what is a session, what a definite no, and what an outage.
func TestAnswers(t *testing.T) {
	const session, no, outage = "session", "no", "outage"
	token := upstreamtest.Bearer("t")
	f := func(cfg anyhttp.Config, status int, contentType, body, want string) {
		t.Helper()
		s, err := ask(t, cfg, token, status, contentType, body)
		got := outage
		if err == nil && s != nil {
			got = session
		} else if upstream.Definite(err) {
			got = no
		}
		if got != want {
			t.Errorf("%d %q: %s (%v), want %s", status, body, got, err, want)
		}
	}
	const (
		json = "application/json"
		good = `{"active":true,"id":"s","user":7,"aal":"aal2","exp":4075735749,"at":"2026-01-01T00:00:00Z"}`
	)
	plain := anyhttp.Config{
		Names: httpclient.Names{Bearer: true}, Condition: active,
		Paths: anyhttp.Paths{ID: "id", IdentityID: "user", ExpiresAt: "exp", AuthenticatedAt: "at", AAL: "aal"},
	}
	f(plain, 200, json, good, session)
	f(plain, 200, "", good, session)
	f(plain, 200, json, `{"active":false}`, no)
	f(plain, 200, json, `{}`, outage) // it cannot be said
	f(plain, 200, json, `null`, outage)
	f(plain, 200, json, ``, outage)
	f(plain, 200, json, `[]`, outage)
	f(plain, 200, json, `"active"`, outage)
	f(plain, 200, json, strings.Repeat(" ", 64<<10)+good, outage)
	f(plain, 200, "text/html; charset=utf-8", good, outage)
	f(plain, 200, json, strings.Replace(good, `"s"`, `""`, 1), outage)
	f(plain, 200, json, strings.Replace(good, `"id"`, `"di"`, 1), outage)
	f(plain, 200, json, strings.Replace(good, "7", "null", 1), outage)
	f(plain, 200, json, strings.Replace(good, "7", "{}", 1), outage)
	f(plain, 200, json, strings.Replace(good, "4075735749", `"soon"`, 1), outage)
	f(plain, 200, json, strings.Replace(good, "4075735749", "4075735749000", 1), outage) // milliseconds
	f(plain, 200, json, strings.Replace(good, "4075735749", "0", 1), outage)
	f(plain, 200, json, strings.Replace(good, "4075735749", "null", 1), session)
	f(plain, 201, json, good, outage)
	f(plain, 204, json, ``, outage)
	f(plain, 302, json, good, outage)
	f(plain, 400, json, `{"active":false}`, outage)
	f(plain, 401, json, `{"active":false}`, no)
	f(plain, 401, json, `{"error":"x"}`, no)
	f(plain, 401, "", ``, no)
	f(plain, 403, "text/plain", `no`, no)
	f(plain, 401, json, good, outage) // the two contradict each other
	f(plain, 401, "text/html", `<title>Sign in</title>`, outage)
	f(plain, 403, "text/HTML", `<title>Blocked</title>`, outage)
	f(plain, 401, json, strings.Repeat(" ", 65<<10), outage)
	f(plain, 404, json, `{"active":false}`, outage)
	f(plain, 429, json, `{"active":false}`, outage)
	f(plain, 500, json, `{"active":false}`, outage)

	exists := plain
	exists.Condition = has("user")
	f(exists, 200, json, `null`, no)
	f(exists, 200, json, `{}`, no)
	always := plain
	always.Condition = func(int, map[string]string, any) (bool, error) { return true, nil }
	f(always, 200, json, `null`, outage)
	f(always, 200, json, good, session)

	// RFC 7662 section 2.3: a 401 is about the client that asks.
	own := introspection().cfg
	f(own, 401, json, `{"error":"invalid_client"}`, outage)
	f(own, 403, json, `{"error":"invalid_client"}`, outage)
	f(own, 200, json, `{"active":false}`, no)
}

// TestCondition tests what the condition gets to see.
func TestCondition(t *testing.T) {
	var status int
	var headers map[string]string
	var body any
	cfg := supabase().cfg
	cfg.Condition = func(s int, h map[string]string, b any) (bool, error) {
		status, headers, body = s, h, b
		return false, nil
	}
	f := func(wantStatus int, text string, wantBody any) {
		t.Helper()
		_, err := ask(t, cfg, upstreamtest.Bearer("t"), wantStatus, "application/x", text)
		if !errors.Is(err, upstream.ErrNoSession) || status != wantStatus || headers["content-type"] != "application/x" {
			t.Errorf("%v: status %d, headers %v", err, status, headers)
		}
		if d := cmp.Diff(wantBody, body); d != "" {
			t.Errorf("body (-want +got):\n%s", d)
		}
	}
	f(200, `{"a":[1,"b"]}`, map[string]any{"a": []any{1.0, "b"}})
	f(401, `{"a":null}`, map[string]any{"a": nil})
	f(401, `no`, nil)
}

// TestLevels tests what is taken for an assurance level.
func TestLevels(t *testing.T) {
	cfg := supabase().cfg
	cfg.Paths = anyhttp.Paths{IdentityID: "id", AAL: "l"}
	f := func(level string, want upstream.AAL) {
		t.Helper()
		s, err := ask(t, cfg, upstreamtest.Bearer("t"), 200, "application/json", `{"id":"u","l":`+level+`}`)
		if err != nil || s.AAL != want {
			t.Errorf("%s: %v, %v", level, s, err)
		}
	}
	f(`"aal1"`, upstream.AAL1)
	f(`"aal3"`, upstream.AAL3)
	f(`2`, upstream.AAL2)
	f(`2.5`, upstream.AAL0)
	f(`4`, upstream.AAL0)
	f(`-1`, upstream.AAL0)
	f(`"high"`, upstream.AAL0)
	f(`null`, upstream.AAL0)
}

// TestDerivedID tests that the id which is made for a session depends on the credential and on whose it is, and on nothing else.
func TestDerivedID(t *testing.T) {
	cfg := authJS().cfg
	cfg.Names.Bearer = true
	f := func(cred upstream.Credential, user string) string {
		t.Helper()
		s, err := ask(t, cfg, cred, 200, "application/json", `{"user":{"email":"`+user+`","at":"`+time.Now().String()+`"}}`)
		if err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	cookie := upstream.Credential{Kind: upstream.Cookie, Name: "authjs.session-token", Value: []byte("t")}
	other := upstream.Credential{Kind: upstream.Cookie, Name: "authjs.session-token", Value: []byte("u")}
	id := f(cookie, "ada")
	if again := f(cookie, "ada"); again != id {
		t.Errorf("one session has two ids, %s and %s", id, again)
	}
	ids := map[string]bool{id: true, f(cookie, "bob"): true, f(other, "ada"): true, f(upstreamtest.Bearer("t"), "ada"): true}
	if len(ids) != 4 {
		t.Errorf("four sessions have %d ids", len(ids))
	}
}

// TestFormHasOneValue tests that several cookies are not sent as if they were one.
func TestFormHasOneValue(t *testing.T) {
	cfg := introspection().cfg
	cfg.Names.Cookie = "sid"
	_, err := ask(t, cfg, upstream.Credential{Kind: upstream.Cookie, Name: "sid", Value: []byte("a;b")}, 200, "application/json", `{"active":true}`)
	if !errors.Is(err, upstream.ErrNoSession) || !errors.Is(err, upstream.ErrNotSent) {
		t.Errorf("two cookies in one form: %v", err)
	}
}

// TestNew tests that a configuration that would ask wrongly is refused.
func TestNew(t *testing.T) {
	f := func(ok bool, change func(*anyhttp.Config)) {
		t.Helper()
		cfg := introspection().cfg
		cfg.HTTP.URL = &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
		change(&cfg)
		if _, err := anyhttp.New(cfg); (err == nil) != ok {
			t.Errorf("New: %v", err)
		}
	}
	f(true, func(*anyhttp.Config) {})
	f(false, func(c *anyhttp.Config) { c.Method = "PUT" })
	f(false, func(c *anyhttp.Config) { c.Method = "" })
	f(false, func(c *anyhttp.Config) { c.FormField = "" })
	f(false, func(c *anyhttp.Config) { c.ClientSecret = "" })
	f(false, func(c *anyhttp.Config) { c.Names = httpclient.Names{} })
	f(false, func(c *anyhttp.Config) { c.Names.Cookie = "a b" })
	f(false, func(c *anyhttp.Config) { c.Condition = nil })
	f(false, func(c *anyhttp.Config) { c.Paths.IdentityID = "" })
	f(false, func(c *anyhttp.Config) { c.HTTP.URL = nil })
	f(true, func(c *anyhttp.Config) { c.Header = http.Header{"apikey": {"k"}} })
	f(false, func(c *anyhttp.Config) { c.Header = http.Header{"Host": {"k"}} })
	f(false, func(c *anyhttp.Config) { c.Header = http.Header{"api key": {"k"}} })
	f(false, func(c *anyhttp.Config) { c.Header = http.Header{"Apikey": {"k\r\nX: y"}} })
	f(false, func(c *anyhttp.Config) {
		c.ClientSecret = "s"
		c.HTTP.URL = &url.URL{Scheme: "http", Host: "h", Opaque: "/a b"}
	})
}
