package embedded

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/whoami"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A dialect is what is particular to a service that is stood in for.
type dialect struct {
	cookie string                            // name of its session cookie
	api    func(*Service) map[string]handler // its public API, by pattern
}

// dialectOf returns what is particular to d, if it is known. Crossid documents no name of its cookie, so this one is made up.
func dialectOf(d whoami.Dialect) (dialect, bool) {
	known, ok := map[whoami.Dialect]dialect{
		whoami.Kratos:     {"ory_kratos_session", (*Service).kratosAPI},
		whoami.Wacht:      {"__session", (*Service).wachtAPI},
		whoami.Crossid:    {"crossid_session", (*Service).crossidAPI},
		whoami.BetterAuth: {"better-auth.session_token", (*Service).betterAuthAPI},
	}[d]
	return known, ok
}

// told makes a handler of h that tells errors in the words of the dialect: their status is all that there is of them outside of Kratos.
func (s *Service) told(h handler) http.Handler {
	if s.cfg.Dialect == whoami.Kratos {
		return h
	}
	return handler(func(w http.ResponseWriter, r *http.Request) error {
		err := h(w, r)
		if err == nil {
			return nil
		}
		status := http.StatusInternalServerError
		if e, ok := errors.AsType[*apiError](err); ok {
			status = e.Code
		}
		status, body := s.cfg.Dialect.Refusal(status)
		return writeJSON(w, status, json.RawMessage(body))
	})
}

// tell says what whoami does of x. Every other dialect is translated from that of Kratos.
func (s *Service) tell(x *session, i *identity, at time.Time) (json.RawMessage, error) {
	body, err := json.Marshal(sessionView(x, s.identityView(i), x.Devices, at))
	if err != nil || s.cfg.Dialect == whoami.Kratos {
		return body, err
	}
	body = s.cfg.Dialect.Tell(&upstream.Session{
		ID: x.ID, IdentityID: i.ID, AuthenticatedAt: x.AuthenticatedAt, ExpiresAt: x.ExpiresAt, Body: body,
	}, whoami.ProfileOf(whoami.Kratos))
	if s.cfg.Dialect == whoami.BetterAuth {
		return withToken(body, x)
	}
	return body, nil
}

// whoami answers whose session it is, in every dialect.
func (s *Service) whoami(w http.ResponseWriter, r *http.Request) error {
	at := now()
	x, i := s.caller(r, at)
	if x == nil {
		return refuse(http.StatusUnauthorized, "No valid session credentials found in the request.")
	}
	if err := s.satisfies(x); err != nil {
		return err
	}
	if s.cfg.Dialect == whoami.Kratos {
		if template := r.URL.Query().Get("tokenize_as"); template != "" {
			return refuse(http.StatusBadRequest, `Unable to find tokenizer template "`+template+`".`)
		}
		w.Header().Set("X-Kratos-Authenticated-Identity-Id", i.ID)
	}
	s.renew(w, r, x, at)
	body, err := s.tell(x, i, at)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, body)
}

// renew gives the client a new cookie where the session ends later than its own says. Kratos compares the cookie with the session that
// was found, even if another credential found it: a client that sends the token of one session and the cookie of an older one has its
// cookie replaced. Wacht renews every cookie, and every token of development.
func (s *Service) renew(w http.ResponseWriter, r *http.Request, x *session, at time.Time) {
	c, ok := s.cookieOf(r, at)
	switch wacht := s.cfg.Dialect == whoami.Wacht; {
	case ok && (wacht || c.expires.Before(x.ExpiresAt)):
		s.setCookie(w, x, at)
	case wacht && !ok:
		w.Header().Set(developmentHeader, s.seal(x, at))
	}
}

// end ends those sessions of an identity that which wants, and returns how many that are, with those that had ended before.
func (s *Service) end(identityID string, which func(*session) bool) (count int, err error) {
	err = s.change(func(e edit) error {
		found := s.state.of(identityID, which)
		count = len(found)
		e.revoke(found...)
		return nil
	})
	return count, err
}

// endOne ends one session.
func (s *Service) endOne(x *session) error {
	_, err := s.end(x.IdentityID, func(other *session) bool { return other.ID == x.ID })
	return err
}

// endByToken ends the session of a token, for clients that present it in the body of a request.
func (s *Service) endByToken(w http.ResponseWriter, token string, unknown error) error {
	return writeNothing(w, s.change(func(e edit) error {
		x := s.state.sessions[s.state.byToken[hashToken(token)]]
		if x == nil {
			return unknown
		}
		e.revoke(x)
		return nil
	}))
}
