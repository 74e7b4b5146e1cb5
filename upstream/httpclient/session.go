package httpclient

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Statement says where the body of a 200 tells of a session: paths in GJSON syntax.
type Statement struct {
	ID, IdentityID             string // text; required
	AuthenticatedAt, ExpiresAt string // RFC 3339
	Active                     string // true or false; empty if the service states active sessions only

	// Place is where the url of the service must lead to, for errors.
	Place string
}

// Judge says what a reply to the question means where 200 may state a session and 401 is a no, as it is with most services. Its errors are
// definite where the service was, and outages otherwise. prior looks at the JSON of a 200 before it is read as a session; it may be nil.
func (s *Statement) Judge(r *Reply, question string, prior func(*Reply) error) (*upstream.Session, error) {
	switch r.Status {
	case http.StatusOK:
		session, err := s.read(r, prior)
		if err != nil {
			return nil, fmt.Errorf("ask session service: status 200: %w", err)
		}
		return session, nil
	case http.StatusUnauthorized:
		if !r.IsPage() {
			return nil, fmt.Errorf("ask session service: %w", upstream.ErrNoSession)
		}
	}
	return nil, r.Outage(question)
}

func (s *Statement) read(r *Reply, prior func(*Reply) error) (*upstream.Session, error) {
	if r.BodyErr != nil {
		return nil, r.BodyErr
	}
	if !r.IsJSON() {
		return nil, errors.New("body is not JSON: the url must lead to " + s.Place)
	}
	if prior != nil {
		if err := prior(r); err != nil {
			return nil, err
		}
	}
	return s.Read(r)
}

// Read reads the session that the body of r tells, which must be JSON. The error wraps [upstream.ErrNoSession] if the body says that the
// session is not active. The session keeps the body, and has no AAL.
func (s *Statement) Read(r *Reply) (*upstream.Session, error) {
	id, identityID := r.Get(s.ID), r.Get(s.IdentityID)
	if id.Type != gjson.String || id.Str == "" || identityID.Type != gjson.String || identityID.Str == "" {
		return nil, errors.New("body names no session and identity: the url must lead to " + s.Place)
	}
	if s.Active != "" {
		switch r.Get(s.Active).Type {
		case gjson.True:
		case gjson.False:
			return nil, fmt.Errorf("session is not active: %w", upstream.ErrNoSession)
		default:
			return nil, errors.New("body does not say whether the session is active")
		}
	}
	expiresAt, err := r.Time(s.ExpiresAt)
	if err != nil {
		return nil, err
	}
	authenticatedAt, err := r.Time(s.AuthenticatedAt)
	if err != nil {
		return nil, err
	}
	return &upstream.Session{
		ID: id.Str, IdentityID: identityID.Str, AuthenticatedAt: authenticatedAt, ExpiresAt: expiresAt, Body: r.Body,
	}, nil
}
