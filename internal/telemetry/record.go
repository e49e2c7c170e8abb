package telemetry

import (
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ownMetrics are those that grow by what happens. What is counted in the ledger is
// read when it is asked for: see [Levels].
type ownMetrics struct {
	events, decrypted, errors, deliveries, attachmentBytes, undecrypted *prometheus.CounterVec
	eventDelay, work, publish, settle, delivery                         *prometheus.HistogramVec
	lastSync                                                            prometheus.Gauge
}

// Buckets in seconds: what answers at once, what takes the platform a while, and what
// waits for somebody.
var (
	fast = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	slow = []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400}
)

// The closed sets of labels.
var (
	operations = []string{"start", "log in", "register", "sync", "fill", "invite", "fetch", "deliver", "attach", "ping"}
	classes    = []string{"temporary", "rate_limited", "unauthorized", "permanent", "gone", "cancelled"}
	eventTypes = []string{
		"m.room.message", "m.room.encrypted", "m.room.redaction", "m.reaction", "m.sticker", "m.room.member",
		"m.room.name", "m.room.topic", "m.room.create", "m.room.encryption", "m.room.tombstone", "m.poll.start", "m.poll.response", "m.poll.end",
	}
	outcomes = []string{"landed", "refused", "differs", "missing", "missing_end", "gone"}
	kinds    = []string{"room", "author", "post"}
)

// Outcomes of an event.
const (
	EventRead        = "read"
	EventUndecrypted = "undecrypted"
	EventUnreadable  = "unreadable"
)

func (m *Metrics) newOwn(version string) ownMetrics {
	o := ownMetrics{
		events: m.counter("matrix_connector_events_received_total",
			"Events that the homeserver showed, repeats included, by type and by whether they could be read.", "type", "outcome"),
		decrypted: m.counter("matrix_connector_events_decrypted_late_total", "Events that became readable by a key that came after them."),
		undecrypted: m.counter("matrix_connector_undecrypted_received_total",
			"Events that could not be decrypted when they came, by reason.", "reason"),
		eventDelay: m.histogram("matrix_connector_event_delay_seconds",
			"Time from when a live event was sent, by its sender's clock, until it was received.", slow),
		lastSync: m.gauge("matrix_connector_last_sync_timestamp_seconds",
			"When /sync was last answered and its answer stored; Unix time, 0 before the first.").WithLabelValues(),
		work:   m.histogram("matrix_connector_work_seconds", "Time that one turn of a loop took, by operation.", fast, "operation"),
		errors: m.counter("matrix_connector_errors_total", "Operations that failed, by operation and class.", "operation", "class"),
		publish: m.histogram("matrix_connector_publish_seconds",
			"Time to hand one batch to the sink: for a platform, until the broker has confirmed all of it.", fast),
		settle: m.histogram("matrix_connector_settle_seconds",
			"Time from handing over a batch until it was read back.", slow),
		delivery: m.histogram("matrix_connector_delivery_seconds",
			"Time from when a live message was sent, by its sender's clock, until it was read back from the sink.", slow),
		deliveries: m.counter("matrix_connector_deliveries_total",
			"What became of rooms, authors and posts that were delivered.", "kind", "outcome"),
		attachmentBytes: m.counter("matrix_connector_attachment_bytes_total",
			"Bytes of attachments fetched from the homeserver, and attached on the platform.", "step"),
	}
	build := m.gauge("matrix_connector_build_info", "1, with the version of the program and of Go.", "version", "goversion")
	build.WithLabelValues(version, runtime.Version()).Set(1)
	// What is 0 is said, so that an alert can compare with it.
	o.decrypted.WithLabelValues()
	o.eventDelay.WithLabelValues()
	o.publish.WithLabelValues()
	o.settle.WithLabelValues()
	o.delivery.WithLabelValues()
	for _, outcome := range []string{EventRead, EventUndecrypted, EventUnreadable} {
		o.events.WithLabelValues(map[bool]string{true: "m.room.encrypted", false: "m.room.message"}[outcome == EventUndecrypted], outcome)
	}
	for _, step := range []string{"fetched", "attached"} {
		o.attachmentBytes.WithLabelValues(step)
	}
	for _, operation := range operations {
		for _, class := range classes {
			o.errors.WithLabelValues(label(operation), class)
		}
	}
	for _, reason := range levelLabels["undecrypted"] {
		o.undecrypted.WithLabelValues(reason)
	}
	return o
}

// label is an operation as a label's value.
func label(operation string) string { return strings.ReplaceAll(operation, " ", "_") }

// Event counts an event that was received. Its outcome is one of the constants.
func (m *Metrics) Event(kind, outcome string) {
	if m != nil {
		m.own.events.WithLabelValues(oneOf(eventTypes, kind), outcome).Inc()
	}
}

// Undecrypted counts an event that could not be decrypted, by a reason of a closed set.
func (m *Metrics) Undecrypted(reason string) {
	if m != nil {
		m.own.undecrypted.WithLabelValues(oneOf(levelLabels["undecrypted"], reason)).Inc()
	}
}

// Decrypted counts an event that became readable later.
func (m *Metrics) Decrypted() {
	if m != nil {
		m.own.decrypted.WithLabelValues().Inc()
	}
}

// EventDelay notes how long a live event took from its sender to us. A sender's
// clock may be ahead: then it is nothing.
func (m *Metrics) EventDelay(d time.Duration) {
	if m != nil {
		m.own.eventDelay.WithLabelValues().Observe(max(0, d).Seconds())
	}
}

// Synced notes when /sync was last answered.
func (m *Metrics) Synced(at time.Time) {
	if m != nil {
		m.own.lastSync.Set(float64(at.UnixMilli()) / 1000)
	}
}

// Worked notes how long a turn of a loop took.
func (m *Metrics) Worked(operation string, d time.Duration) {
	if m != nil {
		m.own.work.WithLabelValues(label(oneOf(operations, operation))).Observe(d.Seconds())
	}
}

// Failed counts a failed operation. client says that it was the platform or its
// broker who refused or was away.
func (m *Metrics) Failed(operation, class string, client bool) {
	if m == nil {
		return
	}
	m.own.errors.WithLabelValues(label(oneOf(operations, operation)), oneOf(classes, class)).Inc()
	m.vendor.errors.Inc()
	if client {
		m.vendor.clientErrors.Inc()
	}
}

// Begun counts a batch for which a receipt was begun.
func (m *Metrics) Begun() {
	if m != nil {
		m.vendor.runs.Inc()
		m.vendor.set(stateRunning)
	}
}

// Published counts the objects of a batch that the sink has taken, and how long that
// took.
func (m *Metrics) Published(objects int, d time.Duration) {
	if m == nil {
		return
	}
	m.vendor.bundles.Add(float64(objects))
	m.vendor.records.Add(float64(objects))
	m.own.publish.WithLabelValues().Observe(d.Seconds())
}

// Settled notes how long a batch took until it was read back.
func (m *Metrics) Settled(d time.Duration) {
	if m != nil {
		m.own.settle.WithLabelValues().Observe(d.Seconds())
		m.vendor.set(stateIdle)
	}
}

// Delivered counts what became of a row. kind is "room", "author" or "post".
func (m *Metrics) Delivered(kind, outcome string) {
	if m != nil {
		m.own.deliveries.WithLabelValues(oneOf(kinds, kind), oneOf(outcomes, outcome)).Inc()
	}
}

// Landed notes how long a live message took until it stood on the platform.
func (m *Metrics) Landed(d time.Duration) {
	if m != nil {
		m.own.delivery.WithLabelValues().Observe(max(0, d).Seconds())
	}
}

// Fetched counts the bytes of an attachment that came from the homeserver.
func (m *Metrics) Fetched(bytes int64) {
	if m != nil {
		m.own.attachmentBytes.WithLabelValues("fetched").Add(float64(bytes))
	}
}

// Attached counts the bytes of an attachment that the platform has taken.
func (m *Metrics) Attached(bytes int64) {
	if m != nil {
		m.own.attachmentBytes.WithLabelValues("attached").Add(float64(bytes))
	}
}
