package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// sources are all sources of a session.
var sources = [...]upstream.Source{upstream.Asked, upstream.Coalesced, upstream.Hit, upstream.WindowHit, upstream.Stale}

// verdicts are the counters of one face and one route.
type verdicts [len(policy.Verdicts)]prometheus.Counter

// A rule is the counters of one route.
type rule struct {
	route *policy.Route
	faces [len(proxy.Faces)]verdicts // those without routes have no counters here
}

// bindRequests creates what is measured about requests, apart from the counters of routes.
func (m *Metrics) bindRequests(create promauto.Factory) {
	inFlight := create.NewGaugeVec(prometheus.GaugeOpts{
		Name: "gatehouse_requests_in_flight",
		Help: "Requests being handled now, by face.",
	}, []string{"face"})
	duration := create.NewHistogramVec(histogram("gatehouse_request_duration_seconds",
		"Time that requests took by face, the application's included, until the head of the answer was there.", requestBuckets),
		[]string{"face"})
	decision := create.NewHistogramVec(histogram("gatehouse_decision_duration_seconds",
		"Time that the gateway itself took, without the application's, by what the decision had to do.", decisionBuckets),
		[]string{"outcome"})

	limited := create.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_limited_total",
		Help: "Connections and requests that were refused or cut off because a client reached a limit, by its key in the configuration.",
	}, []string{"limit"})

	m.limited = make([]prometheus.Counter, len(proxy.AllLimits())+1) // none is the zero Limit
	for _, l := range proxy.AllLimits() {
		m.limited[l] = limited.WithLabelValues(l.String())
	}

	ended := create.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_tunnels_ended_total",
		Help: "WebSockets that were open by what ended them.",
	}, []string{"cause"})
	for _, e := range proxy.TunnelEnds {
		m.tunnelsEnded[e] = ended.WithLabelValues(e.String())
	}

	for _, f := range proxy.Faces {
		m.inFlight[f] = inFlight.WithLabelValues(f.String())
		m.duration[f] = duration.WithLabelValues(f.String())
		m.unmatched[f] = m.verdicts(f, "")
	}
	foreign := create.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_forward_auth_foreign_headers_total",
		Help: "Questions of front proxies with headers that describe a request in another dialect, which were not looked at, by dialect asked in.",
	}, []string{"dialect"})
	for _, d := range proxy.Dialects {
		m.foreignHeaders[d] = foreign.WithLabelValues(d.String())
	}
	m.largeAnswers = create.NewCounter(prometheus.CounterOpts{
		Name: "gatehouse_forward_auth_large_answers_total",
		Help: "Answers to nginx with more than 3.5 KiB of headers, for which it may have no room.",
	})
	for _, s := range sources {
		m.bySource[s] = decision.WithLabelValues(s.String())
	}
	for _, v := range policy.Verdicts {
		m.byVerdict[v] = decision.WithLabelValues(v.String())
	}
	m.rules.Store(new([]rule))
}

// verdicts creates the counters of one face and one route, or finds them where there was a route of that name before.
func (m *Metrics) verdicts(f proxy.Face, name string) (vs verdicts) {
	for _, v := range policy.Verdicts {
		vs[v] = m.requests.WithLabelValues(f.String(), v.String(), name)
	}
	return vs
}

// SetPolicy creates the counters of all routes of p. It is called before p is in force; requests judged by an earlier policy are still
// counted by their own routes.
func (m *Metrics) SetPolicy(p *policy.Policy) {
	rules := make([]rule, len(p.Routes()))
	for i, route := range p.Routes() {
		rules[i].route = route
		for _, f := range [...]proxy.Face{proxy.ProxyFace, proxy.ForwardAuthFace, proxy.ExtAuthzFace} {
			rules[i].faces[f] = m.verdicts(f, route.Name)
		}
	}
	m.rules.Store(&rules)
}

// Began implements [proxy.Observer].
func (m *Metrics) Began(f proxy.Face) { m.inFlight[f].Inc() }

// Decided implements [proxy.Observer].
func (m *Metrics) Decided(f proxy.Face, d *policy.Decision, took time.Duration) {
	m.counter(f, d).Inc()
	outcome := m.byVerdict[d.Verdict]
	if d.Session != nil {
		outcome = m.bySource[d.Source]
	}
	outcome.Observe(took.Seconds())
}

// counter returns the counter of requests like this one. A route that is not of the policy in force is looked up by its labels.
func (m *Metrics) counter(f proxy.Face, d *policy.Decision) prometheus.Counter {
	if d.Route == nil {
		return m.unmatched[f][d.Verdict]
	}
	if rules := *m.rules.Load(); d.Route.Index < len(rules) {
		if r := &rules[d.Route.Index]; r.route == d.Route && r.faces[f][d.Verdict] != nil {
			return r.faces[f][d.Verdict]
		}
	}
	return m.requests.WithLabelValues(f.String(), d.Verdict.String(), d.Route.Name)
}

// Ended implements [proxy.Observer].
func (m *Metrics) Ended(f proxy.Face, total time.Duration) {
	m.inFlight[f].Dec()
	m.duration[f].Observe(total.Seconds())
}

// TunnelEnded implements [proxy.Observer].
func (m *Metrics) TunnelEnded(why proxy.TunnelEnd) { m.tunnelsEnded[why].Inc() }

// ForeignHeaders implements [proxy.Observer].
func (m *Metrics) ForeignHeaders(d proxy.Dialect) { m.foreignHeaders[d].Inc() }

// LargeAnswer implements [proxy.Observer].
func (m *Metrics) LargeAnswer() { m.largeAnswers.Inc() }

// Limited implements [proxy.Observer].
func (m *Metrics) Limited(l proxy.Limit) { m.limited[l].Inc() }
