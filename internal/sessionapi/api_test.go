package sessionapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/sessionapi"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A fakeCache knows sessions by kind and value of a credential, and notes what is revoked.
type fakeCache struct {
	known   map[string]string // session and identity, with a blank between them
	errs    map[string]error
	asked   []string
	revoked []string
}

func keyOf(c upstream.Credential) string { return c.Kind.String() + " " + string(c.Value) }

func (f *fakeCache) Lookup(_ context.Context, c upstream.Credential, within time.Duration) (upstream.Answer, error) {
	if within != upstream.Unlimited {
		return upstream.Answer{}, errors.New("what is remembered would have done")
	}
	f.asked = append(f.asked, keyOf(c))
	if err := f.errs[keyOf(c)]; err != nil {
		return upstream.Answer{}, err
	}
	id, identity, ok := strings.Cut(f.known[keyOf(c)], " ")
	if !ok {
		return upstream.Answer{}, fmt.Errorf("ask: %w", upstream.ErrNoSession)
	}
	return upstream.Answer{Session: &upstream.Session{ID: id, IdentityID: identity}}, nil
}

func (f *fakeCache) RevokeCredential(c upstream.Credential) { f.note("credential " + keyOf(c)) }
func (f *fakeCache) RevokeSession(id string)                { f.note("session " + id) }
func (f *fakeCache) RevokeIdentity(id string)               { f.note("identity " + id) }
func (f *fakeCache) Flush()                                 { f.note("everything") }
func (f *fakeCache) note(s string)                          { f.revoked = append(f.revoked, s) }

// A scene is an API in front of a fakeCache.
type scene struct {
	*sessionapi.API
	t     *testing.T
	cache *fakeCache
	count int // of calls by which something was revoked
	log   strings.Builder
}

func newScene(t *testing.T, table sessionapi.Table, tokenHeader string) *scene {
	s := &scene{t: t, cache: &fakeCache{
		known: map[string]string{
			"session_token T": "s1 alice", "cookie C": "s2 alice", "cookie D": "s2 alice", "bearer B": "s3 bob", "cookie N": "s4 carol",
		},
		errs: map[string]error{
			"cookie R": &upstream.Refusal{Status: 403}, "cookie O": errors.New("down"), "cookie L": upstream.ErrLimited,
		},
	}}
	s.API = sessionapi.New(sessionapi.Config{
		Table: table, Cache: s.cache, TokenHeader: tokenHeader, Cookie: "sid", Bearer: true,
		Revoked: func() { s.count++ }, Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
	})
	return s
}

// credentials returns those that a text names, such as "cookie C, bearer B".
func credentials(text string) (all []upstream.Credential) {
	for one := range strings.SplitSeq(text, ", ") {
		if name, value, ok := strings.Cut(one, " "); ok {
			kind, _ := upstream.ParseKind(name)
			all = append(all, upstream.Credential{Kind: kind, Value: []byte(value)})
		}
	}
	return all
}

var from = netip.MustParseAddr("192.0.2.1")

func (s *scene) begin(request, body, presented string) (*sessionapi.Ending, error) {
	method, path, _ := strings.Cut(request, " ")
	return s.Begin(s.t.Context(), sessionapi.Call{
		Method: []byte(method), Path: []byte(path), Body: []byte(body), Presented: credentials(presented), From: from,
	})
}

// call makes a call that ends with a status, and checks what is revoked.
func (s *scene) call(request, body, presented string, status int, issued string, want ...string) {
	s.t.Helper()
	s.cache.revoked, s.count = nil, 0
	e, err := s.begin(request, body, presented)
	if err != nil {
		s.t.Fatalf("%s by %s: %v", request, presented, err)
	}
	if len(s.cache.revoked) > 0 {
		s.t.Errorf("%s revokes %q before it is made", request, s.cache.revoked)
	}
	e.End(s.t.Context(), status, credentials(issued))
	if diff := cmp.Diff(want, s.cache.revoked); diff != "" {
		s.t.Errorf("%s by %s, %d (-want +got):\n%s", request, presented, status, diff)
	}
	if counted := s.count == 1; counted != (len(want) > 0) || s.count > 1 {
		s.t.Errorf("%s by %s, %d: %d revocations were counted", request, presented, status, s.count)
	}
}

func TestKratos(t *testing.T) {
	s := newScene(t, sessionapi.Kratos(true, true), "X-Session-Token")
	f := s.call
	const (
		id     = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
		logout = `{"session_token":"T"}`
	)
	// Reading ends nothing.
	f("GET /sessions", "", "cookie C", 200, "")
	f("HEAD /sessions", "", "cookie C", 200, "")
	f("GET /sessions/whoami", "", "cookie C", 200, "")
	f("GET /self-service/logout/browser", "", "cookie C", 200, "")
	f("GET /self-service/settings/browser", "", "cookie C", 303, "")
	f("GET /self-service/login/api", "", "cookie C", 200, "")
	f("GET /self-service/login/flows", "", "cookie C", 200, "")
	f("GET /self-service/errors", "", "cookie C", 200, "")
	f("GET /.well-known/ory/webauthn.js", "", "cookie C", 200, "")
	if len(s.cache.asked) > 0 {
		t.Errorf("sessions were asked for: %q", s.cache.asked)
	}
	// All others of an identity.
	f("DELETE /sessions", "", "cookie C", 200, "", "credential cookie C", "session s2", "identity alice")
	f("DELETE /sessions", "", "cookie C", 401, "")
	f("DELETE /sessions", "", "cookie C", 500, "", "credential cookie C", "session s2", "identity alice")
	f("DELETE /sessions", "", "cookie C", 0, "", "credential cookie C", "session s2", "identity alice")
	f("DELETE /sessions", "", "session_token T, cookie N", 200, "",
		"credential session_token T", "credential cookie N", "session s1", "session s4", "identity alice", "identity carol")
	// One, by its id in every spelling.
	f("DELETE /sessions/"+id, "", "cookie C", 204, "", "session "+id)
	f("DELETE /sessions/"+id, "", "", 204, "", "session "+id)
	for _, spelling := range []string{
		strings.ToUpper(id), strings.ReplaceAll(id, "-", ""), "{" + id + "}", "urn:uuid:" + id, "{" + strings.ReplaceAll(strings.ToUpper(id), "-", "") + "}",
	} {
		f("DELETE /sessions/"+spelling, "", "cookie C", 204, "", "session "+spelling, "session "+id)
	}
	f("DELETE /sessions/x", "", "cookie C", 204, "", "session x")
	f("DELETE /sessions/"+id, "", "cookie C", 400, "")
	// Logout: the session of whatever is presented, since Kratos ends another than it looks up.
	f("GET /self-service/logout", "", "cookie C, bearer B", 303, "", "credential cookie C", "credential bearer B", "session s2", "session s3")
	f("HEAD /self-service/logout", "", "cookie C", 204, "", "credential cookie C", "session s2")
	f("GET /self-service/logout", "", "cookie X", 204, "", "credential cookie X")
	f("GET /self-service/logout", "", "", 204, "")
	f("GET /self-service/logout", "", "cookie C", 403, "")
	f("GET /self-service/logout", "", "cookie C", 0, "", "credential cookie C", "session s2")
	f("DELETE /self-service/logout/api", logout, "", 204, "", "credential session_token T", "credential bearer T", "session s1")
	f("DELETE /self-service/logout/api", logout, "", 403, "")
	f("DELETE /self-service/logout/api", `{"a":[{"session_token":"x"}],"session_token":"X","Session_Token":"T","session_token":7} and more`, "", 204, "",
		"credential session_token X", "credential bearer X", "credential session_token T", "credential bearer T", "session s1")
	f("DELETE /self-service/logout/api", `session_token=T`, "", 400, "")
	f("DELETE /self-service/logout/api", `session_token=T`, "", 204, "", "everything")
	f("DELETE /self-service/logout/api", `{"session_token":"`+strings.Repeat("x", upstream.MaxCredential+1)+`"}`, "", 204, "")
	// Flows.
	f("POST /self-service/settings", "", "cookie C", 200, "", "credential cookie C", "session s2", "identity alice")
	f("POST /self-service/settings", "", "cookie C", 303, "", "credential cookie C", "session s2", "identity alice")
	f("POST /self-service/settings", "", "cookie X", 303, "", "credential cookie X")
	f("POST /self-service/settings", "", "", 303, "")
	f("POST /self-service/settings", "", "cookie C", 400, "")
	f("POST /self-service/settings", "", "cookie C", 422, "", "credential cookie C", "session s2", "identity alice")
	f("POST /self-service/settings", "", "cookie C", 499, "", "credential cookie C", "session s2", "identity alice")
	f("POST /self-service/login", "", "cookie X", 303, "cookie N", "credential cookie X", "session s4", "identity carol")
	f("POST /self-service/login", "", "", 303, "cookie N", "session s4", "identity carol")
	f("GET /self-service/methods/oidc/callback/github", "", "cookie C", 303, "cookie N",
		"credential cookie C", "session s2", "session s4", "identity alice", "identity carol")
	f("GET /self-service/recovery", "", "", 303, "cookie N", "session s4", "identity carol")
	f("POST /self-service/recovery/api", "", "cookie C", 200, "", "credential cookie C", "session s2", "identity alice")
	f("POST /self-service/login", "", "", 303, "cookie O")
	// Whatever else Kratos may do there.
	f("POST /sessions", "", "cookie C", 200, "", "credential cookie C", "session s2", "identity alice")
	f("GET /sessions/token-exchange", "", "cookie C", 200, "", "credential cookie C", "session s2")
}

// Who has a session that the service does not vouch for as it is, such as one without its second factor, may end sessions of nobody knows
// whom. Then everything is forgotten, once a second at most.
func TestKratosRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, sessionapi.Kratos(true, true), "X-Session-Token")
		f := s.call
		time.Sleep(time.Hour)
		f("DELETE /sessions", "", "cookie R", 200, "", "credential cookie R", "everything")
		if _, err := s.begin("DELETE /sessions", "", "cookie R"); err == nil || upstream.Definite(err) {
			t.Errorf("again at once: %v", err)
		}
		f("DELETE /sessions", "", "cookie C, cookie R", 200, "", "credential cookie C", "credential cookie R", "session s2", "identity alice")
		time.Sleep(time.Second)
		f("DELETE /sessions", "", "cookie R", 0, "", "credential cookie R", "everything")
		time.Sleep(time.Second)
		f("DELETE /sessions", "", "cookie R", 403, "")
		f("DELETE /sessions", "", "cookie X", 200, "", "credential cookie X", "everything") // the service contradicts itself
		f("DELETE /sessions", "", "cookie X", 0, "", "credential cookie X")
		// A step-up is known by what it brings.
		f("POST /self-service/login", "", "cookie R", 303, "cookie C", "credential cookie R", "session s2", "identity alice")
		e, err := s.begin("POST /self-service/login", "", "cookie R")
		if err != nil {
			t.Fatal(err)
		}
		s.cache.revoked = nil
		delete(s.cache.errs, "cookie R")
		s.cache.known["cookie R"] = "s5 dave"
		e.End(t.Context(), 200, nil)
		if diff := cmp.Diff([]string{"credential cookie R", "session s5", "identity dave"}, s.cache.revoked); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Nothing is passed on while it cannot be known whom it concerns.
func TestOutage(t *testing.T) {
	s := newScene(t, sessionapi.Kratos(true, true), "X-Session-Token")
	for _, request := range []string{"DELETE /sessions", "GET /self-service/logout", "POST /self-service/settings", "DELETE /self-service/logout/api"} {
		for _, cookie := range []string{"cookie O", "cookie L"} {
			e, err := s.begin(request, `{"session_token":"T"}`, "cookie C, "+cookie)
			if e != nil || err == nil || upstream.Definite(err) || errors.Is(err, upstream.ErrLimited) != (cookie == "cookie L") {
				t.Errorf("%s by %s: %v, %v", request, cookie, e, err)
			}
		}
	}
	for _, request := range []string{"GET /sessions", "DELETE /sessions/x"} {
		if _, err := s.begin(request, "", "cookie O"); err != nil {
			t.Errorf("%s: %v", request, err)
		}
	}
}

func TestOthers(t *testing.T) {
	w := newScene(t, sessionapi.Wacht(), "")
	for _, request := range []string{"GET /session", "GET /session/token"} {
		w.call(request, "", "cookie C", 200, "")
	}
	for _, request := range []string{
		"POST /session/sign-out", "POST /session/switch-organization", "PUT /session/switch-workspace", "GET /session/ticket/exchange",
		"POST /session/token", "DELETE /session",
	} {
		w.call(request, "", "cookie C", 200, "", "credential cookie C", "session s2")
		w.call(request, "", "cookie C", 400, "")
	}

	x := newScene(t, sessionapi.Crossid(), "")
	const revoke = "DELETE /api/v1/auth/sessions/revoke"
	x.call(revoke, `{"sessionToken":"B"}`, "", 204, "", "credential bearer B", "credential cookie B", "session s3")
	x.call(revoke, `{"sessionToken":"C"}`, "bearer B", 204, "",
		"credential bearer B", "credential bearer C", "credential cookie C", "session s3", "session s2")
	x.call(revoke, `{"sessionToken":"X"}`, "", 204, "", "credential bearer X", "credential cookie X")
	x.call(revoke, `{"sessionToken":"B"}`, "", 400, "")

	b := newScene(t, sessionapi.BetterAuth("/api/auth"), "")
	b.call("GET /api/auth/list-sessions", "", "cookie C", 200, "")
	for _, name := range []string{"revoke-session", "revoke-sessions", "revoke-other-sessions"} {
		b.call("POST /api/auth/"+name, `{"token":"x"}`, "cookie C", 200, "", "credential cookie C", "session s2", "identity alice")
		b.call("POST /api/auth/"+name, "", "cookie X", 401, "")
	}
	b.call("POST /api/auth/sign-out", "", "cookie C", 200, "", "credential cookie C", "session s2")
}

// Each table has its own paths, and nothing else.
func TestPaths(t *testing.T) {
	f := func(name string, table sessionapi.Table, has, lacks string) {
		t.Helper()
		for path := range strings.FieldsSeq(has) {
			if !table.Has([]byte(path)) {
				t.Errorf("%s lacks %s", name, path)
			}
		}
		for path := range strings.FieldsSeq(lacks + " / /x /x/sessions /sessionsx") {
			if table.Has([]byte(path)) {
				t.Errorf("%s has %s", name, path)
			}
		}
	}
	const (
		sessions = "/sessions /sessions/x /sessions/whoami"
		logout   = " /self-service/logout /self-service/logout/api /self-service/logout/browser "
		flows    = "/self-service/login /self-service/login/browser /self-service/methods/oidc/callback/x /self-service/ /.well-known/ory/webauthn.js"
		wacht    = "/session /session/sign-out /session/ticket/exchange"
		crossid  = "/api/v1/auth/sessions/revoke"
		better   = "/a/list-sessions /a/revoke-session /a/revoke-sessions /a/revoke-other-sessions /a/sign-out"
		never    = " /sessions/ /sessions/x/y /self-service /self-servicex /.well-known/jwks.json /.well-known/oryx"
	)
	f("kratos", sessionapi.Kratos(true, false), sessions+logout, flows+never)
	f("kratos flows", sessionapi.Kratos(false, true), flows+logout, sessions+never)
	f("kratos both", sessionapi.Kratos(true, true), sessions+logout+flows, never)
	f("nothing", sessionapi.Kratos(false, false), "", sessions+logout+flows+never)
	f("wacht", sessionapi.Wacht(), wacht, sessions+logout+crossid)
	f("crossid", sessionapi.Crossid(), crossid, crossid+"/x "+crossid+"/ /api/v1/auth/sessions/whoami")
	f("better auth", sessionapi.BetterAuth("/a"), better, "/a/get-session /a /a/sign-in/email /a/sign-out/")

	table, path := sessionapi.Kratos(true, true), []byte("/self-services/that/is/none/of/them")
	if n := testing.AllocsPerRun(100, func() { table.Has(path) }); n > 0 {
		t.Errorf("looking for a path allocates %v times", n)
	}
}

// What may change something is known before the call, and whose body is wanted.
func TestTraits(t *testing.T) {
	f := func(table sessionapi.Table, request string, changes, bodied bool) {
		t.Helper()
		method, path, _ := strings.Cut(request, " ")
		c, b := sessionapi.New(sessionapi.Config{Table: table}).Traits([]byte(method), []byte(path))
		if c != changes || b != bodied {
			t.Errorf("%s: %v %v, want %v %v", request, c, b, changes, bodied)
		}
	}
	kratos := sessionapi.Kratos(true, true)
	f(kratos, "GET /sessions", false, false)
	f(kratos, "DELETE /sessions", true, false)
	f(kratos, "GET /self-service/logout", true, false)
	f(kratos, "DELETE /self-service/logout/api", true, true)
	f(kratos, "GET /self-service/recovery", true, false)
	f(sessionapi.Crossid(), "DELETE /api/v1/auth/sessions/revoke", true, true)
}

// The log tells of whom, and no credential.
func TestLog(t *testing.T) {
	s := newScene(t, sessionapi.Kratos(true, true), "X-Session-Token")
	s.cache.known["session_token secret"] = "s1 alice"
	s.call("DELETE /sessions", "", "session_token secret", 200, "", "credential session_token secret", "session s1", "identity alice")
	s.call("DELETE /self-service/logout/api", `{"session_token":"secret"}`, "", 204, "",
		"credential session_token secret", "credential bearer secret", "session s1")
	log := s.log.String()
	for _, want := range []string{"path=/sessions ", "session_id=[s1]", "identity_id=[alice]", "path=/self-service/logout/api"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	if strings.Contains(log, "secret") {
		t.Errorf("the log tells a credential:\n%s", log)
	}
}

// The client is told to whoever asks about a token in a body, so that tokens that nobody knows are its own.
func TestTokensAreOfTheirClient(t *testing.T) {
	var seen []netip.Addr
	c := &fakeCache{}
	s := sessionapi.New(sessionapi.Config{Table: sessionapi.Crossid(), Cache: seeing{c, &seen}, Bearer: true, Cookie: "sid"})
	_, err := s.Begin(t.Context(), sessionapi.Call{
		Method: []byte("DELETE"), Path: []byte("/api/v1/auth/sessions/revoke"), Body: []byte(`{"sessionToken":"x"}`), From: from,
	})
	if want := []netip.Addr{from, from}; err != nil || !slices.Equal(seen, want) {
		t.Errorf("asked for %v, want %v: %v", seen, want, err)
	}
}

type seeing struct {
	*fakeCache
	from *[]netip.Addr
}

func (s seeing) Lookup(ctx context.Context, c upstream.Credential, within time.Duration) (upstream.Answer, error) {
	*s.from = append(*s.from, c.From)
	return s.fakeCache.Lookup(ctx, c, within)
}

// FuzzTokens holds that every token which encoding/json would read is found, and that nothing panics.
func FuzzTokens(f *testing.F) {
	for _, body := range []string{`{"session_token":"a"}`, `{"x":{},"SESSION_TOKEN":"a"}`, `[]`, `{"session_token":`, `{"ſession_token":"a"}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		found := sessionapi.TokensIn([]byte(body), "session_token")
		if read, ok := decoded(body); ok && read != "" && !slices.Contains(found, read) {
			t.Errorf("%q: %q was not found in %q", body, read, found)
		}
	})
}

// decoded returns the token that Kratos reads: https://github.com/ory/kratos/blob/v26.2.0/selfservice/flow/logout/handler.go
func decoded(body string) (string, bool) {
	var v struct {
		SessionToken string `json:"session_token"`
	}
	return v.SessionToken, json.Unmarshal([]byte(body), &v) == nil
}
