package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"
)

const (
	oathkeeperQuestion = "/decisions"
	oathkeeperCookie   = "ory_kratos_session"
)

// oathkeeperConfiguration has Oathkeeper ask a session service that says yes at once, and whose own work does not count: cookie_session
// remembers no answer, and nothing in it can be set to keep more than two connections to the service. What its handlers do is told here and
// not in the rule, which would be merged into it with every request. A glob is quicker than its regular expressions.
const oathkeeperConfiguration = `
serve:
  api: { host: 127.0.0.1, port: %[1]s, timeout: { idle: 90s } }
  proxy: { host: 127.0.0.1, port: 0 }
  prometheus: { host: 127.0.0.1, port: 0, hide_request_paths: true }
log: { level: error }
access_rules: { repositories: ["file://%[2]s"], matching_strategy: glob }
authenticators:
  cookie_session:
    enabled: true
    config:
      check_session_url: http://%[3]s/session
      preserve_path: true
      preserve_query: true
      only: [%[4]s]
      subject_from: identity.id
      extra_from: "@this"
authorizers: { allow: { enabled: true } }
mutators:
  header:
    enabled: true
    config:
      headers:
        X-User-Id: "{{ .Subject }}"
        X-User-Email: "{{ .Extra.identity.traits.email }}"
        X-User-Name: "{{ .Extra.identity.traits.name }}"
        X-Session-Id: "{{ .Extra.id }}"
        X-Session-Aal: "{{ .Extra.authenticator_assurance_level }}"
`

const oathkeeperRules = `
- id: app
  match: { url: "https://app.example.com/<**>", methods: [GET] }
  authenticators: [{ handler: cookie_session }]
  authorizer: { handler: allow }
  mutators: [{ handler: header }]
`

var oathkeeper = kind{"Oathkeeper", func(a *arena) (*server, error) {
	binary, err := program("oathkeeper")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	rules, err := a.write("rules.yaml", []byte(oathkeeperRules))
	if err != nil {
		return nil, err
	}
	file, err := a.write("oathkeeper.yaml", fmt.Appendf(nil, oathkeeperConfiguration, port, rules, a.app.address, oathkeeperCookie))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve", "--config", file, "--sqa-opt-out")
	cmd.Env = append(os.Environ(), "HTTPS_PROXY=http://127.0.0.1:9") // opted out, it would still tell its makers so
	s, err := start(cmd, address, a.cpus.server)
	if err != nil {
		return nil, err
	}
	if err := awaitReady("http://" + address + "/health/ready"); err != nil {
		s.stop()
		return nil, err
	}
	s.session = new(session)
	s.session.Cookie.Name, s.session.Cookie.Value = oathkeeperCookie, a.session.Cookie.Value
	return s, nil
}}

// awaitReady waits until a server says that it has read its rules, for which it does not wait itself.
func awaitReady(url string) error {
	const most = 10 * time.Second
	for began := time.Now(); time.Since(began) < most; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(url)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("is not ready within %v", most)
}
