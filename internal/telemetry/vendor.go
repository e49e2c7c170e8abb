package telemetry

import "github.com/prometheus/client_golang/prometheus"

// vendorMetrics are those of OpenCTI's client library, version 7 (opencti.md §1.8).
type vendorMetrics struct {
	bundles, records, runs, pings, pingErrors, errors, clientErrors prometheus.Counter
	state                                                           *prometheus.GaugeVec
}

// The states of the enumeration "state".
const (
	stateIdle    = "idle"
	stateRunning = "running"
	stateStopped = "stopped"
)

func (m *Metrics) newVendor() vendorMetrics {
	one := func(name, help string) prometheus.Counter { return m.counter(name, help).WithLabelValues() }
	v := vendorMetrics{
		bundles:      one("bundles_sent_total", "Messages handed to the platform's queue, one object each."),
		records:      one("records_sent_total", "STIX objects handed to the platform's queue."),
		runs:         one("runs_total", "Batches begun; each is one work on the platform."),
		pings:        one("ping_api_total", "Pings of the platform."),
		pingErrors:   one("ping_api_errors_total", "Pings of the platform that failed."),
		errors:       one("errors_total", "Operations that failed, whatever the reason."),
		clientErrors: one("client_errors_total", "Operations that failed because the platform or its broker refused, or could not be reached."),
		state:        m.gauge("state", "What the connector does: 1 for the state that it is in.", "state"),
	}
	v.set(stateIdle)
	return v
}

func (v *vendorMetrics) set(state string) {
	for _, s := range []string{stateIdle, stateRunning, stateStopped} {
		value := 0.0
		if s == state {
			value = 1
		}
		v.state.WithLabelValues(s).Set(value)
	}
}

// Idle says that nothing is on its way to the sink.
func (m *Metrics) Idle() {
	if m != nil {
		m.vendor.set(stateIdle)
	}
}

// Running says that a batch is on its way to the sink.
func (m *Metrics) Running() {
	if m != nil {
		m.vendor.set(stateRunning)
	}
}

// Stopped says that the connector does not work any more.
func (m *Metrics) Stopped() {
	if m != nil {
		m.vendor.set(stateStopped)
	}
}

// Pinged counts a ping of the platform.
func (m *Metrics) Pinged(err error) {
	if m == nil {
		return
	}
	m.vendor.pings.Inc()
	if err != nil {
		m.vendor.pingErrors.Inc()
	}
}
