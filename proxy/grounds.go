package proxy

import (
	"bytes"
	"runtime/debug"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// grounds are what a tunnel was let in by, so that it can be seen whether it still would be. They hold the credential for as long as the
// tunnel lives: without it nobody could ask whether the session does.
type grounds struct {
	target     Target
	origin     origin
	service    *Service          // whose session it is
	credential Presented         // nothing if there is no session
	session    *upstream.Session // nil if it was let in without

	at              policy.App // which it was opened to
	route, identity string     // for the log

	policy *policy.Policy // by which it was judged last
	mark   uint64         // revocations up to this one do not concern it
	due    time.Time      // when it has to be judged again, if there is a session
	quiet  time.Time      // since when nothing has passed
	inLine bool           // it is about to be judged again
	lined  time.Time      // since when
}

// grounds returns those of a request that may pass.
func (r *request) grounds() grounds {
	d := &r.decision
	g := grounds{
		target: r.target.clone(),
		origin: r.origin(), session: d.Session, at: d.Route.App, route: d.Route.Name, policy: d.View.Policy(), mark: r.mark, quiet: time.Now(),
	}
	g.origin.line, g.origin.host = bytes.Clone(g.origin.line), bytes.Clone(g.origin.host)
	if d.Session != nil {
		g.identity, g.service, g.credential = d.Session.IdentityID, r.service, r.credential
		g.credential.Value = bytes.Clone(r.credential.Value)
	}
	g.believe(d)
	return g
}

// Present implements [Presenter]. Where a reload has given the route another service, there is nothing to present to that.
func (g *grounds) Present(s *Service) Presented {
	if s != g.service {
		return Presented{}
	}
	return g.credential
}

// believe notes until when a decision is good.
func (g *grounds) believe(d *policy.Decision) {
	g.due = time.Now().Add(min(max(d.BelieveFor, askEvery), 24*time.Hour))
}

// judgeAgain judges the tunnel as the request was that began it. It may wait for the session service.
func (ts *tunnels) judgeAgain(t *tunnel) (d policy.Decision) {
	defer func() {
		if failure := recover(); failure != nil {
			ts.logger.Error("panic while judging a tunnel again: it was ended", "panic", failure, "stack", string(debug.Stack()))
			d = policy.Decision{Verdict: policy.Unavailable, Reason: policy.InternalError}
		}
	}()
	d = ts.gate.Decide(ts.base, t.target, t)
	if d.Verdict == policy.Allowed && !t.origin.allowed(d.Route) {
		d.Verdict, d.Reason = policy.Denied, policy.OriginNotAllowed
	}
	return d
}

// settle draws the conclusion of d. A tunnel that began with a session goes on with that session only, and with the application that it was
// opened to. The lock of tunnels is held.
func (t *tunnel) settle(d *policy.Decision) {
	t.inLine = false
	switch {
	case t.session != nil && d.Route != nil && t.registry.gate.serviceOf(d.Route) != t.service:
		t.end(EndedByPolicy)
	case d.Verdict == policy.Unavailable:
		t.end(EndedByOutage)
	case d.Verdict == policy.Unauthenticated && t.session != nil, d.Verdict == policy.Refused:
		t.end(EndedByRevocation)
	case d.Verdict != policy.Allowed, d.Route.App != t.at:
		t.end(EndedByPolicy)
	case t.session == nil:
		t.policy = d.View.Policy()
	case d.Reason == policy.Public: // nobody would look at the session any more
		t.end(EndedByPolicy)
	case d.Session == nil || d.Session.ID != t.session.ID || d.Session.IdentityID != t.session.IdentityID:
		t.end(EndedByRevocation)
	default:
		t.policy, t.session = d.View.Policy(), d.Session
		t.believe(d)
	}
}

// An origin is where the page comes from that asks for a WebSocket. Browsers send cookies with a handshake from any page, and let the page
// read what comes back, so without a look at it any site could speak to the application as its visitor (cross-site WebSocket hijacking).
type origin struct {
	lines int
	line  []byte // the first
	host  []byte // which is asked, port included
}

func (r *request) origin() origin {
	o := origin{host: r.head.host}
	for line := range r.head.all(headerOrigin) {
		if o.lines++; o.lines == 1 {
			o.line = line
		}
	}
	return o
}

// allowed reports whether a WebSocket on the route is open to the origin. Whoever sends none is no browser, and has the credential in its
// own hands.
func (o origin) allowed(route *policy.Route) bool {
	if o.lines == 0 {
		return true
	}
	if o.lines > 1 {
		return false
	}
	if route.Origins == nil {
		return sameHost(o.line, o.host)
	}
	for _, allowed := range route.Origins {
		if allowed == policy.AnyOrigin || allowed == string(o.line) { // browsers write it in lower case
			return true
		}
	}
	return false
}

// sameHost reports whether a page of the origin came from host, port included. The scheme plays no part but for the port that it implies:
// TLS may end at a proxy in front.
func sameHost(origin, host []byte) bool {
	scheme, authority, found := bytes.Cut(origin, []byte("://"))
	implied := defaultPort(string(bytes.ToLower(scheme)))
	a, ok := canonicalHost(authority, nil)
	b, too := canonicalHost(host, nil)
	return found && ok && too && bytes.Equal(a, b) && bytes.Equal(portOf(authority, implied), portOf(host, implied))
}

// defaultPort returns the port of a scheme with its colon, or nothing for a scheme that is not known. The caller must not change it.
func defaultPort(scheme string) []byte {
	switch scheme {
	case "http":
		return portOfHTTP
	case "https":
		return portOfHTTPS
	default:
		return nil
	}
}

var portOfHTTP, portOfHTTPS = []byte(":80"), []byte(":443")

// portOf returns the port of an authority with its colon, or implied if it has none.
func portOf(authority, implied []byte) []byte {
	if i := bytes.LastIndexByte(authority, ':'); i > bytes.LastIndexByte(authority, ']') {
		return authority[i:]
	}
	return implied
}
