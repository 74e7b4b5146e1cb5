package config

import (
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Wacht is a deployment of Wacht to ask.
type Wacht struct {
	// URL is the base of its Frontend API: http or https, without user, password or query. Its host is what tells one deployment from
	// another. Required.
	URL string `yaml:"url"`

	// Cookie is the name of its session cookie. Default __session.
	Cookie string `yaml:"cookie"`

	// Development says that it is a deployment for development or staging, which takes session tokens in the header X-Development-Session and
	// in the parameter __dev_session__ of the URL, too. It must be false in production, where no URL may carry a session. Default false.
	Development bool `yaml:"development"`

	// SessionAPI serves /session and everything below it, too. Calls are passed on, and what they end or change is forgotten before the caller
	// has the answer. The application is never asked for these paths. Default false.
	SessionAPI bool `yaml:"session_api"`

	// TokenPath is the path on the listener where session tokens are handed out, as at the deployment's own /session/token: from memory until
	// 5s before they end. The application is never asked for it. It may be below whoami.path. Default empty: none are handed out.
	TokenPath string `yaml:"token_path"`
}

// TokenPath returns where session tokens are handed out, or nothing.
func (u *Upstream) TokenPath() string {
	if u.Wacht == nil {
		return ""
	}
	return u.Wacht.TokenPath
}

// A Crossid is a tenant of Crossid to ask.
type Crossid struct {
	// URL is the base of the tenant: http or https, without user, password or query. Required.
	URL string `yaml:"url"`

	// Cookie is the name of its session cookie, which Crossid documents nowhere; empty if only bearer tokens are used. Default empty.
	Cookie string `yaml:"cookie"`

	// SessionAPI serves /api/v1/auth/sessions/revoke, too. Calls are passed on, and what they end is forgotten before the caller has the answer.
	// The application is never asked for this path. Default false.
	SessionAPI bool `yaml:"session_api"`
}

// A BetterAuth is a Better Auth server to ask.
type BetterAuth struct {
	// URL is the base of its API: http or https, without user, password or query. Without a path, /api/auth is meant. Required.
	URL string `yaml:"url"`

	// Cookie is the name of its session cookie: with __Secure- before it where the server is used over HTTPS. Default
	// better-auth.session_token.
	Cookie string `yaml:"cookie"`

	// SessionAPI serves the calls that list and end sessions, too: list-sessions, revoke-session, revoke-sessions, revoke-other-sessions and
	// sign-out, below the path of URL. Calls are passed on, and what they end is forgotten before the caller has the answer. The application is
	// never asked for these paths. Default false.
	SessionAPI bool `yaml:"session_api"`
}

// An HTTP is any HTTP endpoint that says whose session a request carries.
type HTTP struct {
	// URL is the endpoint: http or https, without user, password or query. Required.
	URL string `yaml:"url"`

	// Method is GET or POST. Default GET.
	Method Method `yaml:"method"`

	// Cookie is the name of the session cookie, which is sent to the endpoint as a cookie; empty if there is none. At least one of cookie,
	// token_header and bearer is required. Default empty.
	Cookie string `yaml:"cookie"`

	// TokenHeader is the name of a header with a session token, which is sent to the endpoint in the same header. Default empty.
	TokenHeader string `yaml:"token_header"`

	// Bearer makes bearer tokens be looked at and sent to the endpoint. Default false.
	Bearer bool `yaml:"bearer"`

	// FormField is the field of a form in which the credential is sent instead, such as token for RFC 7662. It wants the method POST.
	// Default empty.
	FormField string `yaml:"form_field"`

	// ClientID is who Gatehouse is to the endpoint, sent with the secret by HTTP Basic authentication. It wants form_field. Default empty.
	ClientID string `yaml:"client_id"`

	// ClientSecretFile is the file with the secret of ClientID. It is read when Gatehouse starts, so that a new secret needs a
	// restart. Default empty.
	ClientSecretFile string `yaml:"client_secret_file"`

	// Headers are sent with every question: their names, and values in printable ASCII. They are shown wherever the configuration is, so
	// they are no place for secrets. Default none.
	Headers map[string]string `yaml:"headers,omitempty"`

	// AuthenticatedWhen is a condition in CEL (https://cel.dev) that is true of the answer for a session, and false of the one for nobody.
	// Its variables are status (a number), headers (by name in lower case) and body (JSON, null if it is none), as in has(body.user). Where
	// it needs what an answer of status 200 does not have, that answer is an outage. At most 4096 bytes. Required.
	AuthenticatedWhen string `yaml:"authenticated_when"`

	// Paths are where in the body a session is told. Required.
	Paths Paths `yaml:"paths"`
}

// A Paths is where in an answer a session is told: paths in GJSON syntax.
type Paths struct {
	// ID is the path of the session's id. Where it is empty an id is made of the credential. Default empty.
	ID string `yaml:"id"`

	// IdentityID is the path of the id of whose session it is. Required.
	IdentityID string `yaml:"identity_id"`

	// ExpiresAt is the path of when the session ends: RFC 3339, or seconds since 1970. Default empty: the endpoint does not say.
	ExpiresAt string `yaml:"expires_at"`

	// AuthenticatedAt is the path of when the person last proved who they are, likewise. Default empty: the endpoint does not say.
	AuthenticatedAt string `yaml:"authenticated_at"`

	// AAL is the path of the assurance level: aal1 to aal3, or 1 to 3. Anything else meets no requirement. Default empty: aal1 for everybody.
	AAL string `yaml:"aal"`

	// Email is the path of the person's e-mail address, for whoami. Default empty: it does not say.
	Email string `yaml:"email"`

	// Name is the path of the person's name, for whoami. Default empty: it does not say.
	Name string `yaml:"name"`
}

func (w *Wacht) setDefaults() { *w = Wacht{Cookie: "__session"} }

func (c *Crossid) setDefaults() { *c = Crossid{} }

func (b *BetterAuth) setDefaults() { *b = BetterAuth{Cookie: "better-auth.session_token"} }

func (h *HTTP) setDefaults() { *h = HTTP{Method: MethodGet} }

// A Service is what a kind of session service is like.
type Service struct {
	Kind        string  // its key, such as kratos
	Dialect     Dialect // in which it answers; for a service of no dialect, in which whoami does
	Identity    string  // the path of the identity's id in its statement
	TokenHeader string  // of session tokens; empty if it takes none
	Query       string  // the parameter of a URL with a session token; empty if it takes none
	Cookie      string  // of sessions, or its beginning and '*'; empty if it takes none
	Bearer      bool    // whether it takes bearer tokens

	// CookieHeader is a header with the value of the session cookie; empty if it takes none, or if the name of the cookie is not known.
	CookieHeader string
}

// sessionCookieHeader is in which Ory's older documentation has the session cookie. Kratos itself dropped it in 2022, and is asked with a
// cookie: https://github.com/ory/kratos/pull/2983
const sessionCookieHeader = "X-Session-Cookie"

// Service returns what the service that was chosen is like. Of several the first counts; without one it is the zero Service.
func (u *Upstream) Service() Service {
	if all := u.services(); len(all) > 0 {
		return all[0]
	}
	return Service{}
}

// services returns all services that were chosen, in the order of their keys in Upstream.
func (u *Upstream) services() (all []Service) {
	kratos := Service{
		Dialect: DialectKratos, Identity: "identity.id", TokenHeader: "X-Session-Token", CookieHeader: sessionCookieHeader, Bearer: true,
	}
	if k := u.Kratos; k != nil {
		kratos.Kind, kratos.Cookie = "kratos", k.Cookie
		if isPattern(k.Cookie) {
			kratos.CookieHeader = ""
		}
		all = append(all, kratos)
	}
	if w := u.Wacht; w != nil {
		s := Service{Kind: "wacht", Dialect: DialectWacht, Identity: "data.active_signin.user_id", Cookie: w.Cookie}
		if w.Development {
			s.TokenHeader, s.Query = "X-Development-Session", "__dev_session__"
		}
		all = append(all, s)
	}
	if c := u.Crossid; c != nil {
		all = append(all, Service{Kind: "crossid", Dialect: DialectCrossid, Identity: "identityId", Cookie: c.Cookie, Bearer: true})
	}
	if b := u.BetterAuth; b != nil {
		all = append(all, Service{Kind: "better_auth", Dialect: DialectBetterAuth, Identity: "user.id", Cookie: b.Cookie, Bearer: true})
	}
	if h := u.HTTP; h != nil {
		all = append(all, Service{
			Kind: "http", Dialect: DialectKratos, Identity: h.Paths.IdentityID, TokenHeader: h.TokenHeader, Cookie: h.Cookie, Bearer: h.Bearer,
		})
	}
	if e := u.Embedded; e != nil {
		s := e.StandsFor().Service()
		s.Kind = "embedded"
		all = append(all, s)
	}
	return all
}

// StandsFor returns the service that is stood in for, as one would configure it but for its URL.
func (e *Embedded) StandsFor() *Upstream {
	switch e.Dialect {
	case DialectWacht:
		return &Upstream{Wacht: &Wacht{Cookie: e.Cookie, Development: true, SessionAPI: e.SessionAPI}}
	case DialectCrossid:
		return &Upstream{Crossid: &Crossid{Cookie: e.Cookie, SessionAPI: e.SessionAPI}}
	case DialectBetterAuth:
		return &Upstream{BetterAuth: &BetterAuth{Cookie: e.Cookie, SessionAPI: e.SessionAPI}}
	default:
		return &Upstream{Kratos: &Kratos{Cookie: e.Cookie, SessionAPI: e.SessionAPI}}
	}
}

// defaultCookie returns the name of its session cookie where none is configured.
func (e *Embedded) defaultCookie() string {
	switch e.Dialect {
	case DialectWacht:
		return "__session"
	case DialectCrossid:
		return "crossid_session" // Crossid documents none
	case DialectBetterAuth:
		return "better-auth.session_token"
	default:
		return "ory_kratos_session"
	}
}

// Takes reports whether the service takes credentials of a kind.
func (s *Service) Takes(k upstream.Kind) bool {
	switch k {
	case upstream.SessionToken:
		return s.TokenHeader != ""
	case upstream.Cookie:
		return s.Cookie != ""
	case upstream.Bearer:
		return s.Bearer
	case upstream.SessionCookie:
		return s.CookieHeader != ""
	case upstream.Query:
		return s.Query != ""
	default:
		return false
	}
}
