package config

import (
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Route is one rule: which requests it is about, and what they need.
type Route struct {
	// Name is what logs, metrics and answers call the route: letters, digits, '.', '_' and '-', at most 64. Default: its place, such as
	// routes[0].
	Name string `yaml:"name,omitempty"`

	// Match is which requests the route is about. Required.
	Match Match `yaml:"match"`

	// Access is what they need. Required: public (everybody passes and nobody is asked), optional (everybody passes, with an identity if
	// there is one), session (only a session passes) or deny (nobody passes).
	Access Access `yaml:"access"`

	// MaxBody is how long the body of a request may be: a size such as 512KiB or 10MiB, or unlimited; at least 1. A longer one is
	// refused with 413, before any of it is read if its length is announced. Default: what limits.body says.
	MaxBody Size `yaml:"max_body,omitempty"`

	// App is the application that the requests go to, as in app at the top level. Default: that one.
	App *App `yaml:"app,omitempty"`

	// Upstream is the name in upstreams of the session service whose sessions pass, and whose credential forward_credential is about. Only
	// with upstreams, and required then with access: session, access: optional and forward_credential. Default: the one session service.
	Upstream string `yaml:"upstream,omitempty"`

	// Require is what a session must have beyond being valid: all of it. Only with access: session. Default nothing.
	Require Require `yaml:"require,omitempty"`

	// Audience is for whom identity_token is signed on this route: the name by which the application knows itself. Default: what
	// identity_token says.
	Audience string `yaml:"audience,omitempty"`

	// StripPrefix is what match.path begins with and the application does not know, such as /api: it is asked for /users instead of
	// /api/users, and told of /api in X-Forwarded-Prefix. Routes are compared with the whole path. Only when proxying. Default: it gets the
	// path as it came.
	StripPrefix string `yaml:"strip_prefix,omitempty"`

	// AllowEncodedSlashes lets paths with %2F pass, which GitLab, Keycloak and S3 need. Whether a server takes it for a slash or not, the path
	// must be one of this route, and of no earlier one. Default false: they are refused (400).
	AllowEncodedSlashes bool `yaml:"allow_encoded_slashes,omitempty"`

	// ForwardCredential leaves the session credential that counted in what the application gets, for one that asks the session service
	// itself. Whoever can read the application's logs may then find sessions there. Only when proxying. Default false.
	ForwardCredential bool `yaml:"forward_credential,omitempty"`

	// CORS is which pages of other origins may use the route: a section, or pass, which leaves it to the application. Default none: a
	// preflight needs what every other OPTIONS request needs.
	CORS *CORS `yaml:"cors,omitempty"`

	// AllowedOrigins are the origins whose pages may open a WebSocket, such as https://app.example.com, or "*" for every page. Browsers send
	// cookies with it from any page, so every origin in the list can act as its visitors. What sends no Origin, as programs do, is not
	// kept out. Default: the host and port that the request is for, over http or https. A list replaces that.
	AllowedOrigins []string `yaml:"allowed_origins,omitempty"`
}

// A CORS is how browsers are answered that ask whether a page of another origin may use a route
// (https://developer.mozilla.org/docs/Web/HTTP/Guides/CORS).
type CORS struct {
	// Pass leaves it to the application, and is what `cors: pass` stands for: a preflight gets through without a session, identity or
	// credential. The other keys cannot be set then. Default false: Gatehouse answers preflights itself, and what the application says
	// of CORS is replaced.
	Pass bool `yaml:"pass,omitempty"`

	// AllowedOrigins are the origins, such as https://app.example.com, as browsers send them: scheme, host in lower case, and port unless it
	// is the scheme's own. "*" alone is every origin, without credentials. Required, unless pass is set.
	AllowedOrigins []string `yaml:"allowed_origins,omitempty"`

	// AllowedMethods are the methods that a page may use. Default none: GET, HEAD and POST, which browsers allow anyway.
	AllowedMethods []string `yaml:"allowed_methods,omitempty"`

	// AllowedHeaders are the headers that a page may set, such as Content-Type. Default none: those that browsers allow anyway.
	AllowedHeaders []string `yaml:"allowed_headers,omitempty"`

	// ExposedHeaders are the headers of responses that a page may read. Default none: those that browsers show anyway.
	ExposedHeaders []string `yaml:"exposed_headers,omitempty"`

	// AllowCredentials lets pages send the cookies of their user, and so act for them. Only with origins that are named. Default false.
	AllowCredentials bool `yaml:"allow_credentials,omitempty"`

	// MaxAge is how long browsers remember the answer to a preflight; 0s to 24h. Default 0s: as long as they like, mostly 5s.
	MaxAge time.Duration `yaml:"max_age,omitempty"`
}

// A Match is which requests a route is about: those that meet all of it.
type Match struct {
	// Host is the host name without port, in lower case; *.example.com is every name below example.com, however deep, and not example.com
	// itself. Default: any.
	Host string `yaml:"host,omitempty"`

	// Path is the path: /login is this path only, /admin/* is /admin and everything below it (never /administrator), /* is every path.
	// Upper and lower case differ. It is compared with the path as it is once decoded. Required.
	Path string `yaml:"path"`

	// Methods are the methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY, and those of WebDAV: PROPFIND, PROPPATCH, MKCOL, COPY,
	// MOVE, LOCK, UNLOCK, ACL, MKCALENDAR, REPORT, SEARCH. GET does not include HEAD. Default: any.
	Methods []string `yaml:"methods,omitempty"`
}

// A Require is what a session must have beyond being valid: all of it.
type Require struct {
	// AAL is the least assurance level: aal1, aal2 or aal3. Default: any.
	AAL upstream.AAL `yaml:"aal,omitempty"`

	// MaxAge is how long ago the person may have proved who they are, by signing in or by doing so anew; 1s to 8760h. Default: any time.
	MaxAge time.Duration `yaml:"max_age,omitempty"`

	// Methods are the methods of authentication of which at least one was used, in the session service's words, such as password, totp,
	// webauthn, passkey, code, oidc. Default: any.
	Methods []string `yaml:"methods,omitempty"`

	// Expression is a condition in CEL (https://cel.dev) that must be true. Its one variable is session, the session service's own
	// statement, as in session.identity.traits.role in ["admin"]. Where it needs what a session does not have, that session does not
	// meet it. At most 4096 bytes. Default none.
	Expression string `yaml:"expression,omitempty"`

	// Use is the name of a set in requirements that must be met, too. Only in routes. Default none.
	Use string `yaml:"use,omitempty"`
}
