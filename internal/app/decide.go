package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/internal/sessionapi"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/kratos"
)

// A Question is about a request that nobody has sent.
type Question struct {
	Method, URL string

	// Kind and Value are the credential that it presents: [upstream.SessionToken] for a token of any kind that is looked at, or
	// [upstream.Cookie]. The session service is asked about it.
	Kind  upstream.Kind
	Value []byte

	// Statement is what the session service says of the session in place of a credential, in the form of Kratos. The service is not asked
	// then. May be nil.
	Statement []byte
}

// A Ruling is what would be decided, and why.
type Ruling struct {
	Face    string         `json:"face"` // that meets the request
	Verdict string         `json:"verdict"`
	Reason  string         `json:"reason"`
	Detail  string         `json:"detail,omitempty"` // of the reason
	Route   *RuledRoute    `json:"route,omitempty"`
	Session *RuledSession  `json:"session,omitempty"`
	Headers []RulingHeader `json:"headers,omitempty"` // that the application gets; a front proxy gets the empty ones too
	Unknown bool           `json:"-"`                 // nothing could be known, since the service gave no answer
}

// A RuledRoute is the route that a request takes.
type RuledRoute struct {
	Name   string `json:"name"`
	Index  int    `json:"index"`
	Access string `json:"access"`
}

// A RuledSession is the session that a request has.
type RuledSession struct {
	ID              string    `json:"id"`
	Identity        string    `json:"identity"`
	AAL             string    `json:"aal"`
	AuthenticatedAt time.Time `json:"authenticated_at,omitzero"`
	ExpiresAt       time.Time `json:"expires_at,omitzero"`
}

// A RulingHeader is an identity header. A signed token is not shown, since whoever has it can use it.
type RulingHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Decide says what a gateway of this configuration would decide about a request. It listens nowhere and remembers nothing.
func Decide(ctx context.Context, cfg *config.Config, build metrics.BuildInfo, q Question) (*Ruling, error) {
	quiet := slog.New(slog.DiscardHandler)
	a := &App{opts: Options{Logger: quiet}}
	if err := q.lookedAt(cfg); err != nil {
		return nil, err
	}
	m := metrics.New(build)
	var unasked error
	for _, u := range cfg.Services() {
		s, err := q.service(cfg, u, m, build.Version, &unasked)
		if err != nil {
			return nil, err
		}
		defer s.close()
		a.services = append(a.services, s)
	}
	compiled, _, err := a.compile(cfg)
	if err != nil {
		return nil, err
	}
	hooks, err := newHooks(cfg.Hooks, nil, nil, nil) // which take nothing in here
	if err != nil {
		return nil, err
	}
	server := proxy.NewServer(proxy.Config{
		Gate: proxy.NewGate(a.services.only(), compiled), Services: a.services.faces(), Trusted: trustedOf(cfg),
		ForwardAuthPath: cfg.ForwardAuth.Path, WhoamiPath: cfg.Whoami.Path, Logger: quiet,
		Hooks: hooks, HooksPath: pathOf(cfg.Hooks),
	})
	face, d, err := server.Answer(ctx, proxy.Question{Method: q.Method, URL: q.URL, Kinds: q.kinds(), Value: q.value()})
	if err = cmp.Or(err, unasked); err != nil {
		return nil, err
	}
	return ruling(cfg, compiled, face, &d), nil
}

// kinds returns the kinds of credential that the question may present, in the order in which a service is looked at for them.
func (q *Question) kinds() []upstream.Kind {
	switch {
	case q.Statement != nil:
		return []upstream.Kind{upstream.SessionToken, upstream.Cookie, upstream.Bearer}
	case q.Kind == upstream.SessionToken:
		return []upstream.Kind{upstream.SessionToken, upstream.Bearer}
	case q.Kind == upstream.NoCredential:
		return nil
	default:
		return []upstream.Kind{q.Kind}
	}
}

// value returns what is presented. Of a session that is stated it does not matter.
func (q *Question) value() []byte {
	if q.Statement != nil {
		return []byte("stated")
	}
	return q.Value
}

// lookedAt fails if no service of the configuration is asked about what the question presents.
func (q *Question) lookedAt(cfg *config.Config) error {
	kinds := q.kinds()
	for _, u := range cfg.Services() {
		if slices.ContainsFunc(cfg.CredentialsOf(u.Upstream), func(k upstream.Kind) bool { return slices.Contains(kinds, k) }) {
			return nil
		}
	}
	if kinds == nil {
		return nil
	}
	return fmt.Errorf("no gateway of this configuration looks at a %s: see credentials", q.Kind)
}

// service returns a session service that says what the question needs. unasked is set if it has to say something that cannot be had.
func (q *Question) service(
	cfg *config.Config, u config.NamedUpstream, m *metrics.Metrics, version string, unasked *error,
) (s *service, err error) {
	var sessions proxy.Sessions = nobody{}
	s = &service{Upstream: u.Upstream, name: u.Name}
	switch {
	case q.Statement != nil && (u.HTTP != nil || u.Service().Dialect != config.DialectKratos):
		sessions = unaskable{unasked, errors.New("a session can be stated in the words of Kratos only: present a credential")}
	case q.Statement != nil:
		statement, err := kratos.Parse(q.Statement)
		if err != nil && !upstream.Definite(err) {
			return nil, fmt.Errorf("read session: %w", err)
		}
		sessions = stated{statement, err}
	case q.Kind == upstream.NoCredential:
	case u.Embedded != nil:
		sessions = unaskable{unasked, errors.New("the embedded session service is inside of the gateway that runs, and cannot be asked " +
			"from here: state a session")}
	default:
		if s, err = newService(cfg, u, m, slog.New(slog.DiscardHandler), version); err != nil {
			return nil, err
		}
		sessions = asked{s.guard}
	}
	s.face = &proxy.Service{Label: s.name, Credentials: credentialsOf(cfg, u.Upstream), Sessions: sessions, SessionTokenPath: u.TokenPath()}
	if table, _ := u.SessionAPI(); len(table) > 0 {
		s.face.API = &proxy.SessionAPI{Calls: calls{sessionapi.New(sessionapi.Config{Table: table})}} // which nobody calls here
	}
	return s, nil
}

func ruling(cfg *config.Config, p *policy.Policy, face proxy.Face, d *policy.Decision) *Ruling {
	r := &Ruling{Face: face.String()}
	if face != proxy.ProxyFace {
		return r
	}
	r.Verdict, r.Reason, r.Unknown = d.Verdict.String(), string(d.Reason), d.Verdict == policy.Unavailable
	if d.Err != nil {
		r.Detail = d.Err.Error()
	}
	if d.Route != nil {
		r.Route = &RuledRoute{d.Route.Name, d.Route.Index, string(cfg.Routes[d.Route.Index].Access)}
	}
	if s := d.Session; s != nil {
		r.Session = &RuledSession{s.ID, s.IdentityID, s.AAL.String(), s.AuthenticatedAt, s.ExpiresAt}
	}
	if d.View == nil {
		return r
	}
	for _, f := range d.View.Fields {
		r.Headers = append(r.Headers, RulingHeader{string(f.Name), string(f.Value)})
	}
	if name := p.TokenHeader(); name != nil {
		value := ""
		if d.Token != nil {
			value = "<signed token>"
		}
		r.Headers = append(r.Headers, RulingHeader{string(name), value})
	}
	return r
}

// nobody knows no session.
type nobody struct{}

func (nobody) Lookup(context.Context, upstream.Credential, time.Duration) (upstream.Answer, error) {
	return upstream.Answer{}, upstream.ErrNoSession
}

// unaskable is a service that cannot be asked. It notes that it would have to be.
type unaskable struct {
	noted *error
	why   error
}

func (s unaskable) Lookup(context.Context, upstream.Credential, time.Duration) (upstream.Answer, error) {
	*s.noted = s.why
	return upstream.Answer{}, s.why
}

// stated is a session, or that there is none, whatever is presented.
type stated struct {
	session *upstream.Session
	err     error
}

func (s stated) Lookup(context.Context, upstream.Credential, time.Duration) (upstream.Answer, error) {
	switch {
	case s.err != nil:
		return upstream.Answer{}, s.err
	case s.session.Expired(time.Now()):
		return upstream.Answer{}, fmt.Errorf("session is expired: %w", upstream.ErrNoSession)
	}
	return upstream.Answer{Session: s.session}, nil
}

// asked asks the session service each time.
type asked struct{ upstream.Store }

func (s asked) Lookup(ctx context.Context, c upstream.Credential, _ time.Duration) (upstream.Answer, error) {
	a, err := s.Session(ctx, c)
	if err == nil && a.Session.Expired(time.Now()) {
		return upstream.Answer{}, fmt.Errorf("session is expired: %w", upstream.ErrNoSession)
	}
	return a, err
}
