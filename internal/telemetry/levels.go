package telemetry

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Levels are what is read when somebody asks: how much there is of what. Each map
// counts by state or reason; what is not in it is 0.
type Levels struct {
	Events, Undecrypted, Rooms, Authors, Posts, Attachments map[string]int
	GapsOpen, GapsLost                                      int
	Targets                                                 int // still to be fetched
	Waiting                                                 int // undecrypted events with a key to try
	Invites                                                 int // pending
	// OldestDue is when the oldest post that waits to be delivered was received,
	// OldestUndecrypted when the oldest live event that waits for its key was; zero
	// where none waits.
	OldestDue, OldestUndecrypted time.Time
	// Synced is when /sync was last answered, or else when the connector started.
	Synced time.Time
	// Bytes on disk of the store, by part, and what is free where it lies; Free is
	// negative where that is not known.
	Bytes map[string]int64
	Free  int64
	// Ready is whether messages can come and go.
	Ready bool
	// Causes counts events that cannot be read by probable cause, "" for none that is known.
	Causes map[string]int
	// Signed is whether the bot's device is signed, BackupOpen whether the key backup is in
	// use; nil before that was looked at.
	Signed, BackupOpen *bool
	// FetchWaits is why attachments are not fetched for now; empty: they are.
	FetchWaits string
	// Withholders counts the people who have withheld room keys in the last days, by code.
	Withholders map[string]int
}

// The closed sets of what is counted.
var levelLabels = map[string][]string{
	"events":      {"undecrypted", "read", "skipped", "unreadable"},
	"rooms":       {"idle", "due", "sent", "landed", "dead"},
	"authors":     {"due", "sent", "landed", "dead"},
	"posts":       {"due", "sent", "landed", "dead"},
	"attachments": {"wanted", "fetched", "attached", "refused", "lost"},
	"undecrypted": {"no_session", "withheld", "unknown_index", "bad_mac", "replay", "wrong_room", "algorithm", "malformed"},
	"bytes":       {"database", "spool"},
	"waits":       {"spool_full", "disk_low"},
	"codes":       {"m.unverified", "m.blacklisted", "m.unauthorised", "m.unavailable", "m.no_olm", "other"},
	"causes":      {"none", "m.unverified", "m.blacklisted", "m.unauthorised", "m.unavailable", "m.no_olm", "failed_olm", "before_device", "before_invite", "other"},
}

// levelsFor is how long an answer is given again, so that a storm of scrapes asks the
// store once. levelsWithin bounds the asking.
const (
	levelsFor    = 10 * time.Second
	levelsWithin = 5 * time.Second
)

// levels asks a source at each scrape, or gives the answer of the last one.
type levels struct {
	events, undecrypted, rooms, authors, posts, attachments *prometheus.Desc
	gapsOpen, gapsLost, targets, waiting, invites           *prometheus.Desc
	sync, oldestDue, oldestUndecrypted, bytes, free, ready  *prometheus.Desc
	causes, signed, backup, withholders, waits              *prometheus.Desc
	failed                                                  *prometheus.Desc

	mu       sync.Mutex // also held while asking: one question at a time
	source   func(context.Context) (Levels, error)
	now      func() time.Time
	last     Levels
	at       time.Time // of last; zero: none
	broken   bool      // the last answer was an error
	failures float64
}

func (m *Metrics) newLevels() *levels {
	gauge := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(m.define("gauge", name, help, labels...), help, labels, nil)
	}
	return &levels{
		now:         time.Now,
		events:      gauge("matrix_connector_events", "Events in the ledger, by state.", "state"),
		undecrypted: gauge("matrix_connector_undecrypted_events", "Events that cannot be read yet, by reason.", "reason"),
		rooms:       gauge("matrix_connector_rooms", "Rooms, by the state of their Channel.", "state"),
		authors:     gauge("matrix_connector_authors", "Authors, by the state of their Individual.", "state"),
		posts:       gauge("matrix_connector_posts", "Messages, by state.", "state"),
		attachments: gauge("matrix_connector_attachments", "Attachments, by state.", "state"),
		gapsOpen:    gauge("matrix_connector_gaps_open", "Stretches of timelines that are still to be read."),
		gapsLost:    gauge("matrix_connector_gaps_lost", "Stretches of timelines that the homeserver does not show."),
		targets:     gauge("matrix_connector_targets_wanted", "Targets of replies, threads and edits that are still to be fetched."),
		waiting:     gauge("matrix_connector_late_keys", "Undecrypted events for which a key came and is still to be tried."),
		invites:     gauge("matrix_connector_pending_invites", "Invites that are not accepted, and rooms that replace those of the bot and that it cannot get into."),
		oldestDue: gauge("matrix_connector_delivery_lag_seconds",
			"Age of the oldest message that waits to be delivered, 0 where none waits."),
		oldestUndecrypted: gauge("matrix_connector_decryption_lag_seconds",
			"Age of the oldest live event that waits for its key, 0 where none waits."),
		sync:   gauge("matrix_connector_sync_lag_seconds", "Time since /sync was last answered, or since the start."),
		bytes:  gauge("matrix_connector_store_bytes", "Bytes of the store on disk, by part.", "part"),
		free:   gauge("matrix_connector_store_free_bytes", "Bytes that are free where the store lies."),
		ready:  gauge("matrix_connector_ready", "1 while messages can come and go, as /readyz says."),
		causes: gauge("matrix_connector_undecrypted_causes", "Events that cannot be read yet, by probable cause.", "cause"),
		waits: gauge("matrix_connector_attachments_waiting",
			"1 while attachments are not fetched, by reason: spool_full, those on their way take their quota; disk_low, the disk is nearly full.", "reason"),
		signed: gauge("matrix_connector_device_signed", "1 while the bot's device is signed by its account's identity; left out before that was looked at."),
		backup: gauge("matrix_connector_key_backup_open", "1 while keys are saved in and restored from the account's key backup; left out before that was looked at."),
		withholders: gauge("matrix_connector_key_withholders",
			"People who have withheld room keys from the bot in the last 7 days, by the code they gave.", "code"),
		failed: prometheus.NewDesc(m.define("counter", "matrix_connector_levels_errors_total",
			"Scrapes for which the store could not be asked; gauges that come from it are left out then."),
			"Scrapes for which the store could not be asked; gauges that come from it are left out then.", nil, nil),
	}
}

// Observe makes the metrics ask source for their levels, and now for the time.
func (m *Metrics) Observe(source func(context.Context) (Levels, error), now func() time.Time) {
	if m == nil {
		return
	}
	m.levels.mu.Lock()
	defer m.levels.mu.Unlock()
	m.levels.source, m.levels.now, m.levels.at = source, now, time.Time{}
}

// Describe sends what may be collected.
func (l *levels) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		l.events, l.undecrypted, l.rooms, l.authors, l.posts, l.attachments, l.gapsOpen, l.gapsLost, l.targets, l.waiting,
		l.causes, l.signed, l.backup, l.withholders, l.waits, l.invites, l.sync, l.oldestDue, l.oldestUndecrypted, l.bytes, l.free, l.ready, l.failed,
	} {
		out <- d
	}
}

// Collect asks, unless it has done so a moment ago.
func (l *levels) Collect(out chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { out <- prometheus.MustNewConstMetric(l.failed, prometheus.CounterValue, l.failures) }()
	if l.source == nil {
		return
	}
	now := l.now()
	if l.at.IsZero() || now.Sub(l.at) >= levelsFor {
		ctx, cancel := context.WithTimeout(context.Background(), levelsWithin)
		defer cancel()
		got, err := l.source(ctx)
		l.last, l.at, l.broken = got, now, err != nil
		if l.broken {
			l.failures++
		}
	}
	if !l.broken {
		l.send(out, now)
	}
}

func (l *levels) send(out chan<- prometheus.Metric, now time.Time) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	v := l.last
	for _, by := range []struct {
		desc   *prometheus.Desc
		set    string
		counts map[string]int
	}{
		{l.events, "events", v.Events},
		{l.undecrypted, "undecrypted", v.Undecrypted},
		{l.rooms, "rooms", v.Rooms},
		{l.authors, "authors", v.Authors},
		{l.posts, "posts", v.Posts},
		{l.attachments, "attachments", v.Attachments},
		{l.causes, "causes", among(levelLabels["causes"], v.Causes)},
		{l.withholders, "codes", among(levelLabels["codes"], v.Withholders)},
	} {
		for _, value := range levelLabels[by.set] {
			gauge(by.desc, float64(by.counts[value]), value)
		}
	}
	for _, part := range levelLabels["bytes"] {
		gauge(l.bytes, float64(v.Bytes[part]), part)
	}
	for d, n := range map[*prometheus.Desc]int{
		l.gapsOpen: v.GapsOpen, l.gapsLost: v.GapsLost, l.targets: v.Targets, l.waiting: v.Waiting, l.invites: v.Invites,
	} {
		gauge(d, float64(n))
	}
	age := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return max(0, now.Sub(t).Seconds())
	}
	gauge(l.sync, age(v.Synced))
	gauge(l.oldestDue, age(v.OldestDue))
	gauge(l.oldestUndecrypted, age(v.OldestUndecrypted))
	if v.Free >= 0 {
		gauge(l.free, float64(v.Free))
	}
	truth := map[bool]float64{true: 1}
	gauge(l.ready, truth[v.Ready])
	for _, reason := range levelLabels["waits"] {
		gauge(l.waits, truth[v.FetchWaits == reason], reason)
	}
	for d, is := range map[*prometheus.Desc]*bool{l.signed: v.Signed, l.backup: v.BackupOpen} {
		if is != nil {
			gauge(d, truth[*is])
		}
	}
}

// among folds a map onto a closed set: "" counts as none, what is not in the set as other.
func among(set []string, counts map[string]int) map[string]int {
	folded := map[string]int{}
	for value, n := range counts {
		switch {
		case value == "":
			value = "none"
		case !slices.Contains(set, value):
			value = "other"
		}
		folded[value] += n
	}
	return folded
}
