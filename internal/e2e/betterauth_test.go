package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
)

const betterAuthCookie = "better-auth.session_token"

// A betterAuth is a Better Auth server with an application beside it, in a directory with what the official client needs.
type betterAuth struct {
	*script
	url string
}

// startBetterAuth runs the server until the test ends. What it is made of is pinned in testdata/betterauth, and comes from npm.
func startBetterAuth(t *testing.T) *betterAuth {
	t.Helper()
	b := &betterAuth{script: install(t, "betterauth")}
	server := exec.Command(b.node, "server.mjs")
	server.Dir, server.Stderr = b.dir, os.Stderr
	hold, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = hold.Close() // which it takes as its end
		_ = server.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not say where it listens: %v", err)
	}
	b.url = strings.TrimSpace(line)
	return b
}

// gate runs a gateway in front of it, with more lines of configuration.
func (b *betterAuth) gate(lines ...string) *app.App {
	b.t.Helper()
	a, _ := run(b.t, fmt.Sprintf(`
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstream: { better_auth: { url: %[1]q }, timeout: 30s }
app: %[1]s
routes:
  - { match: { path: /api/auth/* }, access: public, forward_credential: true }
  - { match: { path: /* }, access: session }
%[2]s
`, b.url, strings.Join(lines, "\n")))
	return a
}

// post sends JSON to the server by way of a gateway, and returns the session cookie that is set, if one is.
func (b *betterAuth) post(gate, path, body, cookie string) (set string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, gate+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", b.url)
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: status %s: %s", path, resp.Status, answer)
	}
	for _, c := range resp.Cookies() {
		if c.Name == betterAuthCookie {
			set = c.Name + "=" + c.Value
		}
	}
	return set
}

// get returns what a gateway answers to a request with a cookie.
func (b *betterAuth) get(gate, path, cookie string) (status int, body string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, gate+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// A betterAuthSession is what the official client returns.
type betterAuthSession struct {
	Data *struct {
		Session struct{ ID, UserID string }
		User    struct{ ID, Email, Name string }
	}
	Error any
}

// client lets the official client ask a gateway for the session of a cookie.
func (b *betterAuth) client(gate, cookie string) (s betterAuthSession) {
	b.t.Helper()
	if b.run(&s, gate, cookie, "getSession", "{}"); s.Error != nil {
		b.t.Fatalf("client: %v", s.Error)
	}
	return s
}

func urls(a *app.App) (requests, admin string) {
	return "http://" + a.Address(app.Requests).String(), "http://" + a.Address(app.Administration).String()
}

const signUp = `{"name":"Ada","email":"ada@example.com","password":"correct horse battery"}`

// TestBetterAuth puts a gateway in front of a real Better Auth server: who signs up or in passes, whose session ends does not, and the
// official client finds the session at whoami.
func TestBetterAuth(t *testing.T) {
	b := startBetterAuth(t)
	gate, admin := urls(b.gate("whoami: { path: /api/auth/get-session }"))

	if status, _ := b.get(gate, "/", ""); status != http.StatusUnauthorized {
		t.Errorf("a request without a session: status %d", status)
	}
	if status, body := b.get(gate, "/api/auth/get-session", ""); status != http.StatusOK || body != "null" {
		t.Errorf("whoami without a session: %d %s", status, body)
	}
	first := b.post(gate, "/api/auth/sign-up/email", signUp, "")
	cookie := b.post(gate, "/api/auth/sign-in/email", signUp, "")
	if first == "" || cookie == "" || cookie == first {
		t.Fatalf("signing up and in set the cookies %q and %q", first, cookie)
	}
	session := b.client(gate, cookie)
	if session.Data == nil || session.Data.User.Email != "ada@example.com" || session.Data.Session.UserID != session.Data.User.ID {
		t.Fatalf("the official client got %+v", session)
	}
	for range 2 { // asked, and remembered
		if status, body := b.get(gate, "/", cookie); status != http.StatusOK || body != "user "+session.Data.User.ID {
			t.Errorf("a request with a session: %d %s", status, body)
		}
	}
	_, own := b.get(b.url, "/api/auth/get-session", cookie)
	if status, body := b.get(gate, "/api/auth/get-session", cookie); status != http.StatusOK || body != own {
		t.Errorf("whoami answers %d %s\nthe service %s", status, body, own)
	}

	b.post(gate, "/api/auth/sign-out", "{}", cookie)
	if status, body := b.get(b.url, "/api/auth/get-session", cookie); status != http.StatusOK || body != "null" {
		t.Fatalf("the service after signing out: %d %s", status, body)
	}
	revoke := fmt.Sprintf(`{"session_id":%q}`, session.Data.Session.ID)
	resp, err := http.Post(admin+"/-/revoke", "application/json", strings.NewReader(revoke))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("revoke: status %s", resp.Status)
	}
	if status, _ := b.get(gate, "/", cookie); status != http.StatusUnauthorized {
		t.Errorf("a request with a revoked session: status %d", status)
	}
	if got := b.client(gate, cookie); got.Data != nil {
		t.Errorf("the official client got %+v after signing out", got)
	}
	if status, _ := b.get(gate, "/", first); status != http.StatusOK {
		t.Errorf("the other session of the same person: status %d", status)
	}

	t.Run("fresh_for", func(t *testing.T) {
		gate, _ := urls(b.gate("session_cache: { fresh_for: 100ms }"))
		if status, _ := b.get(gate, "/", first); status != http.StatusOK {
			t.Fatalf("a request with a session: status %d", status)
		}
		b.post(gate, "/api/auth/sign-out", "{}", first)
		for deadline := time.Now().Add(30 * time.Second); ; {
			status, _ := b.get(gate, "/", first)
			if status == http.StatusUnauthorized {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("a session that has ended passes long after fresh_for: status %d", status)
			}
		}
	})

	t.Run("dialect of Kratos", func(t *testing.T) {
		gate, _ := urls(b.gate("whoami: { dialect: kratos }"))
		cookie := b.post(gate, "/api/auth/sign-in/email", signUp, "")
		var kratos struct {
			Active   bool
			Identity struct {
				ID     string
				Traits struct{ Email, Name string }
			}
		}
		status, body := b.get(gate, "/sessions/whoami", cookie)
		if err := json.Unmarshal([]byte(body), &kratos); err != nil || status != http.StatusOK {
			t.Fatalf("whoami: %d %s", status, body)
		}
		if !kratos.Active || kratos.Identity.ID != session.Data.User.ID || kratos.Identity.Traits.Email != "ada@example.com" ||
			kratos.Identity.Traits.Name != "Ada" {
			t.Errorf("whoami: %s", body)
		}
	})
}
