package embedded

import (
	"encoding/json"
	"net/http"

	"github.com/tidwall/gjson"
)

type done map[string]bool

// betterAuthAPI is what Better Auth 1.7.25 has of sessions: https://www.better-auth.com/docs/concepts/session-management.
func (s *Service) betterAuthAPI() map[string]handler {
	return map[string]handler{
		"GET /api/auth/get-session": s.whoami,
		"GET /api/auth/ok": func(w http.ResponseWriter, _ *http.Request) error {
			return writeJSON(w, http.StatusOK, done{"ok": true})
		},
		"GET /api/auth/list-sessions":   s.betterAuthCall(s.betterAuthList),
		"POST /api/auth/revoke-session": s.betterAuthCall(s.betterAuthRevoke),
		"POST /api/auth/revoke-other-sessions": s.betterAuthCall(func(w http.ResponseWriter, _ *http.Request, mine *session) error {
			return s.betterAuthEnd(w, mine, func(x *session) bool { return x.ID != mine.ID })
		}),
		"POST /api/auth/revoke-sessions": s.betterAuthCall(func(w http.ResponseWriter, _ *http.Request, mine *session) error {
			return s.betterAuthEnd(w, mine, func(*session) bool { return true })
		}),
		"POST /api/auth/sign-out": func(w http.ResponseWriter, r *http.Request) error {
			if mine, _ := s.caller(r, now()); mine != nil {
				if err := s.endOne(mine); err != nil {
					return err
				}
			}
			s.clearCookie(w)
			return writeJSON(w, http.StatusOK, done{"success": true})
		},
	}
}

// betterAuthCall makes a handler of a call that is for people who are signed in. For nobody its status is 401, other than that of whoami.
func (s *Service) betterAuthCall(h func(w http.ResponseWriter, r *http.Request, mine *session) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		mine, _ := s.caller(r, now())
		if mine == nil {
			return writeJSON(w, http.StatusUnauthorized, map[string]string{"code": "UNAUTHORIZED", "message": "Unauthorized"})
		}
		return h(w, r, mine)
	}
}

func (s *Service) betterAuthEnd(w http.ResponseWriter, mine *session, which func(*session) bool) error {
	if _, err := s.end(mine.IdentityID, which); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, done{"status": true})
}

// betterAuthRevoke ends one session of the caller's. A token that is not of one of them is answered in the same way.
func (s *Service) betterAuthRevoke(w http.ResponseWriter, r *http.Request, mine *session) error {
	var body struct {
		Token *string `json:"token"`
	}
	if err := readJSON(r, &body, false); err != nil {
		return err
	}
	if body.Token == nil {
		return complain(http.StatusBadRequest, "want a token")
	}
	return s.betterAuthEnd(w, mine, func(x *session) bool { return x.ID == *body.Token || x.TokenHash == hashToken(*body.Token) })
}

// betterAuthList lists all sessions of the caller, the one that asks included.
func (s *Service) betterAuthList(w http.ResponseWriter, _ *http.Request, mine *session) error {
	at := now()
	s.mu.RLock()
	i := s.state.identities[mine.IdentityID]
	all := s.state.of(mine.IdentityID, func(x *session) bool { return s.state.live(x, at) })
	s.mu.RUnlock()
	sessions := []json.RawMessage{}
	for _, x := range all {
		body, err := s.tell(x, i, at)
		if err != nil {
			return err
		}
		sessions = append(sessions, json.RawMessage(gjson.GetBytes(body, "session").Raw))
	}
	return writeJSON(w, http.StatusOK, sessions)
}

// withToken adds to a statement what a session can be revoked by, and where it was used. The token is the id of the session, so that it is
// no credential and whoever is told it can do no more than the person whose session it is.
func withToken(statement []byte, x *session) (json.RawMessage, error) {
	var told struct {
		Session map[string]any  `json:"session"`
		User    json.RawMessage `json:"user"`
	}
	if err := json.Unmarshal(statement, &told); err != nil {
		return nil, err
	}
	told.Session["token"] = x.ID
	if len(x.Devices) > 0 {
		told.Session["ipAddress"], told.Session["userAgent"] = x.Devices[0].IPAddress, x.Devices[0].UserAgent
	}
	return json.Marshal(told)
}
