package embedded

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// The JSON shapes, with the keys in Kratos' order: session/session.go and identity/identity.go of github.com/ory/kratos.

type sessionJSON struct {
	ID              string        `json:"id"`
	Active          bool          `json:"active"`
	ExpiresAt       time.Time     `json:"expires_at"`
	AuthenticatedAt time.Time     `json:"authenticated_at"`
	AAL             string        `json:"authenticator_assurance_level"`
	Methods         []method      `json:"authentication_methods"`
	IssuedAt        time.Time     `json:"issued_at"`
	Identity        *identityJSON `json:"identity"`
	Devices         []device      `json:"devices"`
}

type method struct {
	Method      string    `json:"method"`
	AAL         string    `json:"aal"`
	CompletedAt time.Time `json:"completed_at"`
}

type device struct {
	ID string `json:"id"`
	Device
}

type identityJSON struct {
	ID                  string          `json:"id"`
	SchemaID            string          `json:"schema_id"`
	SchemaURL           string          `json:"schema_url"`
	State               string          `json:"state"`
	StateChangedAt      time.Time       `json:"state_changed_at"`
	Traits              json.RawMessage `json:"traits"`
	VerifiableAddresses []any           `json:"verifiable_addresses,omitempty"`
	RecoveryAddresses   []any           `json:"recovery_addresses,omitempty"`
	MetadataPublic      json.RawMessage `json:"metadata_public"`
	CreatedAt           time.Time       `json:"created_at"`
	UpdatedAt           time.Time       `json:"updated_at"`
	OrganizationID      *string         `json:"organization_id"`
}

type verifiableAddress struct {
	ID        string    `json:"id"`
	Value     string    `json:"value"`
	Verified  bool      `json:"verified"`
	Via       string    `json:"via"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

type recoveryAddress struct {
	ID        string    `json:"id"`
	Value     string    `json:"value"`
	Via       string    `json:"via"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// sessionView renders x. Identity and devices are what the call shows of them: each may be nil, for null.
func sessionView(x *session, i *identityJSON, devices []device, at time.Time) sessionJSON {
	return sessionJSON{
		ID: x.ID, Active: x.valid(at) && (i == nil || i.State == active),
		ExpiresAt: x.ExpiresAt, AuthenticatedAt: x.AuthenticatedAt, AAL: x.AAL, Methods: x.Methods, IssuedAt: x.IssuedAt,
		Identity: i, Devices: devices,
	}
}

// identityView renders i. The one address that an identity can have is traits.email.
func (s *Service) identityView(i *identity) *identityJSON {
	v := s.listedIdentity(i)
	var traits map[string]any
	_ = json.Unmarshal(i.Traits, &traits)
	if email, ok := traits["email"].(string); ok {
		v.VerifiableAddresses = []any{verifiableAddress{i.VerifiableID, email, false, "email", "pending", i.CreatedAt, i.UpdatedAt}}
		v.RecoveryAddresses = []any{recoveryAddress{i.RecoveryID, email, "email", i.CreatedAt, i.UpdatedAt}}
	}
	return v
}

// listedIdentity renders i as lists do, without addresses.
func (s *Service) listedIdentity(i *identity) *identityJSON {
	return &identityJSON{
		ID: i.ID, SchemaID: i.SchemaID,
		SchemaURL: s.cfg.BaseURL + "/schemas/" + base64.RawURLEncoding.EncodeToString([]byte(i.SchemaID)),
		State:     i.State, StateChangedAt: i.StateChangedAt, Traits: i.Traits, MetadataPublic: i.MetadataPublic,
		CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt,
	}
}

// An apiError is an error in the shape that Ory's services answer with (github.com/ory/herodot).
type apiError struct {
	ID      string    `json:"id,omitempty"`
	Code    int       `json:"code"`
	Status  string    `json:"status"`
	Request string    `json:"request,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Details *redirect `json:"details,omitempty"`
	Message string    `json:"message"`
}

type redirect struct {
	RedirectBrowserTo string `json:"redirect_browser_to"`
}

func (e *apiError) Error() string { return cmp.Or(e.Reason, e.Message) }

// refuse makes an error with the message that goes with the status code, and a reason.
func refuse(code int, reason string) *apiError {
	e := &apiError{Code: code, Status: http.StatusText(code), Reason: reason}
	switch code {
	case http.StatusUnauthorized:
		e.Message = "The request could not be authorized"
	case http.StatusForbidden:
		e.Message = "The requested action was forbidden"
	default:
		e.Message = "The request was malformed or contained invalid parameters"
	}
	return e
}

// complain makes an error with a message of its own, and no reason.
func complain(code int, message string) *apiError {
	return &apiError{Code: code, Status: http.StatusText(code), Message: message}
}

func notFound() *apiError { return complain(http.StatusNotFound, "Unable to locate the resource") }

// A handler answers with an error, or writes the answer and returns nil.
type handler func(http.ResponseWriter, *http.Request) error

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		writeError(w, r, err)
	}
}

// writeError writes an apiError as it is, and any other error as a failure of the service.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[*apiError](err)
	if !ok {
		e = complain(http.StatusInternalServerError, err.Error())
	}
	told := *e
	told.Request = r.Header.Get("X-Request-ID")
	w.Header().Set("Ory-Error-Id", e.ID)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code)
	body := struct {
		Error *apiError `json:"error"`
		*redirect
	}{&told, e.Details}
	_ = json.NewEncoder(w).Encode(body)
}

const contentType = "application/json; charset=utf-8"

func writeJSON(w http.ResponseWriter, code int, v any) error {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // fails only if the client has gone
	return nil
}

// writeNothing answers that a change was made, or with the error that it was not.
func writeNothing(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
