package upstreamtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Token returns a session token credential in memory of its own.
func Token(value string) upstream.Credential {
	return upstream.Credential{Kind: upstream.SessionToken, Name: "X-Session-Token", Value: []byte(value)}
}

// Cookie returns a cookie credential in memory of its own. Several values are several cookies of that name, in their order.
func Cookie(name string, values ...string) upstream.Credential {
	return upstream.Credential{Kind: upstream.Cookie, Name: name, Value: []byte(strings.Join(values, ";"))}
}

// Bearer returns a bearer credential in memory of its own.
func Bearer(value string) upstream.Credential {
	return upstream.Credential{Kind: upstream.Bearer, Value: []byte(value)}
}

// Session returns a session as [Service] would state it: one factor, from now on for 24 hours.
func Session(id, identityID string) *upstream.Session {
	return Login{SessionID: id, IdentityID: identityID}.withDefaults(0).Session()
}

// The bodies of Kratos v26.2.0 for a definite no, byte for byte.
const (
	NoSessionBody = `{"error":{"code":401,"status":"Unauthorized","reason":"No valid session credentials found in the request.",` +
		`"message":"The request could not be authorized"}}` + "\n"
	AAL2Body = `{"error":{"id":"session_aal2_required","code":403,"status":"Forbidden","reason":"An active session was found but it does not ` +
		`fulfill the requested Authenticator Assurance Level. Please verify yourself with a second factor to resolve this issue.",` +
		`"details":{"redirect_browser_to":"http://127.0.0.1:4433/self-service/login/browser?aal=aal2"},"message":"Session does not ` +
		`fulfill the requested Authenticator Assurance Level"},` +
		`"redirect_browser_to":"http://127.0.0.1:4433/self-service/login/browser?aal=aal2"}` + "\n"
)

// AAL2Refusal returns the refusal of Kratos to vouch for a session that needs a second factor.
func AAL2Refusal() *upstream.Refusal {
	return &upstream.Refusal{
		Status: 403, ContentType: "application/json", ErrorID: "session_aal2_required", Body: []byte(AAL2Body),
		Redirect: "http://127.0.0.1:4433/self-service/login/browser?aal=aal2",
	}
}

// A Login is a session that a [Service] knows, and the credentials that stand for it. What is left zero is filled in.
type Login struct {
	Token   string   // as X-Session-Token and as bearer token
	Cookies []string // values of the session cookie; Kratos re-issues it, so that one session may have many

	SessionID       string
	IdentityID      string
	AAL             upstream.AAL
	AuthenticatedAt time.Time
	ExpiresAt       time.Time // after it the service answers 401
	Traits          any       // of the identity, as JSON; by default it has an email address
	Body            []byte    // what whoami says; made from the above if nil

	Renewed   string // value of a newer session cookie, which the answers to older ones set
	NeedsAAL2 bool   // refused with status 403
	CacheFor  string // Ory-Session-Cache-For, in seconds; not sent if empty
}

// Session returns what a Store should say of l, which must be complete as [Service.SignIn] returns it.
func (l Login) Session() *upstream.Session {
	return &upstream.Session{
		ID:              l.SessionID,
		IdentityID:      l.IdentityID,
		AAL:             l.AAL,
		AuthenticatedAt: l.AuthenticatedAt,
		ExpiresAt:       l.ExpiresAt,
		Body:            l.Body,
	}
}

// withDefaults returns l with what is missing, made different from other logins by n.
func (l Login) withDefaults(n int) Login {
	l.Token = cmp.Or(l.Token, fmt.Sprintf("ory_st_%032d", n))
	if l.Cookies == nil {
		l.Cookies = []string{fmt.Sprintf("MTc5NTM0-_%032d==", n)}
	}
	l.SessionID = cmp.Or(l.SessionID, fmt.Sprintf("5e551011-0000-4000-8000-%012d", n))
	l.IdentityID = cmp.Or(l.IdentityID, fmt.Sprintf("1de17173-0000-4000-8000-%012d", n))
	l.AAL = cmp.Or(l.AAL, upstream.AAL1)
	if l.AuthenticatedAt.IsZero() {
		l.AuthenticatedAt = time.Now().UTC().Truncate(time.Microsecond)
	}
	if l.ExpiresAt.IsZero() {
		l.ExpiresAt = l.AuthenticatedAt.Add(24 * time.Hour)
	}
	if l.Traits == nil {
		l.Traits = map[string]any{"email": fmt.Sprintf("person-%d@example.test", n)}
	}
	if l.Body == nil {
		l.Body = l.statement()
	}
	return l
}

// statement returns what whoami says of l, in the order of Kratos.
func (l Login) statement() []byte {
	type identity struct {
		ID       string `json:"id"`
		SchemaID string `json:"schema_id"`
		State    string `json:"state"`
		Traits   any    `json:"traits"`
	}
	body, err := json.Marshal(struct {
		ID              string    `json:"id"`
		Active          bool      `json:"active"`
		ExpiresAt       time.Time `json:"expires_at"`
		AuthenticatedAt time.Time `json:"authenticated_at"`
		AAL             string    `json:"authenticator_assurance_level"`
		IssuedAt        time.Time `json:"issued_at"`
		Identity        identity  `json:"identity"`
	}{
		ID: l.SessionID, Active: true, ExpiresAt: l.ExpiresAt, AuthenticatedAt: l.AuthenticatedAt, AAL: l.AAL.String(),
		IssuedAt: l.AuthenticatedAt, Identity: identity{ID: l.IdentityID, SchemaID: "default", State: "active", Traits: l.Traits},
	})
	if err != nil {
		panic(fmt.Sprintf("upstreamtest: traits are not JSON: %v", err))
	}
	return append(body, '\n')
}

// SetCookie returns the header lines that set cookies, one for each of the lines given without their name, as in [upstream.Answer.Renewed].
func SetCookie(lines ...string) (fields []upstream.Field) {
	for _, line := range lines {
		fields = append(fields, upstream.Field{Name: "Set-Cookie", Value: line})
	}
	return fields
}
