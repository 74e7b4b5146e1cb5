package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// codes are the classes of an application's status; a class is at its first digit.
var codes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// An App is what is measured about one application. It is a [proxy.AppObserver].
type App struct {
	answers  [len(codes)]prometheus.Counter
	duration prometheus.Observer
	cut      [len(proxy.Sides)]prometheus.Counter
}

var _ proxy.AppObserver = (*App)(nil)

// App returns what is measured about the application of that name. Several pools may share a name, and then share this. Names come from
// the configuration, so that no client can make series.
func (m *Metrics) App(name string) *App {
	a := &App{duration: m.appDuration.WithLabelValues(name)}
	for i, code := range codes {
		a.answers[i] = m.appAnswers.WithLabelValues(name, code)
	}
	for _, side := range proxy.Sides {
		a.cut[side] = m.appCut.WithLabelValues(name, side.String())
	}
	return a
}

// Answered implements [proxy.AppObserver].
func (a *App) Answered(status int, took time.Duration) {
	a.answers[class(status)].Inc()
	a.duration.Observe(took.Seconds())
}

// Cut implements [proxy.AppObserver].
func (a *App) Cut(by proxy.Side) { a.cut[by].Inc() }

// class returns the place of a status in codes. What is not a status is taken for a failure, as RFC 9110 section 15 advises.
func class(status int) int {
	switch {
	case status == 0:
		return 0
	case status < 100 || status > 599:
		return 5
	default:
		return status / 100
	}
}

// WatchApps reads at every scrape which applications are out of reach: each by its name, and whether it is. It is called once.
func (m *Metrics) WatchApps(down func() map[string]bool) { m.registry.MustRegister(appCollector{down}) }

// An appCollector tells of the applications that there are now.
type appCollector struct{ down func() map[string]bool }

var appDownDesc = prometheus.NewDesc("gatehouse_app_down",
	"1 while an application cannot be reached, so that requests to it fail at once, else 0.", []string{"app"}, nil)

// Describe implements [prometheus.Collector].
func (c appCollector) Describe(ch chan<- *prometheus.Desc) { ch <- appDownDesc }

// Collect implements [prometheus.Collector].
func (c appCollector) Collect(ch chan<- prometheus.Metric) {
	for name, down := range c.down() {
		value := 0.0
		if down {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(appDownDesc, prometheus.GaugeValue, value, name)
	}
}
