package embedded

import (
	"cmp"
	"net/http"
	"time"
)

const (
	developmentHeader = "X-Development-Session"
	developmentQuery  = "__dev_session__"

	backendTokenLife = 30 * time.Second // of what an application hands to its own backend
	backendTokenSkew = 5 * time.Second
)

// wachtAPI is what Wacht's Frontend API has of sessions, https://github.com/wacht-platform/frontend-api, as a deployment for development
// has it: the session token comes in the cookie, in the query or in a header.
func (s *Service) wachtAPI() map[string]handler {
	return map[string]handler{
		"GET /session":                      s.whoami,
		"GET /session/token":                s.backendToken,
		"GET /.well-known/jwks.json":        s.publicKeys,
		"POST /session/sign-out":            s.signOut,
		"POST /session/switch-sign-in":      s.switchTo("sign_in_id"),
		"POST /session/switch-organization": s.switchTo("organization_id"),
		"POST /session/switch-workspace":    s.switchTo("workspace_id"),
	}
}

func developmentToken(r *http.Request) string {
	return cmp.Or(r.URL.Query().Get(developmentQuery), r.Header.Get(developmentHeader))
}

var errNoSignIn = complain(http.StatusBadRequest, "No active sign in")

// signOut ends the one sign-in that a session has, or the one that is named. The browser keeps its cookie, which stands for nobody then.
func (s *Service) signOut(w http.ResponseWriter, r *http.Request) error {
	x, _ := s.caller(r, now())
	if x == nil || cmp.Or(r.URL.Query().Get("sign_in_id"), x.ID) != x.ID {
		return errNoSignIn
	}
	if err := s.endOne(x); err != nil {
		return err
	}
	return refuse(http.StatusUnauthorized, "signed out") // which Wacht says as 200, with a session in which nobody is signed in
}

// switchTo answers who wants to be somebody else, or somewhere else. There is one sign-in in a session, and no organization or workspace.
func (s *Service) switchTo(parameter string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		x, _ := s.caller(r, now())
		if x == nil {
			return errNoSignIn
		}
		want := "" // which is to leave
		if parameter == "sign_in_id" {
			want = x.ID
		}
		if r.URL.Query().Get(parameter) != want {
			return complain(http.StatusBadRequest, "You are not a member of it")
		}
		return s.whoami(w, r)
	}
}

// backendToken answers with a token that an application can hand to its own backend, which verifies it by the public keys.
func (s *Service) backendToken(w http.ResponseWriter, r *http.Request) error {
	at := now()
	x, i := s.caller(r, at)
	if x == nil {
		return errNoSignIn
	}
	type data struct {
		Token   string `json:"token"`
		Expires int64  `json:"expires"` // in milliseconds
	}
	ends := at.Add(backendTokenLife)
	token := s.signToken(claims{
		Issuer: s.cfg.BaseURL, Subject: i.ID, SessionID: x.ID,
		IssuedAt: at.Unix(), NotBefore: at.Add(-backendTokenSkew).Unix(), Expires: ends.Unix(),
	})
	return writeJSON(w, http.StatusOK, struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
		Data    data   `json:"data"`
		Errors  []any  `json:"errors"`
	}{Status: http.StatusOK, Data: data{token, ends.UnixMilli()}})
}
