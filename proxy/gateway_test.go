package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// The credentials of the tests.
const (
	aliceToken  = "ory_st_aliceAliceAliceAliceAliceAliceAlic"
	aliceCookie = "MTc5NTM0NTQzOXxhbGljZQ=="
	bobToken    = "ory_st_bobBobBobBobBobBobBobBobBobBobBobB"

	alice = "X-Session-Token: " + aliceToken
	bob   = "X-Session-Token: " + bobToken
)

// errOutage is what fakeSessions answer when there is no answer to be had.
var errOutage = errors.New("session service is down")

// fakeSessions are the sessions that a gateway is told about, without a cache.
type fakeSessions struct {
	mu    sync.Mutex
	known map[string]func(within time.Duration) (upstream.Answer, error) // by kind and value
	asked []question

	remembered map[string]upstream.Answer // of those the ones that need no question
}

// A question is one that fakeSessions were asked.
type question struct {
	credential string // kind and value
	within     time.Duration
}

func keyOf(c upstream.Credential) string { return c.Kind.String() + " " + string(c.Value) }

func (s *fakeSessions) Lookup(_ context.Context, c upstream.Credential, within time.Duration) (upstream.Answer, error) {
	s.mu.Lock()
	s.asked = append(s.asked, question{keyOf(c), within})
	answer := s.known[keyOf(c)]
	s.mu.Unlock()
	if answer == nil {
		return upstream.Answer{}, upstream.ErrNoSession
	}
	return answer(within)
}

// Recall returns what is known for good.
func (s *fakeSessions) Recall(c upstream.Credential, _ time.Time) (upstream.Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.remembered[keyOf(c)]
	if ok {
		s.asked = append(s.asked, question{keyOf(c), upstream.Unlimited})
	}
	return a, ok
}

// know makes the sessions answer with a, or fail with err, about a credential.
func (s *fakeSessions) know(credential string, a upstream.Answer, err error) {
	s.decide(credential, func(time.Duration) (upstream.Answer, error) { return a, err })
	if err == nil && a.Source == upstream.Hit {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remembered[credential] = a
	}
}

// decide makes the sessions answer as f says about a credential.
func (s *fakeSessions) decide(credential string, f func(within time.Duration) (upstream.Answer, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known, s.remembered = map[string]func(time.Duration) (upstream.Answer, error){}, map[string]upstream.Answer{}
	}
	delete(s.remembered, credential)
	s.known[credential] = f
}

// questions returns what was asked so far.
func (s *fakeSessions) questions() []question {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]question(nil), s.asked...)
}

// session returns a session of one factor, in the words of Kratos.
func session(name string) *upstream.Session {
	return &upstream.Session{
		ID: "session-" + name, IdentityID: "identity-" + name, AAL: upstream.AAL1,
		Body: []byte(`{"id":"session-` + name + `","active":true,"identity":{"id":"identity-` + name + `","traits":{"email":"` + name +
			`@example.com"}}}` + "\n"),
	}
}

// hit returns a remembered answer.
func hit(s *upstream.Session) upstream.Answer {
	return upstream.Answer{Session: s, Source: upstream.Hit}
}

// An observation is what an observer was told about one request.
type observation struct {
	Face    proxy.Face
	Verdict policy.Verdict
	Reason  policy.Reason
}

// An observer keeps what it is told.
type observer struct {
	mu           sync.Mutex
	began, ended int
	decided      []observation
	app          []int
	limited      []proxy.Limit
	tunnels      chan proxy.TunnelEnd // nil to keep none
	foreign      []proxy.Dialect
	large        int
	cut          []proxy.Side
}

func (o *observer) Began(proxy.Face) {
	o.mu.Lock()
	o.began++
	o.mu.Unlock()
}

func (o *observer) Decided(f proxy.Face, d *policy.Decision, _ time.Duration) {
	o.mu.Lock()
	o.decided = append(o.decided, observation{f, d.Verdict, d.Reason})
	o.mu.Unlock()
}

func (o *observer) Ended(proxy.Face, time.Duration) {
	o.mu.Lock()
	o.ended++
	o.mu.Unlock()
}

func (o *observer) ForeignHeaders(d proxy.Dialect) {
	o.mu.Lock()
	o.foreign = append(o.foreign, d)
	o.mu.Unlock()
}

func (o *observer) LargeAnswer() {
	o.mu.Lock()
	o.large++
	o.mu.Unlock()
}

func (o *observer) Answered(status int, _ time.Duration) {
	o.mu.Lock()
	o.app = append(o.app, status)
	o.mu.Unlock()
}

func (o *observer) TunnelEnded(why proxy.TunnelEnd) {
	if o.tunnels != nil {
		o.tunnels <- why
	}
}

func (o *observer) Limited(l proxy.Limit) {
	o.mu.Lock()
	o.limited = append(o.limited, l)
	o.mu.Unlock()
}

func (o *observer) Cut(by proxy.Side) {
	o.mu.Lock()
	o.cut = append(o.cut, by)
	o.mu.Unlock()
}

// last returns the last decision.
func (o *observer) last() observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.decided) == 0 {
		return observation{}
	}
	return o.decided[len(o.decided)-1]
}

// A passthrough answers every question with the same reply.
type passthrough struct {
	reply upstream.Reply
	err   error

	mu    sync.Mutex
	asked []string // credential and query
}

func (p *passthrough) Forward(_ context.Context, c upstream.Credential, query []byte) (upstream.Reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, keyOf(c)+" ?"+string(query))
	return p.reply, p.err
}

// A gateway is a Server that listens, and everything around it.
type gateway struct {
	t             testing.TB
	network, addr string

	*proxy.Server
	sessions    *fakeSessions
	observer    *observer
	passthrough *passthrough
	log         *syncBuffer
	pool        *proxy.App // nil if there is no application
}

// A setup is what a test changes about a gateway.
type setup struct {
	proxy.Config
	proxy.Service
	Rules    []policy.Rule
	Headers  []policy.Header
	App      proxy.AppConfig
	Listener net.Listener     // one on loopback if nil
	LongWay  bool             // every request is fasthttp's
	Lost     bool             // whatever is fasthttp's panics
	Opened   func(*proxy.App) // is told the pool; may be nil
}

// someRules has a route for every access.
var someRules = []policy.Rule{
	{Name: "public", Path: "/public/*", Access: policy.PublicAccess},
	{Name: "optional", Path: "/optional/*", Access: policy.OptionalAccess},
	{Name: "deny", Path: "/deny/*", Access: policy.DenyAccess},
	{Name: "strong", Path: "/strong/*", Access: policy.SessionAccess, Require: policy.Requirement{AAL: upstream.AAL2}},
	{Name: "all", Path: "/*", Access: policy.SessionAccess},
}

var someHeaders = []policy.Header{
	{Name: "X-User-Id", Path: "identity.id"},
	{Name: "X-User-Email", Path: "identity.traits.email"},
	{Name: "X-User-Phone", Path: "identity.traits.phone"},
}

// newGateway starts a gateway in front of app, which may be nil. It knows alice by token, cookie and bearer token, and bob by token.
func newGateway(t testing.TB, app net.Listener, changes ...func(*setup)) *gateway {
	t.Helper()
	g := &gateway{t: t, sessions: &fakeSessions{}, observer: &observer{}, passthrough: &passthrough{}, log: &syncBuffer{}}
	a := session("alice")
	g.sessions.know("session_token "+aliceToken, hit(a), nil)
	g.sessions.know("cookie "+aliceCookie, hit(a), nil)
	g.sessions.know("bearer "+aliceToken, hit(a), nil)
	g.sessions.know("session_token "+bobToken, hit(session("bob")), nil)

	s := setup{
		Service: proxy.Service{
			Sessions:    g.sessions,
			Passthrough: g.passthrough,
			Credentials: proxy.Credentials{
				TokenHeader: "X-Session-Token", CookieHeader: "X-Session-Cookie", Cookie: "ory_kratos_session", Bearer: true,
			},
			Tag: func(upstream.Credential) string { return "0123abcd" },
		},
		Config: proxy.Config{
			Observer: g.observer,
			Trusted:  &proxy.Trusted{},

			ForwardAuthPath: "/.gatehouse/auth",
			WhoamiPath:      "/sessions/whoami",
			Logger:          slog.New(slog.NewTextHandler(g.log, nil)),
		},
		Rules:   someRules,
		Headers: someHeaders,
		App: proxy.AppConfig{
			Network: "tcp", MaxConns: 64,
			DialTimeout: patience, ConnWait: patience, HeadTimeout: patience, IdleTimeout: patience, KeepAlive: patience,
			MaxAge: time.Hour, LookEvery: patience, Name: "app", Observer: g.observer,
		},
	}
	if app != nil {
		s.App.Address = app.Addr().String()
	}
	for _, change := range changes {
		change(&s)
	}
	if s.App.Address != "" {
		g.pool = proxy.NewApp(s.App)
		t.Cleanup(g.pool.Close)
		s.Rules = leadingTo(g.pool, s.Rules)
		if s.Opened != nil {
			s.Opened(g.pool)
		}
	}
	p, err := policy.Compile(s.Rules, s.Headers)
	if err != nil {
		t.Fatal(err)
	}
	if s.Services == nil {
		s.Services = []*proxy.Service{&s.Service}
		s.Gate = proxy.NewGate(&s.Service, p)
	} else {
		s.Gate = proxy.NewGate(nil, p)
	}
	ln := s.Listener
	if ln == nil {
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	g.network, g.addr, g.Server = ln.Addr().Network(), ln.Addr().String(), proxy.NewServer(s.Config)
	if s.Lost {
		g.LoseLongWay()
	}
	served := make(chan error, 1)
	serve := g.Serve
	if s.LongWay {
		serve = g.ServeLongWay
	}
	go func() { served <- serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := g.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return g
}

// leadingTo returns the rules, and those without an application lead to app, which may be nil.
func leadingTo(app *proxy.App, rules []policy.Rule) []policy.Rule {
	rules = slices.Clone(rules)
	for i := range rules {
		if rules[i].App == nil && app != nil {
			rules[i].App = app
		}
	}
	return rules
}

// trusting makes a gateway believe the peers of the tests.
func trusting(s *setup) {
	s.Trusted = &proxy.Trusted{Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Unix: true}
}

// A syncBuffer is a buffer for a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// With explain, every face says where the identity came from, and why an answer is what it is.
func TestExplain(t *testing.T) {
	app := answering(t, ok(""))
	g := newGateway(t, app, trusting, func(s *setup) { s.Explain = true })
	got := headOf(t, g, app, request("GET", "/x", "", "X-Gatehouse-Cache: forged", alice))
	if !strings.HasSuffix(got, "\r\nX-Gatehouse-Cache: hit\r\n\r\n") || strings.Contains(got, "forged") {
		t.Errorf("%q", got)
	}
	for _, path := range []string{"/public/x", "/optional/x"} {
		if got := headOf(t, g, app, request("GET", path, "")); strings.Contains(got, "X-Gatehouse") {
			t.Errorf("%q", got)
		}
	}
	f := func(reason, cache string, res response) {
		t.Helper()
		if res.Header.Get("X-Gatehouse-Reason") != reason || res.Header.Get("X-Gatehouse-Cache") != cache {
			t.Errorf("head %v, want %q and %q", res.Header, reason, cache)
		}
	}
	f("session", "hit", g.get(authPath, about("GET", "/x", alice)...))
	f("public", "", g.get(authPath, about("GET", "/public/x", alice)...))
	f("no_credential", "", g.get(authPath, about("GET", "/x")...))
	f("", "hit", g.get("/sessions/whoami", alice))
	f("no_session", "", g.get("/sessions/whoami", "X-Session-Token: unknown"))
}
