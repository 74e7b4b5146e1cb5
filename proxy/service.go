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
	if name := s.Credentials.TokenHeader; name != "" && name != r.keyring.tokenHeader() {
		r.head.token = r.head.value(name)
	}
	r.service = s
	r.credential = s.Credentials.find(&r.head, r.scratch.cookies[:0])
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
	cookies      cookieNames
	bearer       bool
}

func newKeyring(services []*Service) *keyring {
	k := &keyring{}
	for _, s := range services {
		if name := s.Credentials.TokenHeader; name != "" && !slices.Contains(k.tokenHeaders, name) {
			k.tokenHeaders = append(k.tokenHeaders, name)
		}
		if name := s.Credentials.Cookie; name != "" && !slices.Contains(k.cookies, name) {
			k.cookies = append(k.cookies, name)
		}
		k.bearer = k.bearer || s.Credentials.Bearer
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

// without returns what is hidden of k from a service that takes c: the keys to other services' sessions.
func (k *keyring) without(c *Credentials) *keyring {
	return &keyring{
		cookies: slices.DeleteFunc(slices.Clone(k.cookies), func(name string) bool { return name == c.Cookie }),
		bearer:  k.bearer && !c.Bearer,
	}
}

// isTokenHeader reports whether a header line of this name carries session tokens.
func (k *keyring) isTokenHeader(name string) bool {
	return slices.ContainsFunc(k.tokenHeaders, func(header string) bool { return strings.EqualFold(header, name) })
}

// cookieNames are the names of session cookies.
type cookieNames []string

// has reports whether name is one of them.
func (names cookieNames) has(name []byte) bool {
	for _, n := range names {
		if n == string(name) {
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
	kind upstream.Kind
	name string // of the header or cookie
}

// keeps returns which credential the application gets of a request that may pass.
func (r *request) keeps() kept {
	if r.decision.Route.ForwardCredential {
		return kept{r.credential.Kind, r.credential.Name} // none if nobody has looked, as for a preflight
	}
	return kept{}
}

// cookie returns the name of the cookie that is kept, or nothing.
func (k kept) cookie() string {
	if k.kind != upstream.Cookie {
		return ""
	}
	return k.name
}

// tokenHeader returns the name of the session token header that is kept, or nothing.
func (k kept) tokenHeader() string {
	if k.kind != upstream.SessionToken {
		return ""
	}
	return k.name
}
