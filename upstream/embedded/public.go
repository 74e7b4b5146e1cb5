package embedded

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/whoami"
)

// maxBody bounds the body of every request, in bytes.
const maxBody = 64 << 10

func (s *Service) publicAPI(routes map[string]handler) http.Handler {
	api := http.NewServeMux()
	for pattern, h := range routes {
		api.Handle(pattern, s.told(h))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Cookie")
		api.ServeHTTP(w, r)
	})
	healthRoutes(mux)
	mux.HandleFunc("GET /version", http.NotFound) // the admin API tells the version
	return mux
}

func (s *Service) kratosAPI() map[string]handler {
	api := map[string]handler{
		"GET /sessions":                    s.listMine,
		"DELETE /sessions":                 s.revokeOthers,
		"DELETE /sessions/{id}":            s.revokeOne,
		"DELETE /self-service/logout/api":  s.logoutByToken,
		"GET /self-service/logout/browser": s.logoutURL,
		"GET /self-service/logout":         s.logout,
	}
	// Kratos answers whoami to every method; DELETE is one by accident, and measured.
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"} {
		api[m+" /sessions/whoami"] = s.whoami
	}
	return api
}

func healthRoutes(mux *http.ServeMux) {
	ok := handler(func(w http.ResponseWriter, _ *http.Request) error {
		return writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.Handle("GET /health/alive", ok)
	mux.Handle("GET /health/ready", ok)
}

// guarded does what holds for every call: the headers, the bound on the body, and the end of it all.
func (s *Service) guarded(next http.Handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method == http.MethodGet {
			w.Header().Set("Cache-Control", "private, no-cache, no-store, must-revalidate")
		}
		if s.closed.Load() {
			return errClosed
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
		return nil
	}
}

// caller returns the live session that r presents, and its identity; or nil. The order is Kratos': X-Session-Token, cookie, Bearer, each
// where the dialect has it. The first that is there decides, even if no session stands behind it; only a cookie that cannot be read counts
// as not being there.
func (s *Service) caller(r *http.Request, at time.Time) (*session, *identity) {
	c, ok, token := cookie{}, false, ""
	if s.cfg.Dialect == whoami.Kratos {
		token = r.Header.Get("X-Session-Token")
	}
	if token == "" {
		if c, ok = s.cookieOf(r, at); !ok && s.cfg.Dialect == whoami.Wacht {
			c, ok = s.unseal(developmentToken(r), at)
		} else if !ok {
			token = bearer(r)
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	id := c.sessionID
	if !ok {
		id = s.state.byToken[hashToken(token)]
	}
	x := s.state.sessions[id]
	if !s.state.live(x, at) {
		return nil, nil
	}
	return x, s.state.identities[x.IdentityID]
}

// bearer reads the Authorization header as strictly as Kratos: one space, any case of the scheme.
func bearer(r *http.Request) string {
	if parts := strings.Split(r.Header.Get("Authorization"), " "); len(parts) == 2 && strings.EqualFold(parts[0], "bearer") {
		return parts[1]
	}
	return ""
}

func (s *Service) satisfies(x *session) error {
	if !x.RequireAAL2 || x.AAL == "aal2" {
		return nil
	}
	return &apiError{
		ID: "session_aal2_required", Code: http.StatusForbidden, Status: http.StatusText(http.StatusForbidden),
		Reason: "An active session was found but it does not fulfill the requested Authenticator Assurance Level. " +
			"Please verify yourself with a second factor to resolve this issue.",
		Details: &redirect{s.cfg.BaseURL + "/self-service/login/browser?aal=aal2"},
		Message: "Session does not fulfill the requested Authenticator Assurance Level",
	}
}

var errNoCookie = refuse(http.StatusUnauthorized, "No valid session cookie found.")

func (s *Service) listMine(w http.ResponseWriter, r *http.Request) error {
	at := now()
	mine, i := s.caller(r, at)
	if mine == nil {
		return errNoCookie
	}
	if err := s.satisfies(mine); err != nil {
		return err
	}
	return s.writeList(w, r, "/sessions", i, func(x *session) bool { return x.ID != mine.ID && x.valid(at) }, at)
}

// revokeOthers ends the caller's other sessions. Kratos counts those that had ended before as well.
func (s *Service) revokeOthers(w http.ResponseWriter, r *http.Request) error {
	mine, _ := s.caller(r, now())
	if mine == nil {
		return errNoCookie
	}
	count, err := s.end(mine.IdentityID, func(x *session) bool { return x.ID != mine.ID })
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]int{"count": count})
}

// revokeOne ends one of the caller's other sessions. An id that is not one of them is answered in the same way, as Kratos does.
func (s *Service) revokeOne(w http.ResponseWriter, r *http.Request) error {
	mine, _ := s.caller(r, now())
	if mine == nil {
		return errNoCookie
	}
	id, err := parseID(r.PathValue("id"))
	if err != nil {
		return complain(http.StatusBadRequest, err.Error())
	}
	if id == mine.ID {
		return complain(http.StatusBadRequest, "cannot revoke current session")
	}
	w.Header().Set("Content-Type", contentType) // of nothing, but Kratos says so
	_, err = s.end(mine.IdentityID, func(x *session) bool { return x.ID == id })
	return writeNothing(w, err)
}

// revoke ends sessions, and leaves those alone that have been ended.
func (e edit) revoke(sessions ...*session) {
	for _, x := range sessions {
		if x.Active {
			ended := *x
			ended.Active = false
			e.sessions[x.ID] = &ended
		}
	}
}

// logoutByToken is the logout of clients without a browser: the token in the body is what ends, and the only credential.
func (s *Service) logoutByToken(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		SessionToken string `json:"session_token"`
	}
	if err := readJSON(r, &body, false); err != nil {
		return err
	}
	return s.endByToken(w, body.SessionToken,
		refuse(http.StatusForbidden, "The provided Ory Session Token could not be found, is invalid, or otherwise malformed."))
}

var errInactive = &apiError{
	ID: "session_inactive", Code: http.StatusUnauthorized, Status: http.StatusText(http.StatusUnauthorized),
	Reason: "No active session was found in this request.", Message: "request does not have a valid authentication session",
}

func (s *Service) logoutURL(w http.ResponseWriter, r *http.Request) error {
	x, _ := s.caller(r, now())
	if x == nil {
		return errInactive
	}
	token := s.logoutToken(x)
	return writeJSON(w, http.StatusOK, struct {
		URL   string `json:"logout_url"`
		Token string `json:"logout_token"`
	}{s.cfg.BaseURL + "/self-service/logout?" + url.Values{"token": {token}}.Encode(), token})
}

func (s *Service) logout(w http.ResponseWriter, r *http.Request) error {
	token := r.URL.Query().Get("token")
	if token == "" {
		return refuse(http.StatusBadRequest, "Please include a token in the URL query.")
	}
	x, _ := s.caller(r, now())
	if x == nil {
		return errInactive
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.logoutToken(x))) != 1 {
		return refuse(http.StatusForbidden,
			"Unable to log out because the logout token in the URL query does not match the session cookie.")
	}
	if err := s.endOne(x); err != nil {
		return err
	}
	s.clearCookie(w)
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}
