package proxy

import (
	"slices"
	"strings"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Service is one session service as requests meet it: which credentials it takes, and who is asked about them. It is what a route's
// [policy.Service] is, and must not be changed once somebody has it.
type Service struct {
	Label         string // its name in the configuration; empty if it is the only one
	Credentials   Credentials
	Sessions      Sessions
	Statements    Sessions                         // has what whoami tells, if Sessions has not; nil if it has
	Passthrough   Passthrough                      // nil if a query makes no difference to whoami
	WhoamiDialect WhoamiDialect                    // nil is that of Kratos
	Tag           func(upstream.Credential) string // how logs name a credential

	API *SessionAPI // nil if none is served

	SessionTokens    SessionTokens
	SessionTokenPath string // where they are handed out; empty if they are not

	Revocations Revocations
	Unattended  Sessions // is asked again about the sessions of open tunnels; what it renews reaches nobody
}

// Name implements [policy.Service].
func (s *Service) Name() string { return s.Label }

// statements returns whom whoami asks.
func (s *Service) statements() Sessions {
	if s.Statements != nil {
		return s.Statements
	}
	return s.Sessions
}

var _ policy.Service = (*Service)(nil)

// A Presenter is who makes a request. Present returns the one credential that it presents to a service: of all that it has, only what that
// service takes is looked at, so that what it has for another is never asked about there.
type Presenter interface {
	Present(s *Service) Presented
}

// nothing presents nothing.
type nothing struct{}

func (nothing) Present(*Service) Presented { return Presented{} }

// Present implements [Presenter]. What is revoked from now on concerns the request.
func (r *request) Present(s *Service) Presented {
	if r.handshake {
		r.mark = s.Revocations.LatestRevocation()
	}
	r.service = s
	raw := r.target.Raw
	if raw == nil { // whoami is asked about its own
		raw = r.raw
	}
	r.credential = r.keyring.find(&r.head, &s.Credentials, raw, r.scratch.cookies[:0])
	if r.limits.KnowClients && r.credential.Kind != upstream.NoCredential {
		r.credential.From, _ = r.shareholder()
	}
	return r.credential
}

// serviceHere returns the session service that answers at the host and path of the request line: the only one, or that of the route which
// such a request with the method takes. It returns nil if there is none.
func (r *request) serviceHere(method string) *Service {
	if only := r.cfg.Gate.only; only != nil {
		return only
	}
	host, ok := canonicalHost(r.head.host, r.scratch.host[:0])
	if !ok {
		return nil
	}
	route := r.cfg.Gate.Policy().Route(host, r.path, []byte(method))
	if route == nil {
		return nil
	}
	return r.cfg.Gate.serviceOf(route)
}

// A keyring is what may carry a credential of any service. None of it reaches an application, unless the route says so: the key to
// another service's session is a key, too.
type keyring struct {
	tokenHeaders []string // canonical, each once
	headers      []string // those, and all others whose only use is to carry credentials
	cookies      cookieNames
	parameters   []string
	bearer       bool
	tokenPaths   []string // where session tokens are handed out
}

func newKeyring(services []*Service) *keyring {
	k := &keyring{}
	add := func(names []string, name string) []string {
		if name == "" || slices.Contains(names, name) {
			return names
		}
		return append(names, name)
	}
	for _, s := range services {
		c := &s.Credentials
		k.tokenHeaders = add(k.tokenHeaders, c.TokenHeader)
		k.headers = add(add(k.headers, c.TokenHeader), c.CookieHeader)
		k.cookies = add(k.cookies, c.Cookie)
		k.parameters = add(k.parameters, c.Query)
		k.tokenPaths = add(k.tokenPaths, s.SessionTokenPath)
		k.bearer = k.bearer || c.Bearer
	}
	return k
}

// tokenHeader returns the token header that is looked for in every request, or nothing. Few installations have another.
func (k *keyring) tokenHeader() string {
	if len(k.tokenHeaders) == 0 {
		return ""
	}
	return k.tokenHeaders[0]
}

// find is [Credentials.find] for a head in which the token header of k was looked for: another one is looked for now.
func (k *keyring) find(h *requestHead, c *Credentials, raw, buf []byte) Presented {
	if name := c.TokenHeader; name != "" && name != k.tokenHeader() {
		token := h.token
		h.token = h.value(name)
		p := c.find(h, raw, buf)
		h.token = token
		return p
	}
	return c.find(h, raw, buf)
}

// without returns what is hidden of k from a service that takes c: the keys to other services' sessions.
func (k *keyring) without(c *Credentials) *keyring {
	others := func(names []string, own string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == own })
	}
	return &keyring{cookies: others(k.cookies, c.Cookie), parameters: others(k.parameters, c.Query), bearer: k.bearer && !c.Bearer}
}

// isHeader reports whether a header line of this name carries credentials and nothing else.
func (k *keyring) isHeader(name string) bool {
	return slices.ContainsFunc(k.headers, func(header string) bool { return strings.EqualFold(header, name) })
}

// handedOut reports whether some service's session tokens are handed out at a path.
func (k *keyring) handedOut(path []byte) bool {
	for _, p := range k.tokenPaths {
		if string(path) == p {
			return true
		}
	}
	return false
}

// hide removes all parameters with credentials, but one, which may be empty, from a path and query, which it changes.
func (k *keyring) hide(raw []byte, but string) []byte {
	for _, name := range k.parameters {
		if name != but {
			raw = withoutParameter(raw, name)
		}
	}
	return raw
}

// cookieNames are the names of session cookies, or patterns of them.
type cookieNames []string

// has reports whether name is one of them.
func (names cookieNames) has(name []byte) bool {
	for _, n := range names {
		if isNamed(name, n) {
			return true
		}
	}
	return false
}

// hidden reports whether there is one but the one given, which may be empty.
func (names cookieNames) hidden(but string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return name != but })
}

// A kept is the credential that the application gets: that which counted, if the route says so. The zero kept is none.
type kept struct {
	by   upstream.Kind // how it is presented
	name string        // of the header, cookie or parameter
}

// keeps returns which credential the application gets of a request that may pass.
func (r *request) keeps() kept {
	if r.decision.Route.ForwardCredential {
		if by := r.credential.By; by != upstream.NoCredential { // none if nobody has looked, as for a preflight
			return kept{by, r.service.Credentials.carrier(by, r.credential.Name)}
		}
	}
	return kept{}
}

// cookie returns the name of the cookie that is kept, or nothing.
func (k kept) cookie() string {
	if k.by != upstream.Cookie {
		return ""
	}
	return k.name
}

// header returns the name of the header that is kept whose only use is to carry credentials, or nothing.
func (k kept) header() string {
	if k.by != upstream.SessionToken && k.by != upstream.SessionCookie {
		return ""
	}
	return k.name
}

// parameter returns the name of the parameter that is kept, or nothing.
func (k kept) parameter() string {
	if k.by != upstream.Query {
		return ""
	}
	return k.name
}
