package whoami

import "github.com/gatehouse-proxy/gatehouse/upstream"

// https://www.ory.sh/docs/kratos/reference/api#tag/frontend/operation/toSession
type kratosBody struct {
	ID              string         `json:"id"`
	Active          bool           `json:"active"`
	ExpiresAt       *string        `json:"expires_at,omitempty"`
	AuthenticatedAt *string        `json:"authenticated_at,omitempty"`
	AAL             string         `json:"authenticator_assurance_level"`
	IssuedAt        *string        `json:"issued_at,omitempty"`
	Identity        kratosIdentity `json:"identity"`
}

type kratosIdentity struct {
	ID        string       `json:"id"`
	SchemaID  string       `json:"schema_id"`
	SchemaURL string       `json:"schema_url"`
	State     string       `json:"state"`
	Traits    kratosTraits `json:"traits"`
}

type kratosTraits struct {
	Email string `json:"email,omitempty"`
	Name  string `json:"name,omitempty"`
}

type kratosError struct {
	Code    int    `json:"code"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

func kratosSession(s *upstream.Session, email, name string) kratosBody {
	at := precise(s.AuthenticatedAt)
	return kratosBody{
		ID: s.ID, Active: true, ExpiresAt: precise(s.ExpiresAt), AuthenticatedAt: at, AAL: s.AAL.String(), IssuedAt: at,
		Identity: kratosIdentity{ID: s.IdentityID, SchemaID: "default", State: "active", Traits: kratosTraits{email, name}},
	}
}

// https://github.com/wacht-platform/frontend-api/blob/1113464/handler/validator.go#L43. The session is there twice.
type wachtAnswer struct {
	Status  int      `json:"status"`
	Message string   `json:"message"`
	Data    any      `json:"data"`
	Session any      `json:"session"`
	Errors  []object `json:"errors"`
}

// A wachtNobody is a session in which nobody has signed in. It has an id, since every session of Wacht has: one that is none.
type wachtNobody struct {
	ID string `json:"id"`
}

type wachtBody struct {
	ID           string        `json:"id"`
	CreatedAt    *string       `json:"created_at,omitempty"`
	UpdatedAt    *string       `json:"updated_at,omitempty"`
	ActiveSignIn wachtSignIn   `json:"active_signin"`
	SignIns      []wachtSignIn `json:"signins"`
}

type wachtSignIn struct {
	ID        string    `json:"id"`
	SessionID string    `json:"session_id"`
	UserID    string    `json:"user_id"`
	CreatedAt *string   `json:"created_at,omitempty"`
	ExpiresAt *string   `json:"expires_at,omitempty"`
	User      wachtUser `json:"user"`
}

type wachtUser struct {
	ID        string      `json:"id"`
	FirstName string      `json:"first_name"`
	LastName  string      `json:"last_name"`
	Email     *wachtEmail `json:"primary_email_address,omitempty"`
}

type wachtEmail struct {
	Email string `json:"email"`
}

func wachtSession(s *upstream.Session, email, name string) wachtAnswer {
	at := precise(s.AuthenticatedAt)
	signIn := wachtSignIn{
		ID: s.ID, SessionID: s.ID, UserID: s.IdentityID, CreatedAt: at, ExpiresAt: precise(s.ExpiresAt),
		User: wachtUser{ID: s.IdentityID, FirstName: name},
	}
	if email != "" {
		signIn.User.Email = &wachtEmail{email}
	}
	return envelope(wachtBody{ID: s.ID, CreatedAt: at, UpdatedAt: at, ActiveSignIn: signIn, SignIns: []wachtSignIn{signIn}})
}

func envelope(session any) wachtAnswer {
	return wachtAnswer{Status: 200, Data: session, Session: session}
}

// https://github.com/crossid/crossid-client-go/blob/v1.5.1/api/openapi.yaml
type crossidBody struct {
	Active     bool            `json:"active"`
	AuthAt     *string         `json:"authAt,omitempty"`
	ExpiresAt  *string         `json:"expiresAt,omitempty"`
	ID         string          `json:"id"`
	Identity   crossidIdentity `json:"identity"`
	IdentityID string          `json:"identityId"`
	IssuedAt   *string         `json:"issuedAt,omitempty"`
}

type crossidIdentity struct {
	DisplayName string `json:"displayName,omitempty"`
	Email       string `json:"email,omitempty"`
}

type crossidError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Status  string `json:"status"`
}

func crossidSession(s *upstream.Session, email, name string) crossidBody {
	at := iso(s.AuthenticatedAt)
	return crossidBody{
		Active: true, AuthAt: at, ExpiresAt: iso(s.ExpiresAt), ID: s.ID, Identity: crossidIdentity{name, email},
		IdentityID: s.IdentityID, IssuedAt: at,
	}
}

// https://www.better-auth.com/docs/concepts/database#core-schema. The token of a session is a credential, and so there is none here.
type betterAuthBody struct {
	Session betterAuthInner `json:"session"`
	User    betterAuthUser  `json:"user"`
}

type betterAuthInner struct {
	ExpiresAt *string `json:"expiresAt,omitempty"`
	Token     string  `json:"token"`
	CreatedAt *string `json:"createdAt,omitempty"`
	UpdatedAt *string `json:"updatedAt,omitempty"`
	IPAddress *string `json:"ipAddress"`
	UserAgent *string `json:"userAgent"`
	UserID    string  `json:"userId"`
	ID        string  `json:"id"`
}

type betterAuthUser struct {
	Name          string  `json:"name"`
	Email         string  `json:"email"`
	EmailVerified bool    `json:"emailVerified"`
	Image         *string `json:"image"`
	ID            string  `json:"id"`
}

func betterAuthSession(s *upstream.Session, email, name string) betterAuthBody {
	at := iso(s.AuthenticatedAt)
	return betterAuthBody{
		Session: betterAuthInner{ExpiresAt: iso(s.ExpiresAt), CreatedAt: at, UpdatedAt: at, UserID: s.IdentityID, ID: s.ID},
		User:    betterAuthUser{Name: name, Email: email, ID: s.IdentityID},
	}
}
