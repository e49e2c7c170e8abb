package telemetry

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts what the connector does. All methods may be called on nil, where
// they do nothing, and from any goroutine.
//
// Names are of two kinds: those that OpenCTI's own client library (7.x) has, so that
// dashboards made for any connector work, and ours, which begin with
// matrix_connector_. Labels are from closed sets; what is not of the set is counted
// as "other". No room, person or text is ever a label.
type Metrics struct {
	registry    *prometheus.Registry
	definitions []Definition
	prefix      string

	vendor vendorMetrics
	own    ownMetrics
	levels *levels
}

// Definition is what is known of a metric before it has a value.
type Definition struct {
	Name   string   // without namespace and subsystem
	Type   string   // "counter", "gauge" or "histogram"
	Labels []string // in the order of the exposition
	Help   string
}

// MetricsConfig says how metrics are named and what stands in build_info.
type MetricsConfig struct {
	// Namespace and Subsystem are put in front of every name but those of the Go
	// runtime and the process.
	Namespace, Subsystem string
	Version              string
}

var prefixes = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// NewMetrics makes the metrics. It fails for a namespace or subsystem that no name
// can start with.
func NewMetrics(c MetricsConfig) (*Metrics, error) {
	for variable, value := range map[string]string{"CONNECTOR_METRICS_NAMESPACE": c.Namespace, "CONNECTOR_METRICS_SUBSYSTEM": c.Subsystem} {
		if value != "" && !prefixes.MatchString(value) {
			return nil, fmt.Errorf("%s: a metric's name cannot start with %q: letters, digits and underscores only, and no digit first", variable, value)
		}
	}
	m := &Metrics{registry: prometheus.NewRegistry()}
	for _, part := range []string{c.Namespace, c.Subsystem} {
		if part != "" {
			m.prefix += part + "_"
		}
	}
	m.vendor = m.newVendor()
	m.own = m.newOwn(c.Version)
	m.levels = m.newLevels()
	m.registry.MustRegister(m.levels, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m, nil
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	if m == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		// A failed query leaves its gauges out; the counters are still worth having.
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, EnableOpenMetrics: true,
	})
}

// Definitions lists all metrics of ours and of OpenCTI's, by name. Those of the Go
// runtime and of the process are not among them.
func (m *Metrics) Definitions() []Definition {
	list := slices.Clone(m.definitions)
	slices.SortFunc(list, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// define notes a metric and gives its full name.
func (m *Metrics) define(kind, name, help string, labels ...string) string {
	m.definitions = append(m.definitions, Definition{Name: name, Type: kind, Labels: labels, Help: help})
	return m.prefix + name
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.define("counter", name, help, labels...), Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.define("gauge", name, help, labels...), Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: m.define("histogram", name, help, labels...), Help: help, Buckets: buckets,
	}, labels)
	m.registry.MustRegister(h)
	return h
}

// oneOf keeps a label inside its closed set.
func oneOf(set []string, value string) string {
	if slices.Contains(set, value) {
		return value
	}
	return other
}

// other is the label of what is not in a closed set.
const other = "other"
