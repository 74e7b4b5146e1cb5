package embedded

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

func (s *Service) adminAPI() http.Handler {
	api := http.NewServeMux()
	api.Handle("GET /sessions", handler(s.listAll))
	api.Handle("POST /sessions", handler(s.create))
	api.Handle("DELETE /sessions", s.toPublic("/sessions"))
	api.Handle("GET /sessions/whoami", s.toPublic("/sessions/whoami"))
	api.Handle("GET /sessions/{id}", withID(s.get))
	api.Handle("DELETE /sessions/{id}", withID(s.disable))
	api.Handle("PATCH /sessions/{id}/extend", withID(s.extend))
	api.Handle("GET /identities/{id}/sessions", withID(s.listOf))
	api.Handle("DELETE /identities/{id}/sessions", withID(s.deleteSessions))
	api.Handle("PATCH /identities/{id}", handler(s.patchIdentity))
	api.Handle("DELETE /identities/{id}", handler(s.deleteIdentity))
	api.Handle("GET /version", handler(func(w http.ResponseWriter, _ *http.Request) error {
		return writeJSON(w, http.StatusOK, map[string]string{"version": "v26.2.0+embedded"})
	}))
	signIn := s.signInAPI()
	api.Handle("/sign-in", signIn)
	api.Handle("/sign-out", signIn)
	healthRoutes(api)

	mux := http.NewServeMux() // Kratos adds the prefix where it is missing
	mux.Handle("/admin/", http.StripPrefix("/admin", api))
	mux.Handle("/", api)
	return mux
}

// toPublic sends callers to the public API, which is where Kratos has what they ask for.
func (s *Service) toPublic(path string) http.Handler {
	return http.RedirectHandler(s.cfg.BaseURL+path, http.StatusTemporaryRedirect)
}

func (s *Service) get(w http.ResponseWriter, r *http.Request, id string) error {
	withIdentity, withDevices, err := expandParameter(r)
	if err != nil {
		return err
	}
	s.mu.RLock()
	x := s.state.sessions[id]
	var i *identity
	if x != nil {
		i = s.state.identities[x.IdentityID]
	}
	s.mu.RUnlock()
	if x == nil {
		return notFound()
	}
	var shown *identityJSON
	if withIdentity {
		shown = s.identityView(i)
	}
	devices := []device{}
	if withDevices {
		devices = x.Devices
	}
	return writeJSON(w, http.StatusOK, sessionView(x, shown, devices, now()))
}

// expandParameter reads which parts of a session are asked for.
func expandParameter(r *http.Request) (withIdentity, withDevices bool, err error) {
	for _, part := range r.URL.Query()["expand"] {
		switch part {
		case "identity":
			withIdentity = true
		case "devices":
			withDevices = true
		default:
			return false, false, refuse(http.StatusBadRequest, "Could not parse expand option: "+part)
		}
	}
	return withIdentity, withDevices, nil
}

// activeParameter reads which sessions are asked for: the valid ones, the others, or all.
func activeParameter(r *http.Request) (keep func(*session) bool, err error) {
	raw := r.URL.Query().Get("active")
	if raw == "" {
		return func(*session) bool { return true }, nil
	}
	want, err := strconv.ParseBool(raw)
	if err != nil {
		return nil, complain(http.StatusBadRequest, "could not parse parameter active")
	}
	at := now()
	return func(x *session) bool { return x.valid(at) == want }, nil
}

// withID makes a handler of h, which wants the id in the path.
func withID(h func(w http.ResponseWriter, r *http.Request, id string) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := parseID(r.PathValue("id"))
		if err != nil {
			return complain(http.StatusBadRequest, err.Error())
		}
		return h(w, r, id)
	}
}

// parseID reads a UUID in its canonical form. The errors are those of github.com/gofrs/uuid, which Kratos answers with.
func parseID(text string) (string, error) {
	if len(text) != 36 {
		return "", fmt.Errorf("uuid: incorrect UUID length %d in string %q", len(text), text)
	}
	id := []byte(text)
	for n, c := range id {
		dash := n == 8 || n == 13 || n == 18 || n == 23
		switch {
		case dash && c == '-', !dash && '0' <= c && c <= '9', !dash && 'a' <= c && c <= 'f':
		case !dash && 'A' <= c && c <= 'F':
			id[n] += 'a' - 'A'
		default:
			return "", fmt.Errorf("uuid: incorrect UUID format in string %q", text)
		}
	}
	return string(id), nil
}

// disable ends a session, and keeps it to be looked at.
func (s *Service) disable(w http.ResponseWriter, _ *http.Request, id string) error {
	err := s.change(func(e edit) error {
		x := s.state.sessions[id]
		if x == nil {
			return notFound()
		}
		e.revoke(x)
		return nil
	})
	w.Header().Set("Content-Type", contentType)
	return writeNothing(w, err)
}

// extend moves the expiry to one lifespan from now. An expired session comes back to life; a revoked one does not.
func (s *Service) extend(w http.ResponseWriter, _ *http.Request, id string) error {
	at := now()
	var view sessionJSON
	err := s.change(func(e edit) error {
		x := s.state.sessions[id]
		if x == nil {
			return notFound()
		}
		longer := *x
		if until := at.Add(s.cfg.Lifespan); until.After(x.ExpiresAt) {
			longer.ExpiresAt = until
			e.sessions[id] = &longer
		}
		view = sessionView(&longer, s.identityView(s.state.identities[x.IdentityID]), []device{}, at)
		return nil
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, view)
}

func (s *Service) deleteSessions(w http.ResponseWriter, _ *http.Request, id string) error {
	return writeNothing(w, s.change(func(e edit) error {
		if len(s.state.byIdentity[id]) == 0 {
			return notFound()
		}
		e.remove(s.state.byIdentity[id])
		return nil
	}))
}

func (s *Service) deleteIdentity(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	return writeNothing(w, s.change(func(e edit) error {
		if s.state.identities[id] == nil {
			return notFound()
		}
		e.identities[id] = nil
		e.remove(s.state.byIdentity[id])
		return nil
	}))
}

func (e edit) remove(ids map[string]struct{}) {
	for id := range ids {
		e.sessions[id] = nil
	}
}

// ownHostOnly refuses what comes by the loopback address under a name that a stranger can own. A page of the stranger's may have had the
// name point here, and then counts as ours to its browser (DNS rebinding): it could sign in as anybody.
func ownHostOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if local != nil && local.IP.IsLoopback() && !ownHost(r.Host) {
			http.Error(w, "ask by the address 127.0.0.1 or the name localhost", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ownHost reports whether a Host header names an IP address, localhost, or nothing, which no browser sends.
func ownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "" || strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
