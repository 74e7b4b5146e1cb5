package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

const configuration = `
listen: %s
admin: ""
app: http://%s
upstream: { embedded: { listen: "", admin_listen: %s } }
session_cache: { fresh_for: 1h }
routes:
  - { match: { path: /assets/* }, access: public }
  - { match: { path: /* }, access: session }
identity_headers:
  X-User-Id: identity.id
  X-User-Email: identity.traits.email
  X-User-Name: identity.traits.name
  X-Session-Id: id
  X-Session-Aal: authenticator_assurance_level
trusted_proxies: [127.0.0.0/8]
log: { level: warn }
`

// startGatehouse builds the command of this tree and runs it in front of the application at app, with one session.
func startGatehouse(dir, app string, cpu int) (*server, *session, error) {
	binary := filepath.Join(dir, "gatehouse")
	build := exec.Command("go", "build", "-C", "..", "-o", binary, "./cmd/gatehouse")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, nil, fmt.Errorf("build gatehouse (bench is run in its own directory): %w", err)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, address, app, admin), 0o600); err != nil {
		return nil, nil, err
	}
	s, err := start(exec.Command(binary, "serve", "--config", file), address, cpu)
	if err != nil {
		return nil, nil, err
	}
	created, err := createSession(admin)
	if err != nil {
		s.stop()
		return nil, nil, err
	}
	return s, created, nil
}

// A session is what the session service answers when it has created one.
type session struct {
	Token  string                       `json:"session_token"`
	Cookie struct{ Name, Value string } `json:"session_cookie"`
}

func createSession(admin string) (*session, error) {
	body := []byte(`{"identity":{"traits":{"email":"alice@example.com","name":"Alice"}}}`)
	resp, err := http.Post("http://"+admin+"/admin/sessions", "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("create session: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return nil, fmt.Errorf("create session: status %s", resp.Status)
	}
	created := new(session)
	if err := json.NewDecoder(resp.Body).Decode(created); err != nil {
		return nil, fmt.Errorf("create session: %w", err)
	}
	return created, nil
}

func (s *session) tokenLine() string { return "X-Session-Token: " + s.Token }

func (s *session) cookieLine() string { return "Cookie: " + s.Cookie.Name + "=" + s.Cookie.Value }
