package app_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A kindOfService is a session service with one session: how it is configured, how its credential is presented, and what it answers.
type kindOfService struct {
	name       string
	upstream   string // section, with URL for where it is
	credential []string
	known      func(*http.Request) bool // whether the question is about that credential
	body       string                   // of the session s1 of identity u1
	nobody     string                   // with status 200; empty is status 401
	refused    [2]string                // status and beginning of the body of whoami for nobody
}

func services(t *testing.T) []kindOfService {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cookie := func(name string) func(*http.Request) bool {
		return func(r *http.Request) bool {
			c, err := r.Cookie(name)
			return err == nil && strings.HasSuffix(c.Value, "good")
		}
	}
	return []kindOfService{
		{
			name: "wacht", upstream: "wacht: { url: URL }", credential: []string{"Cookie", "__session=e30.e30.good"},
			known: cookie("__session"), nobody: `{"status":200,"data":{"id":"9"}}`, refused: [2]string{"200", `{"status":200,`},
			body: `{"status":200,"data":{"id":"s1","active_signin":{"user_id":"u1"}}}`,
		},
		{
			name: "crossid", upstream: "crossid: { url: URL }", credential: []string{"Authorization", "Bearer good"},
			known:   func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer good" },
			refused: [2]string{"401", `{"code":"401","message":"client is not authenticated."`},
			body:    `{"id":"s1","active":true,"identityId":"u1"}`,
		},
		{
			name: "better_auth", upstream: "better_auth: { url: URL }", credential: []string{"Cookie", "better-auth.session_token=good"},
			known: cookie("better-auth.session_token"), nobody: "null", refused: [2]string{"200", "null"},
			body: `{"session":{"id":"s1","userId":"u1"},"user":{"id":"u1"}}`,
		},
		{
			name: "http", credential: []string{"X-Sid", "good"}, nobody: `{"active":false}`,
			upstream: "http: { url: URL/introspect, method: POST, token_header: x-sid, form_field: token, client_id: gate, " +
				"client_secret_file: " + secret + ", headers: { X-Tenant: t1 }, authenticated_when: body.active == true, paths: { id: jti, identity_id: sub, email: email } }",
			known: func(r *http.Request) bool {
				id, password, _ := r.BasicAuth()
				return r.URL.Path == "/introspect" && r.Method == http.MethodPost && r.PostFormValue("token") == "good" &&
					id == "gate" && password == "s3cret" && r.Header.Get("X-Tenant") == "t1"
			},
			refused: [2]string{"401", `{"error":{"code":401,`},
			body:    `{"active":true,"jti":"s1","sub":"u1","email":"a@example.com"}`,
		},
	}
}

// serve runs the service.
func (k *kindOfService) serve(t *testing.T) (stub *upstreamtest.Stub, section string) {
	stub = &upstreamtest.Stub{Answer: func(r *http.Request) (int, http.Header, string) {
		header := http.Header{"Content-Type": {"application/json"}}
		switch {
		case strings.HasSuffix(r.URL.Path, "/ok"):
			return 200, header, `{"ok":true}`
		case k.known(r):
			return 200, header, k.body
		case k.nobody == "":
			return 401, header, `{"code":"401"}`
		default:
			return 200, header, k.nobody
		}
	}}
	return stub, "upstream: { timeout: 10s, " + strings.ReplaceAll(k.upstream, "URL", stub.Start(t).String()) + " }"
}

// TestServices tests that every kind of session service stands behind every face: who has a session passes, with the identity in
// X-User-Id, who has none does not, an outage is neither, a revocation ends the session, and whoami answers in the service's own words.
func TestServices(t *testing.T) {
	for _, k := range services(t) {
		t.Run(k.name, func(t *testing.T) {
			stub, section := k.serve(t)
			w := start(t, section)
			bad := []string{k.credential[0], strings.ReplaceAll(k.credential[1], "good", "bad")}
			for _, face := range faces {
				got := face.ask(w, k.credential...)
				if got.status != 200 {
					t.Errorf("%s: status %d: %s", face.name, got.status, got.body)
				}
				if face.name == "proxy" && !strings.Contains(got.body, "X-User-Id: u1\r\n") {
					t.Errorf("the application is not told whose request it is:\n%s", got.body)
				}
				for _, header := range [][]string{bad, nil} {
					if got := face.ask(w, header...); face.name != "whoami" && got.status != 401 {
						t.Errorf("%s with %v: status %d", face.name, header, got.status)
					} else if face.name == "whoami" && (fmt.Sprint(got.status) != k.refused[0] || !strings.HasPrefix(got.body, k.refused[1])) {
						t.Errorf("whoami with %v: %d %s", header, got.status, got.body)
					}
				}
			}
			asked := stub.Questions()
			got := w.get(w.url+"/sessions/whoami?fresh=1", k.credential...)
			if k.name != "http" && got.body != k.body {
				t.Errorf("whoami is not the service's own words: %s", got.body)
			}
			if k.name == "http" && !strings.Contains(got.body, `"traits":{"email":"a@example.com"}`) {
				t.Errorf("whoami is not in the words of Kratos: %s", got.body)
			}
			if stub.Questions() != asked {
				t.Error("a query makes whoami ask the service again")
			}
			stub.Break(upstreamtest.ServerError)
			if got := w.get(w.url+"/sessions/whoami", k.credential[0], strings.ReplaceAll(k.credential[1], "good", "new")); got.status != 503 {
				t.Errorf("whoami in an outage: %d %s", got.status, got.body)
			}
			if got := w.do(http.MethodPost, w.admin+"/-/revoke", `{"session_id":"s1"}`, "Content-Type", "application/json"); got.status >= 300 {
				t.Fatalf("revoke: %d %s", got.status, got.body)
			}
			if got := w.get(w.url+"/private", k.credential...); got.status != 503 {
				t.Errorf("a revoked session is still remembered: status %d", got.status)
			}
		})
	}
}

// TestDialects tests that whoami speaks another dialect than the service where it is told to, while rules and identity headers go by the
// service's own words.
func TestDialects(t *testing.T) {
	f := func(dialect, want, wantNobody string, wantStatus int) {
		t.Helper()
		k := services(t)[2] // Better Auth
		_, section := k.serve(t)
		w := start(t, section, "whoami: { dialect: "+dialect+" }", "identity_headers: { X-User-Id: session.userId }")
		if got := w.get(w.url+"/sessions/whoami", k.credential...); got.status != 200 || got.body != want ||
			!strings.HasPrefix(got.header.Get("Content-Type"), "application/json") ||
			(got.header.Get("X-Kratos-Authenticated-Identity-Id") != "") != (dialect == "kratos") {
			t.Errorf("%s: %d %v %s", dialect, got.status, got.header, got.body)
		}
		if got := w.get(w.url + "/sessions/whoami"); got.status != wantStatus || !strings.HasPrefix(got.body, wantNobody) {
			t.Errorf("%s to nobody: %d %s", dialect, got.status, got.body)
		}
		if got := w.get(w.url+"/private", k.credential...); !strings.Contains(got.body, "X-User-Id: u1\r\n") {
			t.Errorf("%s: the application is not told whose request it is:\n%s", dialect, got.body)
		}
	}
	f("kratos", `{"id":"s1","active":true,"authenticator_assurance_level":"aal1",`+
		`"identity":{"id":"u1","schema_id":"default","schema_url":"","state":"active","traits":{}}}`, `{"error":{"code":401`, 401)
	f("better_auth", `{"session":{"id":"s1","userId":"u1"},"user":{"id":"u1"}}`, "null", 200)
	f("crossid", `{"active":true,"id":"s1","identity":{},"identityId":"u1"}`, `{"code":"401"`, 401)
}

// TestRefusalInAnotherDialect tests that what Kratos says of a second factor is no session in any dialect.
func TestRefusalInAnotherDialect(t *testing.T) {
	w := start(t, "whoami: { dialect: better_auth }")
	login := w.service.SignIn(upstreamtest.Login{NeedsAAL2: true})
	const want = `{"code":"FORBIDDEN","message":"Forbidden"}`
	if got := w.get(w.url+"/sessions/whoami", "X-Session-Token", login.Token); got.status != 403 || got.body != want {
		t.Errorf("second factor needed: %d %s", got.status, got.body)
	}
	login = w.service.SignIn(upstreamtest.Login{})
	got := w.get(w.url+"/sessions/whoami?tokenize_as=x", "X-Session-Token", login.Token)
	if got.status != 200 || !strings.Contains(got.body, `"userId":"`+login.IdentityID+`"`) {
		t.Errorf("session: %d %s", got.status, got.body)
	}
}

// TestReloadToAnotherService tests that rules in the words of one service are not put in force for another.
func TestReloadToAnotherService(t *testing.T) {
	w := start(t)
	login := w.service.SignIn(upstreamtest.Login{})
	w.configure("upstream: { better_auth: { url: http://127.0.0.1:1 } }")
	if _, err := w.app.Reload(); err == nil || !strings.Contains(err.Error(), "upstream is better_auth now and was kratos") {
		t.Errorf("reload: %v", err)
	}
	if got := w.get(w.url+"/private", "X-Session-Token", login.Token); !strings.Contains(got.body, "X-User-Id: "+login.IdentityID+"\r\n") {
		t.Errorf("after it the application is told:\n%s", got.body)
	}
}
