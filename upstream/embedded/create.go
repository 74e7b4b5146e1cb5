package embedded

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/whoami"
)

// A NewSession says which session to create. Exactly one of Identity and IdentityID is given.
type NewSession struct {
	Identity    *NewIdentity  `json:"identity"`     // is created; one that exists is brought to what is given here
	IdentityID  string        `json:"identity_id"`  // of an identity that exists, and is used as it is
	AAL         string        `json:"aal"`          // aal1, which is the default, or aal2
	ExpiresIn   time.Duration `json:"-"`            // expires_in, in JSON such as "1h30m": at most ten years; zero is the service's lifespan
	RequireAAL2 bool          `json:"require_aal2"` // whoami answers 403 session_aal2_required unless the session is aal2
	Devices     []Device      `json:"devices"`
}

// A NewIdentity says who a session is for.
type NewIdentity struct {
	ID             string          `json:"id"`              // a UUID; a new one is chosen if it is empty
	Traits         json.RawMessage `json:"traits"`          // an object; its email becomes the address of the identity
	MetadataPublic json.RawMessage `json:"metadata_public"` // any value
	SchemaID       string          `json:"schema_id"`       // default: default
}

// A Device is where a session was used. Nil is told as null.
type Device struct {
	IPAddress *string `json:"ip_address"`
	UserAgent *string `json:"user_agent"`
	Location  string  `json:"location"`
}

// Created is a new session, and the two credentials for it. Nobody is told the credentials again.
type Created struct {
	SessionToken  string          `json:"session_token"`
	SessionCookie Cookie          `json:"session_cookie"`
	Session       json.RawMessage `json:"session"` // as whoami tells it

	SessionID  string `json:"-"`
	IdentityID string `json:"-"`
}

// A Cookie is the name and the value of a session cookie.
type Cookie struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Create creates a session, and its identity if need be. It is the same as POST /admin/sessions, where an error of the caller's has
// status 400 or 404, and a service that is full 507.
func (s *Service) Create(n NewSession) (Created, error) {
	at, token := now(), newSessionToken()
	x, err := s.newSession(n, at)
	if err != nil {
		return Created{}, fmt.Errorf("create session: %w", err)
	}
	x.TokenHash = hashToken(token)
	var body json.RawMessage
	err = s.change(func(e edit) error {
		i, err := s.identityFor(n, at)
		if err != nil {
			return err
		}
		s.sweep(e, at)
		if len(s.state.sessions)-len(e.sessions) >= s.limit || (s.state.identities[i.ID] == nil && len(s.state.identities) >= s.limit) {
			return complain(http.StatusInsufficientStorage, fmt.Sprintf("there are %d sessions or identities, which is the limit", s.limit))
		}
		x.IdentityID = i.ID
		e.sessions[x.ID] = x
		if i != s.state.identities[i.ID] {
			e.identities[i.ID] = i
		}
		body, err = s.tell(x, i, at)
		return err
	})
	if err != nil {
		return Created{}, fmt.Errorf("create session: %w", err)
	}
	sealed := s.seal(x, at)
	if s.cfg.Dialect == whoami.Wacht {
		token = sealed // it has no other
	}
	return Created{token, Cookie{s.cfg.Cookie, sealed}, body, x.ID, x.IdentityID}, nil
}

// newSession makes all of a session but its identity and its token.
func (s *Service) newSession(n NewSession, at time.Time) (*session, error) {
	x := &session{
		ID: newID(), Active: true, AAL: "aal1", RequireAAL2: n.RequireAAL2,
		Methods:  []method{{"password", "aal1", at}},
		IssuedAt: at, AuthenticatedAt: at, ExpiresAt: at.Add(s.cfg.Lifespan), Devices: []device{},
	}
	switch n.AAL {
	case "", "aal1":
	case "aal2":
		x.AAL = "aal2"
		x.Methods = append(x.Methods, method{"totp", "aal2", at})
	default:
		return nil, refuse(http.StatusBadRequest, "aal: want aal1 or aal2")
	}
	switch {
	case n.RequireAAL2 && s.cfg.Dialect != whoami.Kratos:
		return nil, refuse(http.StatusBadRequest, "require_aal2: only Kratos has levels of assurance")
	case n.ExpiresIn < 0 || n.ExpiresIn > maxLifespan:
		return nil, refuse(http.StatusBadRequest, "expires_in: want more than nothing and at most ten years")
	case n.ExpiresIn > 0:
		x.ExpiresAt = at.Add(n.ExpiresIn)
	}
	for _, d := range n.Devices {
		x.Devices = append(x.Devices, device{newID(), d})
	}
	if !fits(x.Devices, maxDevices) {
		return nil, refuse(http.StatusBadRequest, "devices: want at most 16 KiB")
	}
	return x, nil
}

// identityFor returns the identity that n asks for: the one that exists, if it is as n wants it, or else a new version of it.
func (s *Service) identityFor(n NewSession, at time.Time) (*identity, error) {
	if (n.Identity == nil) == (n.IdentityID == "") {
		return nil, refuse(http.StatusBadRequest, "want either identity or identity_id")
	}
	i := s.state.identities[n.IdentityID]
	if n.Identity == nil && i == nil {
		return nil, notFound()
	}
	if n.Identity != nil {
		var err error
		if i, err = s.wanted(*n.Identity, at); err != nil {
			return nil, err
		}
	}
	if i.State != active {
		return nil, refuse(http.StatusBadRequest, "the identity is inactive")
	}
	return i, s.fits(i)
}

func (s *Service) wanted(n NewIdentity, at time.Time) (*identity, error) {
	traits, ok := compact(n.Traits)
	if !ok || traits[0] != '{' {
		return nil, refuse(http.StatusBadRequest, "identity.traits: want an object")
	}
	metadata, ok := compact(n.MetadataPublic)
	if !ok {
		return nil, refuse(http.StatusBadRequest, "identity.metadata_public: want a JSON value")
	}
	schema := n.SchemaID
	if schema == "" {
		schema = "default"
	}
	id := newID()
	if n.ID != "" {
		var err error
		if id, err = parseID(n.ID); err != nil {
			return nil, refuse(http.StatusBadRequest, "identity.id: "+err.Error())
		}
	}
	old := s.state.identities[id]
	if old == nil {
		return &identity{
			ID: id, SchemaID: schema, State: active, StateChangedAt: at, Traits: traits, MetadataPublic: metadata,
			VerifiableID: newID(), RecoveryID: newID(), CreatedAt: at, UpdatedAt: at,
		}, nil
	}
	if old.SchemaID == schema && bytes.Equal(old.Traits, traits) && bytes.Equal(old.MetadataPublic, metadata) {
		return old, nil
	}
	next := *old
	next.SchemaID, next.Traits, next.MetadataPublic, next.UpdatedAt = schema, traits, metadata, at
	return &next, nil
}

// compact returns raw without white space, and null for nothing. It reports false for what is not JSON.
func compact(raw json.RawMessage) (json.RawMessage, bool) {
	if len(raw) == 0 {
		return json.RawMessage("null"), true
	}
	var b bytes.Buffer
	err := json.Compact(&b, raw)
	return b.Bytes(), err == nil
}

// fits returns an error if i is too large to be told.
func (s *Service) fits(i *identity) error {
	if !fits(s.identityView(i), maxIdentity) {
		return refuse(http.StatusBadRequest, "identity: want at most 32 KiB")
	}
	if told, err := s.tell(&session{}, i, time.Time{}); err != nil || len(told) > maxStatement {
		return refuse(http.StatusBadRequest, "identity: want less than 60 KiB as whoami tells it: shorten the name or the email")
	}
	return nil
}

// fits reports whether v is at most limit bytes of JSON.
func fits(v any, limit int) bool {
	body, err := json.Marshal(v)
	return err == nil && len(body) <= limit
}

// sweep drops sessions that expired at least one lifespan ago. Until then they can be looked at, and extended.
func (s *Service) sweep(e edit, at time.Time) {
	if at.Sub(s.swept) < sweepEvery {
		return
	}
	s.swept = at
	for id, x := range s.state.sessions {
		if at.Sub(x.ExpiresAt) >= s.cfg.Lifespan {
			e.sessions[id] = nil
		}
	}
}

func (s *Service) create(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		NewSession
		ExpiresIn string `json:"expires_in"` // as time.ParseDuration reads it
	}
	if err := readJSON(r, &body, true); err != nil {
		return err
	}
	if body.ExpiresIn != "" {
		d, err := time.ParseDuration(body.ExpiresIn)
		if err != nil || d <= 0 {
			return refuse(http.StatusBadRequest, `expires_in: want a duration such as "1h30m"`)
		}
		body.NewSession.ExpiresIn = d
	}
	created, err := s.Create(body.NewSession)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, created)
}
