package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The configuration that every Gatehouse begins with. Traffic comes from a proxy that is trusted, as a decision needs.
const gatehouseBase = `
listen: %s
admin: ""
app: http://%s
upstream: { embedded: { listen: "", admin_listen: %s } }
session_cache: { fresh_for: 1h }
trusted_proxies: [127.0.0.0/8]
log: { level: warn }
`

const fewHeaders = `
identity_headers:
  X-User-Id: identity.id
  X-User-Email: identity.traits.email
  X-User-Name: identity.traits.name
  X-Session-Id: id
  X-Session-Aal: authenticator_assurance_level
`

const manyHeaders = fewHeaders + `
  X-Issued-At: issued_at
  X-Expires-At: expires_at
  X-User-Schema: identity.schema_id
  X-User-State: identity.state
  X-Active: active
`

const fewRoutes = `
routes:
  - { match: { path: /assets/* }, access: public }
  - { match: { path: /* }, access: session }
`

// manyRoutes are a thousand, of which the last one is asked about, and requires something of the session.
func manyRoutes() string {
	var r strings.Builder
	r.WriteString("\nroutes:\n")
	for i := range 999 {
		fmt.Fprintf(&r, "  - { match: { path: /area-%d/* }, access: session }\n", i)
	}
	r.WriteString("  - { match: { path: /* }, access: session, require: { expression: 'session.identity.traits.email.endsWith(\"@example.com\")' } }\n")
	return r.String()
}

var (
	gatehouse            = gatehouseWith("Gatehouse", fewRoutes+fewHeaders)
	gatehouseManyHeaders = gatehouseWith("Gatehouse, 10 headers", fewRoutes+manyHeaders)
	gatehouseManyRoutes  = gatehouseWith("Gatehouse, 1,000 routes", manyRoutes()+manyHeaders)
)

func gatehouseWith(name, configuration string) kind {
	return kind{name, func(a *arena) (*server, error) { return a.startGatehouse(configuration) }}
}

// startGatehouse runs a Gatehouse with one session.
func (a *arena) startGatehouse(configuration string) (*server, error) {
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s, err := a.runGatehouse(func(address string) []byte {
		return fmt.Appendf(nil, gatehouseBase+configuration, address, a.app.address, admin)
	})
	if err != nil {
		return nil, err
	}
	if s.session, err = createSession(admin); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// runGatehouse runs the command of this tree, which is built the first time.
func (a *arena) runGatehouse(configuration func(address string) []byte) (*server, error) {
	binary := filepath.Join(a.dir, "gatehouse")
	if _, err := os.Stat(binary); err != nil {
		build := exec.Command("go", "build", "-C", "..", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./cmd/gatehouse")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return nil, fmt.Errorf("build gatehouse (bench is run in its own directory): %w", err)
		}
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file, err := a.write("gatehouse.yaml", configuration(address))
	if err != nil {
		return nil, err
	}
	return start(exec.Command(binary, "serve", "--config", file), address, a.cpus.server)
}

// A session is what the session service answers when it has created one.
type session struct {
	Token  string                       `json:"session_token"`
	Cookie struct{ Name, Value string } `json:"session_cookie"`
}

// createSession creates a session that is told in 1.3 kB.
func createSession(admin string) (*session, error) {
	body := fmt.Appendf(nil, `{"identity":{"traits":{"email":%q,"name":%q,"about":%q}}}`, userEmail, userName, aboutUser())
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
