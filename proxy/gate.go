package proxy

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Sessions says which session a credential stands for, from memory where it can. within is the greatest age of an answer that will do:
// [upstream.Unlimited] for any that may be believed at all, zero for one that is asked for now, and less for one from no earlier. It keeps
// clients from having the service asked over and over: who wants an answer now may get one that is a second old, and one from no earlier is
// to be had a few times at once. Its errors are those of [upstream.Store].
type Sessions interface {
	Lookup(ctx context.Context, c upstream.Credential, within time.Duration) (upstream.Answer, error)
}

// A Memory is Sessions that can say what they remember. Requests are answered from it without a detour; see [Server].
type Memory interface {
	Sessions

	// Recall returns what Lookup would answer now, within any age, if that is remembered and needs nobody to be asked. It does not wait. If
	// it reports false, nothing is known.
	Recall(c upstream.Credential, now time.Time) (upstream.Answer, bool)
}

// A Gate judges requests. It is safe for concurrent use.
type Gate struct {
	only       *Service // of the routes that name none; may be nil
	policy     *atomic.Pointer[policy.Policy]
	unattended bool // whether Service.Unattended is asked
}

// NewGate returns a Gate that judges by p. only is the session service of the routes that name none; if it is nil, they have no sessions.
func NewGate(only *Service, p *policy.Policy) *Gate {
	g := &Gate{only: only, policy: new(atomic.Pointer[policy.Policy])}
	g.policy.Store(p)
	return g
}

// forTunnels returns a Gate that judges open tunnels by the same policy, now and after it is replaced.
func (g *Gate) forTunnels() *Gate { return &Gate{only: g.only, policy: g.policy, unattended: true} }

// serviceOf returns the session service of a route, or nil if there is none.
func (g *Gate) serviceOf(route *policy.Route) *Service {
	if s, ok := route.Service.(*Service); ok {
		return s
	}
	return g.only
}

// SetPolicy replaces the policy whole. A request is judged by one policy from beginning to end.
func (g *Gate) SetPolicy(p *policy.Policy) { g.policy.Store(p) }

// Policy returns the policy in force.
func (g *Gate) Policy() *policy.Policy { return g.policy.Load() }

// Decide judges one request. The route is found first, then the credential for the session service of that route. It asks about a
// credential only where the route wants to know, and only when there is one. A hit allocates nothing.
func (g *Gate) Decide(ctx context.Context, t Target, from Presenter) policy.Decision {
	p := g.policy.Load()
	route := p.Route(t.Host, t.Path, t.Method)
	agrees := t.plain() || t.Route == "" && t.agrees(p, route)
	if t.Route != "" {
		route = p.Named(t.Route)
		agrees = agrees || t.namedAgrees(route)
	}
	if !agrees {
		return malformedTarget(t.disagreement(p, route))
	}
	if route == nil {
		if t.Route == "" && !p.KnowsHost(t.Host) {
			return policy.Decision{Verdict: policy.Denied, Reason: policy.UnknownHost}
		}
		return policy.Decision{Verdict: policy.Denied, Reason: policy.NoRoute}
	}
	d, service := policy.Decision{Route: route}, g.serviceOf(route)
	switch route.Access {
	case policy.PublicAccess:
		if service != nil {
			from.Present(service) // about which nobody is asked
		}
		d.Verdict, d.Reason = policy.Allowed, policy.Public
		judge(p, &d)
	case policy.OptionalAccess, policy.SessionAccess:
		if service == nil {
			d.Reason = policy.NoService
			return d
		}
		c := from.Present(service)
		g.identify(ctx, service, c, upstream.Unlimited, &d)
		judge(p, &d)
		remembered := d.Source != upstream.Asked && d.Source != upstream.Coalesced
		if d.Verdict == policy.Denied && remembered || errors.Is(d.Err, policy.ErrForgotten) {
			// What is remembered does not meet what the route requires, but the person may have signed in anew since, or it is too little to be
			// told to the application: the service is asked again before anybody is turned away. Sessions bounds how often, for one session.
			d = policy.Decision{Route: route}
			g.identify(ctx, service, c, sinceNow, &d)
			judge(p, &d)
		}
	default:
		d.Reason = policy.RouteDenies
	}
	return d
}

// Recall is [Gate.Decide] for a request that may pass by what is remembered, and does not wait. About every other request it reports false,
// and says nothing. It allocates nothing.
func (g *Gate) Recall(t Target, from Presenter, now time.Time) (policy.Decision, bool) {
	p := g.policy.Load()
	route := p.Route(t.Host, t.Path, t.Method)
	if route == nil || t.Route != "" || !t.plain() && !t.agrees(p, route) {
		return policy.Decision{}, false
	}
	d, c, service := policy.Decision{Route: route}, Presented{}, g.serviceOf(route)
	if service != nil {
		c = from.Present(service)
	}
	switch {
	case route.Access == policy.PublicAccess:
		d.Verdict, d.Reason = policy.Allowed, policy.Public
	case route.Access != policy.OptionalAccess && route.Access != policy.SessionAccess || c.Malformed || c.Kind == upstream.NoCredential:
		return policy.Decision{}, false
	default:
		answer, ok := recall(service.Sessions, c.Credential, now)
		if !ok {
			return policy.Decision{}, false
		}
		d.Verdict, d.Reason = policy.Allowed, policy.SessionValid
		d.Session, d.Source, d.BelieveFor = answer.Session, answer.Source, answer.BelieveFor
	}
	judge(p, &d)
	return d, d.Verdict == policy.Allowed
}

// recall returns the session that a credential stands for, if it is remembered and nothing else comes with it.
func recall(s Sessions, c upstream.Credential, now time.Time) (upstream.Answer, bool) {
	memory, ok := s.(Memory)
	if !ok {
		return upstream.Answer{}, false
	}
	answer, ok := memory.Recall(c, now)
	return answer, ok && len(answer.Renewed) == 0
}

// Preflight decides on a CORS preflight by the route of the request that it announces, which has another method. It reports false if that
// route says nothing of pages of other origins: a preflight is then a request like any other. It asks about no credential, since
// browsers send none.
func (g *Gate) Preflight(t Target, announced, origin []byte) (policy.Decision, bool) {
	p := g.policy.Load()
	t.Method = announced
	route := p.Route(t.Host, t.Path, announced)
	if route == nil || route.CORS == nil || route.CORS.Pass && route.Access == policy.DenyAccess || !t.pathAgrees(p, route) {
		return policy.Decision{}, false
	}
	d := policy.Decision{Route: route}
	if !route.CORS.Pass && !route.CORS.Allows(origin) {
		d.Reason = policy.PreflightRefused
		return d, true
	}
	d.Verdict, d.Reason = policy.Allowed, policy.Preflight
	judge(p, &d)
	return d, true
}

// sinceNow is the age of an answer that somebody wants who may have signed in a moment ago: none from before.
const sinceNow = -1

// identify finds the session of a service that c stands for, as it was no longer than within ago, and decides as if the route required
// nothing more of it.
func (g *Gate) identify(ctx context.Context, service *Service, c Presented, within time.Duration, d *policy.Decision) {
	sessions := service.Sessions
	if g.unattended {
		sessions = service.Unattended
	}
	var reason policy.Reason
	switch {
	case c.Malformed:
		reason = policy.MalformedCredential
	case c.Kind == upstream.NoCredential:
		reason = policy.NoCredential
	default:
		answer, err := sessions.Lookup(ctx, c.Credential, within)
		if err == nil {
			d.Verdict, d.Reason = policy.Allowed, policy.SessionValid
			d.Session, d.Renewed, d.Source, d.BelieveFor = answer.Session, answer.Renewed, answer.Source, answer.BelieveFor
			return
		}
		if errors.Is(err, upstream.ErrLimited) {
			d.Verdict, d.Reason, d.Err = policy.Limited, policy.TooManyUnknown, err
			return
		}
		if !upstream.Definite(err) {
			// Nothing is known of the client, so that it may not even pass as nobody: an outage is not a logout.
			d.Verdict, d.Reason, d.Err = policy.Unavailable, policy.StoreUnavailable, err
			return
		}
		d.Err = err
		reason = policy.NoSession
		if !errors.Is(err, upstream.ErrNoSession) {
			reason = policy.RefusedByService
		}
	}
	switch {
	case d.Route.Access == policy.OptionalAccess:
		d.Verdict, d.Reason = policy.Allowed, policy.Anonymous
	case reason == policy.RefusedByService:
		d.Verdict, d.Reason = policy.Refused, reason
	default:
		d.Verdict, d.Reason = policy.Unauthenticated, reason
	}
}

// judge takes the permission back if the session does not meet what the route requires, and else adds what the application is told. A
// session that cannot be told is no permission.
func judge(p *policy.Policy, d *policy.Decision) {
	if d.Verdict != policy.Allowed {
		return
	}
	view, err := p.View(d.Session, d.Route.Service)
	if err == nil && d.Session != nil {
		if reason, unmet := d.Route.Unmet(d.Session, view); reason != "" {
			d.Verdict, d.Reason, d.Err = policy.Denied, reason, unmet
			return
		}
		d.Token, err = view.Token(d.Session, d.Route)
	}
	if err != nil {
		d.Verdict, d.Reason, d.Err = policy.Unavailable, policy.IdentityUnusable, err
		return
	}
	d.View = view
}
