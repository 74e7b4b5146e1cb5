package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream/guard"
)

// results are all results of a question to the session service.
var results = [...]guard.Result{guard.OK, guard.NoSession, guard.Refused, guard.Timeout, guard.Unavailable}

// Upstream returns what counts the questions to the session service of that name.
func (m *Metrics) Upstream(service string) (observe func(guard.Result, time.Duration)) {
	for _, r := range results {
		m.upstreamRequests.WithLabelValues(service, r.String())
	}
	duration := m.upstreamDuration.WithLabelValues(service)
	return func(r guard.Result, took time.Duration) {
		m.upstreamRequests.WithLabelValues(service, r.String()).Inc()
		duration.Observe(took.Seconds())
	}
}

// RateLimit returns what takes how many questions the session service called service has left. There is no such series before it is called.
func (m *Metrics) RateLimit(service string) (remaining func(questions int64)) {
	return func(questions int64) { m.upstreamLeft.WithLabelValues(service).Set(float64(questions)) }
}

// A Guard is what limits the questions to a session service.
type Guard interface {
	InFlight() int
	BreakerOpen() bool
}

// WatchGuard reads at every scrape how many questions to a session service are under way, and whether its breaker is open. It is called once
// a service.
func (m *Metrics) WatchGuard(service string, g Guard) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "gatehouse_upstream_in_flight",
		Help:        "Questions to the session service under way now.",
		ConstLabels: prometheus.Labels{"upstream": service},
	}, func() float64 { return float64(g.InFlight()) }))
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "gatehouse_upstream_breaker_open",
		Help:        "1 while the session service is not asked because it kept failing, else 0.",
		ConstLabels: prometheus.Labels{"upstream": service},
	}, func() float64 {
		if g.BreakerOpen() {
			return 1
		}
		return 0
	}))
}

// WatchConnections reads at every scrape how many client connections are open. It is called once.
func (m *Metrics) WatchConnections(open func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gatehouse_connections_open",
		Help: "Client connections open now.",
	}, func() float64 { return float64(open()) }))
}

// WatchTunnels reads at every scrape how many WebSockets are open. It is called once.
func (m *Metrics) WatchTunnels(open func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gatehouse_tunnels_open",
		Help: "WebSockets open now.",
	}, func() float64 { return float64(open()) }))
}

// WatchCache reads the stats of the session cache of a session service once a scrape. It is called once a service.
func (m *Metrics) WatchCache(service string, stats func() sessioncache.Stats) {
	prometheus.WrapRegistererWith(prometheus.Labels{"upstream": service}, m.registry).MustRegister(cacheCollector{stats})
}

// A cacheCollector turns a snapshot of the session cache into metrics, so that the cache itself knows nothing of them.
type cacheCollector struct{ stats func() sessioncache.Stats }

var (
	lookupsDesc = prometheus.NewDesc("gatehouse_session_lookups_total",
		"Look-ups of sessions by how they ended.", []string{"outcome"}, nil)
	entriesDesc = prometheus.NewDesc("gatehouse_session_cache_entries",
		"Entries in the tables of the session cache.", []string{"table"}, nil)
	capacityDesc = prometheus.NewDesc("gatehouse_session_cache_capacity",
		"How many entries the tables of the session cache can hold.", []string{"table"}, nil)
	evictionsDesc = prometheus.NewDesc("gatehouse_session_cache_evictions_total",
		"Entries that left the session cache for want of room.", []string{"table"}, nil)
	rejectionsDesc = prometheus.NewDesc("gatehouse_session_cache_rejections_total",
		"Sessions that the hot table declined. If it keeps growing, session_cache.size is too small.", nil, nil)
	unbelievedDesc = prometheus.NewDesc("gatehouse_session_unbelieved_nos_total",
		"Answers of no session that were taken for an outage, since the session was known and the service was not ready.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (c cacheCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lookupsDesc, entriesDesc, capacityDesc, evictionsDesc, rejectionsDesc, unbelievedDesc} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c cacheCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	table := func(name string, t sessioncache.Table) {
		gauge(entriesDesc, t.Entries, name)
		gauge(capacityDesc, t.Capacity, name)
		counter(evictionsDesc, t.Evictions, name)
	}
	counter(lookupsDesc, s.Lookups.Hit, "hit")
	counter(lookupsDesc, s.Lookups.WindowHit, "window_hit")
	counter(lookupsDesc, s.Lookups.Stale, "stale")
	counter(lookupsDesc, s.Lookups.Negative, "negative")
	counter(lookupsDesc, s.Lookups.Miss, "miss")
	counter(lookupsDesc, s.Lookups.Coalesced, "coalesced")
	counter(lookupsDesc, s.Lookups.Revoked, "revoked")
	counter(lookupsDesc, s.Lookups.Error, "error")
	table("hot", s.Hot)
	table("window", s.Window)
	table("joined", s.Joined)
	table("negative", s.Negative)
	table("revocations", s.Revocations)
	counter(rejectionsDesc, s.HotRejections)
	counter(unbelievedDesc, s.UnbelievedNos)
}
