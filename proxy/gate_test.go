package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// Every kind of access meets every kind of answer.
func TestGateDecides(t *testing.T) {
	weak := policy.Rule{Name: "weak", Path: "/weak/*", Access: policy.OptionalAccess, Require: policy.Requirement{AAL: upstream.AAL2}}
	rules := append([]policy.Rule{weak}, someRules...)
	p, err := policy.Compile(rules[:len(rules)-1], someHeaders) // what is under no route is refused
	if err != nil {
		t.Fatal(err)
	}
	all := policy.Rule{Name: "all", Path: "/all/*", Access: policy.SessionAccess}
	if p, err = policy.Compile(append(rules[:len(rules)-1:len(rules)-1], all), someHeaders); err != nil {
		t.Fatal(err)
	}
	one, two := session("alice"), session("alice")
	two.AAL = upstream.AAL2
	unusable := session("alice")
	unusable.AAL = upstream.AAL2
	unusable.Body = []byte(`{"identity":{"id":"` + longBody + `"}}`)
	refusal := &upstream.Refusal{Status: 403, ErrorID: "session_aal2_required"}

	type presents = func(s *fakeSessions) proxy.Presented
	token := func(value string) proxy.Presented {
		return proxy.Presented{Credential: upstream.Credential{Kind: upstream.SessionToken, Name: "X-Session-Token", Value: []byte(value)}}
	}
	knows := func(a upstream.Answer, err error) presents {
		return func(s *fakeSessions) proxy.Presented {
			s.know("session_token t", a, err)
			return token("t")
		}
	}
	from := func(s *upstream.Session, source upstream.Source) upstream.Answer {
		return upstream.Answer{Session: s, Source: source}
	}

	nothing := func(*fakeSessions) proxy.Presented { return proxy.Presented{} }
	malformed := func(*fakeSessions) proxy.Presented { return proxy.Presented{Malformed: true} }
	unknown := func(*fakeSessions) proxy.Presented { return token("unknown") }
	refused, outage := knows(upstream.Answer{}, refusal), knows(upstream.Answer{}, errOutage)
	wrapped := knows(upstream.Answer{}, fmt.Errorf("ask: %w", refusal))
	single, double := knows(from(one, upstream.Asked), nil), knows(from(two, upstream.Asked), nil)
	broken := knows(from(unusable, upstream.Asked), nil)

	f := func(path string, c presents, v policy.Verdict, r policy.Reason, identity string) {
		t.Helper()
		s := &fakeSessions{}
		presented := c(s)
		target := proxy.Target{Method: []byte("GET"), Host: []byte("h"), Path: []byte(path)}
		d := proxy.NewGate(&proxy.Service{Sessions: s}, p).Decide(context.Background(), target, presented)
		got := ""
		if d.View != nil {
			got = string(d.View.Fields[0].Value)
		}
		if d.Verdict != v || d.Reason != r || got != identity || (d.View != nil) != (v == policy.Allowed) {
			t.Errorf("%s: %s %s %q, want %s %s %q", path, d.Verdict, d.Reason, got, v, r, identity)
		}
		if identity != "" && d.Session == nil {
			t.Errorf("%s: an identity without a session", path)
		}
	}
	const id = "identity-alice"
	for _, c := range []presents{nothing, malformed, unknown, refused, wrapped, outage, single, double, broken} {
		f("/public/x", c, policy.Allowed, policy.Public, "")
		f("/deny/x", c, policy.Denied, policy.RouteDenies, "")
		f("/elsewhere", c, policy.Denied, policy.NoRoute, "")
		f("", c, policy.Denied, policy.NoRoute, "")
	}
	f("/optional/x", nothing, policy.Allowed, policy.Anonymous, "")
	f("/optional/x", malformed, policy.Allowed, policy.Anonymous, "")
	f("/optional/x", unknown, policy.Allowed, policy.Anonymous, "")
	f("/optional/x", refused, policy.Allowed, policy.Anonymous, "")
	f("/optional/x", outage, policy.Unavailable, policy.StoreUnavailable, "")
	f("/optional/x", single, policy.Allowed, policy.SessionValid, id)
	f("/optional/x", broken, policy.Unavailable, policy.IdentityUnusable, "")

	f("/weak/x", nothing, policy.Allowed, policy.Anonymous, "")
	f("/weak/x", outage, policy.Unavailable, policy.StoreUnavailable, "")
	f("/weak/x", single, policy.Denied, policy.InsufficientAAL, "")
	f("/weak/x", double, policy.Allowed, policy.SessionValid, id)

	for _, path := range []string{"/all/x", "/strong/x"} {
		f(path, nothing, policy.Unauthenticated, policy.NoCredential, "")
		f(path, malformed, policy.Unauthenticated, policy.MalformedCredential, "")
		f(path, unknown, policy.Unauthenticated, policy.NoSession, "")
		f(path, refused, policy.Refused, policy.RefusedByService, "")
		f(path, wrapped, policy.Refused, policy.RefusedByService, "")
		f(path, outage, policy.Unavailable, policy.StoreUnavailable, "")
		f(path, double, policy.Allowed, policy.SessionValid, id)
		f(path, broken, policy.Unavailable, policy.IdentityUnusable, "")
		for _, err := range []error{context.DeadlineExceeded, context.Canceled, upstream.ErrNotSent, errors.New("")} {
			f(path, knows(upstream.Answer{}, err), policy.Unavailable, policy.StoreUnavailable, "")
			f(path, knows(from(two, upstream.Asked), err), policy.Unavailable, policy.StoreUnavailable, "")
		}
	}
	f("/all/x", single, policy.Allowed, policy.SessionValid, id)
	f("/strong/x", single, policy.Denied, policy.InsufficientAAL, "")
}

// Nobody is asked about a request whose route does not want to know, or that presents nothing.
func TestGateAsksOnlyWhereItMustKnow(t *testing.T) {
	p, err := policy.Compile(someRules, someHeaders)
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeSessions{}
	g := proxy.NewGate(&proxy.Service{Sessions: s}, p)
	some := proxy.Presented{Credential: upstream.Credential{Kind: upstream.Bearer, Value: []byte("t")}}
	for path, c := range map[string]proxy.Presented{"/public/x": some, "/deny/x": some, "": some, "/x": {}, "/y": {Malformed: true}} {
		g.Decide(context.Background(), proxy.Target{Path: []byte(path)}, c)
		if asked := s.questions(); len(asked) > 0 {
			t.Errorf("%s: asked %v", path, asked)
		}
	}
}

// Before somebody is turned away because their level is too low, the service is asked once more, since the level may have been raised
// after what is remembered was learned.
func TestGateAsksAgainBeforeItTurnsAway(t *testing.T) {
	p, err := policy.Compile(someRules, someHeaders)
	if err != nil {
		t.Fatal(err)
	}
	one, two := session("alice"), session("alice")
	two.AAL = upstream.AAL2
	f := func(source upstream.Source, again upstream.Answer, againErr error, v policy.Verdict, r policy.Reason, want ...time.Duration) {
		t.Helper()
		s := &fakeSessions{}
		s.decide("bearer t", func(within time.Duration) (upstream.Answer, error) {
			if within < 0 {
				return again, againErr
			}
			return upstream.Answer{Session: one, Source: source, Renewed: upstreamtest.SetCookie("old")}, nil
		})
		d := proxy.NewGate(&proxy.Service{Sessions: s}, p).Decide(context.Background(), proxy.Target{Path: []byte("/strong/x")},
			proxy.Presented{Credential: upstream.Credential{Kind: upstream.Bearer, Value: []byte("t")}})
		var asked []time.Duration
		for _, q := range s.questions() {
			asked = append(asked, q.within)
		}
		if d.Verdict != v || d.Reason != r || cmp.Diff(want, asked) != "" {
			t.Errorf("%s: %s %s after questions %v, want %s %s after %v", source, d.Verdict, d.Reason, asked, v, r, want)
		}
		if len(asked) > 1 && len(d.Renewed) > 0 && d.Renewed[0].Value == "old" {
			t.Errorf("%s: the cookie of the first answer was kept", source)
		}
	}
	raised, same := upstream.Answer{Session: two}, upstream.Answer{Session: one}
	for _, source := range []upstream.Source{upstream.Hit, upstream.WindowHit, upstream.Stale} {
		f(source, raised, nil, policy.Allowed, policy.SessionValid, upstream.Unlimited, -1)
		f(source, same, nil, policy.Denied, policy.InsufficientAAL, upstream.Unlimited, -1)
		f(source, upstream.Answer{Session: one, Source: upstream.Hit}, nil, policy.Denied, policy.InsufficientAAL, upstream.Unlimited, -1)
		f(source, same, upstream.ErrNoSession, policy.Unauthenticated, policy.NoSession, upstream.Unlimited, -1)
		f(source, same, &upstream.Refusal{Status: 403}, policy.Refused, policy.RefusedByService, upstream.Unlimited, -1)
		f(source, same, errOutage, policy.Unavailable, policy.StoreUnavailable, upstream.Unlimited, -1)
	}
	for _, source := range []upstream.Source{upstream.Asked, upstream.Coalesced} {
		f(source, raised, nil, policy.Denied, policy.InsufficientAAL, upstream.Unlimited)
	}
}

// Every Decision that nothing was decided in denies.
func TestZeroDecisionDenies(t *testing.T) {
	if d := (policy.Decision{}); d.Verdict != policy.Denied {
		t.Errorf("%s", d.Verdict)
	}
	if r := (policy.Route{}); r.Access != policy.DenyAccess {
		t.Errorf("%d", r.Access)
	}
	p, err := policy.Compile([]policy.Rule{{Path: "/*"}, {Path: "/x", Access: 99}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/x"} {
		d := proxy.NewGate(&proxy.Service{Sessions: &fakeSessions{}}, p).Decide(context.Background(), proxy.Target{Path: []byte(path)}, proxy.Presented{})
		if d.Verdict != policy.Denied {
			t.Errorf("%s: %s", path, d.Verdict)
		}
	}
}

// A condition is an expression for tests: it holds of sessions whose statement has "admin": true, and cannot be said of those without it.
type condition struct{}

func (condition) String() string { return "session.admin" }

func (condition) Holds(session any) (bool, error) {
	admin, ok := session.(map[string]any)["admin"].(bool)
	if !ok {
		return false, errors.New("no such key")
	}
	return admin, nil
}

// The service is asked again before anybody is turned away, whatever it is that the session lacks: the person may have signed in anew, or
// been made an administrator.
func TestGateAsksAgainForEveryRequirement(t *testing.T) {
	old, fresh := session("alice"), session("alice")
	old.AuthenticatedAt, old.Body = time.Now().Add(-time.Hour), []byte(`{"admin":false,"authentication_methods":[{"method":"password"}]}`)
	fresh.AuthenticatedAt, fresh.Body = time.Now(), []byte(`{"admin":true,"authentication_methods":[{"method":"password"},{"method":"totp"}]}`)
	unsaid := session("alice")
	f := func(require policy.Requirement, again *upstream.Session, v policy.Verdict, r policy.Reason, detail string) {
		t.Helper()
		p, err := policy.Compile([]policy.Rule{{Path: "/*", Access: policy.SessionAccess, Require: require}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := &fakeSessions{}
		s.decide("bearer t", func(within time.Duration) (upstream.Answer, error) {
			if within < 0 {
				return upstream.Answer{Session: again, Source: upstream.Asked}, nil
			}
			return upstream.Answer{Session: old, Source: upstream.Hit}, nil
		})
		d := proxy.NewGate(&proxy.Service{Sessions: s}, p).Decide(context.Background(), proxy.Target{Path: []byte("/x")},
			proxy.Presented{Credential: upstream.Credential{Kind: upstream.Bearer, Value: []byte("t")}})
		if d.Verdict != v || d.Reason != r || (d.View != nil) != (v == policy.Allowed) || len(s.questions()) != 2 {
			t.Errorf("%+v: %s %s after %d questions, want %s %s", require, d.Verdict, d.Reason, len(s.questions()), v, r)
		}
		if got := fmt.Sprint(d.Err); got != detail {
			t.Errorf("%+v: %s, want %s", require, got, detail)
		}
	}
	age := policy.Requirement{MaxAge: time.Minute}
	methods := policy.Requirement{Methods: [][]string{{"totp"}}}
	expression := policy.Requirement{Expressions: []policy.Expression{condition{}}}
	for _, require := range []policy.Requirement{age, methods, expression} {
		f(require, fresh, policy.Allowed, policy.SessionValid, "<nil>")
	}
	f(age, old, policy.Denied, policy.SessionTooOld, "<nil>")
	f(methods, old, policy.Denied, policy.RequirementFailed, "session was authenticated by none of: totp")
	f(expression, old, policy.Denied, policy.RequirementFailed, "expression is not true: session.admin")
	f(expression, unsaid, policy.Denied, policy.RequirementFailed, "evaluate session.admin: no such key")
}
