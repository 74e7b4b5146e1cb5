package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	autheliaQuestion = "/api/authz/forward-auth"
	autheliaCookie   = "authelia_session"
	autheliaPassword = "correct horse battery staple"
	// autheliaDigest is the password as crypt(3) keeps it.
	autheliaDigest = "$6$benchbenchbench1$vyHlr48bThJlE6wsLvISG600n.9mZR6yKGeOnKg00A5ii0jXyLnB90Kxk7B.khiu.yNJ6XkeDeZEsOaiZf5bt1"
)

// autheliaConfiguration keeps sessions in memory, which is where they are found fastest, and has one way to say who one is: the cookie. One
// policy holds for all, and the users, who are in a file, are not looked up again.
const autheliaConfiguration = `
server:
  address: tcp://%[1]s/
  endpoints:
    authz:
      forward-auth:
        implementation: ForwardAuth
        authn_strategies: [{ name: CookieSession }]
log: { level: error }
access_control: { default_policy: one_factor }
session:
  secret: only for this run
  cookies: [{ name: %[2]s, domain: example.com, authelia_url: https://auth.example.com }]
authentication_backend:
  refresh_interval: disable
  password_change: { disable: true }
  password_reset: { disable: true }
  file: { path: %[3]s/users.yaml }
storage:
  encryption_key: only for this run of it
  local: { path: %[3]s/storage.sqlite3 }
notifier:
  filesystem: { filename: %[3]s/notices.txt }
ntp: { disable_startup_check: true }
totp: { disable: true }
webauthn: { disable: true }
`

const autheliaUsers = `users: { %[1]q: { displayname: %[2]q, email: %[3]q, password: %[4]q, groups: [users] } }
`

// Authelia notes with every request when a user was last seen, unless they have asked to be remembered as they logged in.
var (
	authelia           = autheliaWith("Authelia", false)
	autheliaRemembered = autheliaWith("Authelia, remembered", true)
)

func autheliaWith(name string, remember bool) kind {
	return kind{name, func(a *arena) (*server, error) { return a.startAuthelia(remember) }}
}

func (a *arena) startAuthelia(remember bool) (*server, error) {
	binary, err := program("authelia")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	users, err := a.write("users.yaml", fmt.Appendf(nil, autheliaUsers, userID, userName, userEmail, autheliaDigest))
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(users)
	file, err := a.write("authelia.yaml", fmt.Appendf(nil, autheliaConfiguration, address, autheliaCookie, dir))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "--config", file)
	cmd.Dir = dir
	s, err := start(cmd, address, a.cpus.server)
	if err != nil {
		return nil, err
	}
	if s.session, err = logInToAuthelia(address, remember); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// logInToAuthelia logs in with a password, and asks to be remembered or not.
func logInToAuthelia(address string, remember bool) (*session, error) {
	body, err := json.Marshal(map[string]any{"username": userID, "password": autheliaPassword, "keepMeLoggedIn": remember})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+address+"/api/firstfactor", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-Proto", "https")
	req.Header.Set("X-Forwarded-Host", "auth.example.com")
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("log in: status %s", resp.Status)
	}
	return sessionOf(resp.Cookies(), autheliaCookie)
}
