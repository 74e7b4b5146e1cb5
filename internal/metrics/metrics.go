package metrics

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// BuildInfo says which build is running.
type BuildInfo struct {
	Version  string
	Revision string // of the source
}

// Metrics holds every instrument. It is a [proxy.Observer]. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests  *prometheus.CounterVec
	unmatched [len(proxy.Faces)]verdicts // of requests without a route
	rules     atomic.Pointer[[]rule]     // by the index of the route
	inFlight  [len(proxy.Faces)]prometheus.Gauge
	duration  [len(proxy.Faces)]prometheus.Observer
	bySource  [len(sources)]prometheus.Observer // the duration of decisions
	byVerdict [len(policy.Verdicts)]prometheus.Observer

	limited        []prometheus.Counter // by limit
	foreignHeaders [len(proxy.Dialects)]prometheus.Counter
	largeAnswers   prometheus.Counter

	appAnswers  *prometheus.CounterVec
	appDuration *prometheus.HistogramVec
	appCut      *prometheus.CounterVec

	tunnelsEnded [len(proxy.TunnelEnds) + 1]prometheus.Counter // none at 0

	upstreamRequests *prometheus.CounterVec
	upstreamDuration *prometheus.HistogramVec
	upstreamLeft     *prometheus.GaugeVec

	revocations *prometheus.CounterVec
	heard       *prometheus.GaugeVec
	reloadOK    prometheus.Gauge
	reloadedAt  prometheus.Gauge

	certificatesOK      prometheus.Gauge
	certificateNotAfter *prometheus.GaugeVec
}

var _ proxy.Observer = (*Metrics)(nil)

// New returns the instruments of one process. What is watched, such as the cache, joins when the Watch methods are called.
func New(build BuildInfo) *Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	create := promauto.With(registry)
	m := &Metrics{
		registry: registry,
		requests: create.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_requests_total",
			Help: "Requests by face, verdict and route.",
		}, []string{"face", "verdict", "rule"}),
		appAnswers: create.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_app_requests_total",
			Help: "Requests sent to an application by the class of its answer; none is no answer.",
		}, []string{"app", "code"}),
		appDuration: create.NewHistogramVec(histogram("gatehouse_app_request_duration_seconds",
			"Time from sending a request to an application until the head of its answer was there, or was given up.", requestBuckets),
			[]string{"app"}),
		appCut: create.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_app_exchanges_cut_total",
			Help: "Exchanges that were broken off before the response had been sent whole, by the side that broke off.",
		}, []string{"app", "by"}),
		upstreamRequests: create.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_upstream_requests_total",
			Help: "Questions to the session service by result. Those that were not sent, for the breaker or too many others, are unavailable.",
		}, []string{"upstream", "result"}),
		upstreamDuration: create.NewHistogramVec(histogram("gatehouse_upstream_request_duration_seconds",
			"Time that questions to the session service took.", requestBuckets), []string{"upstream"}),
		upstreamLeft: create.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatehouse_upstream_rate_limit_remaining",
			Help: "Questions left of the session service's own limit, as of the last answer that said so. It is absent if none did.",
		}, []string{"upstream"}),
		revocations: create.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_session_revocations_total",
			Help: "Revocations by who made them.",
		}, []string{"source"}),
		heard: create.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatehouse_session_revocations_heard",
			Help: "1 while the revocations of a source are heard, 0 while sessions may end unheard and are believed for fresh_for_degraded only.",
		}, []string{"upstream", "source"}),
		reloadOK: create.NewGauge(prometheus.GaugeOpts{
			Name: "gatehouse_config_last_reload_successful",
			Help: "1 if the configuration was loaded when it was last tried, 0 if it was at fault and the one before stays in force.",
		}),
		reloadedAt: create.NewGauge(prometheus.GaugeOpts{
			Name: "gatehouse_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration in force was loaded.",
		}),
		certificatesOK: create.NewGauge(prometheus.GaugeOpts{
			Name: "gatehouse_tls_certificate_last_reload_successful",
			Help: "1 if every listener has the certificate that is in its files, 0 if one of them could not be loaded and the one before stays in force.",
		}),
		certificateNotAfter: create.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatehouse_tls_certificate_not_after_timestamp_seconds",
			Help: "When the certificate that a listener shows ends.",
		}, []string{"listener"}),
	}
	create.NewGaugeVec(prometheus.GaugeOpts{
		Name: "gatehouse_build_info",
		Help: "Always 1. The labels say which build is running.",
	}, []string{"version", "revision", "goversion"}).WithLabelValues(build.Version, build.Revision, runtime.Version()).Set(1)
	m.bindRequests(create)
	for _, by := range [...]RevocationSource{RevokedByAdmin, RevokedByService, RevokedByWebhook, RevokedByPostgres, RevokedBySessionAPI} {
		m.revocations.WithLabelValues(string(by))
	}
	return m
}

// Gatherer returns where the state of all instruments is read.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// A RevocationSource is who makes a revocation.
type RevocationSource string

// The sources of revocations.
const (
	RevokedByAdmin   RevocationSource = "admin"   // somebody at the admin listener
	RevokedByService RevocationSource = "service" // the embedded session service, which tells of every session that ends

	RevokedByWebhook  RevocationSource = "webhook"  // a message to hooks
	RevokedByPostgres RevocationSource = "postgres" // the database of Kratos

	RevokedBySessionAPI RevocationSource = "session_api" // a call to the session service's own API
)

// Revoked counts one revocation.
func (m *Metrics) Revoked(by RevocationSource) { m.revocations.WithLabelValues(string(by)).Inc() }

// RevocationsHeard says whether the revocations of a source are heard, of a session service by name.
func (m *Metrics) RevocationsHeard(service string, from RevocationSource, heard bool) {
	value := 0.0
	if heard {
		value = 1
	}
	m.heard.WithLabelValues(service, string(from)).Set(value)
}

// Reloaded says whether the configuration could be loaded, and when. It is called for the first load too.
func (m *Metrics) Reloaded(ok bool, at time.Time) {
	if !ok {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadedAt.Set(float64(at.UnixNano()) / 1e9)
}

// CertificateLoaded says when the certificate of a listener ends. The listener is named by its address in the configuration.
func (m *Metrics) CertificateLoaded(listener string, notAfter time.Time) {
	m.certificateNotAfter.WithLabelValues(listener).Set(float64(notAfter.Unix()))
}

// CertificatesReloaded says whether all listeners have the certificates that are in their files.
func (m *Metrics) CertificatesReloaded(ok bool) {
	m.certificatesOK.Set(0)
	if ok {
		m.certificatesOK.Set(1)
	}
}

// Classic buckets, in seconds. A decision from memory takes microseconds, and one that waits for the service as long as that does.
var (
	decisionBuckets = []float64{
		1e-6, 2.5e-6, 5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6,
		1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10,
	}
	requestBuckets = []float64{100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10, 30}
)

// histogram describes a histogram that is both classic and native. Native buckets grow by a tenth each; when the widths seen need more
// than 160 of them, it starts anew, at most once an hour, and becomes coarser before that.
func histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name:                            name,
		Help:                            help,
		Buckets:                         buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}
}
