package embedded

import "net/http"

// crossidAPI is https://github.com/crossid/crossid-client-go/blob/v1.5.1/api/openapi.yaml, as far as it is about sessions.
func (s *Service) crossidAPI() map[string]handler {
	return map[string]handler{
		"GET /api/v1/auth/sessions/whoami": s.whoami,
		"DELETE /api/v1/auth/sessions/revoke": func(w http.ResponseWriter, r *http.Request) error {
			var body struct {
				SessionToken string `json:"sessionToken"`
			}
			if err := readJSON(r, &body, false); err != nil {
				return err
			}
			return s.endByToken(w, body.SessionToken, complain(http.StatusBadRequest, "unknown session"))
		},
	}
}
