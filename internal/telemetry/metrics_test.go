package telemetry_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/telemetry"
)

var update = flag.Bool("update", false, "rewrite the table of metrics in the docs")

func newMetrics(t *testing.T, c telemetry.MetricsConfig) *telemetry.Metrics {
	t.Helper()
	m, err := telemetry.NewMetrics(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scrape gives the lines of /metrics that are values, by name with labels.
func scrape(t *testing.T, m *telemetry.Metrics) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("code %d: %s", w.Code, w.Body.String())
	}
	values := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && !strings.HasPrefix(line, "#") {
			values[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return values
}

func TestWhatHappensIsCounted(t *testing.T) {
	m := newMetrics(t, telemetry.MetricsConfig{Version: "1.2.3"})
	m.Event("m.room.message", telemetry.EventRead)
	m.Event("org.example.secret-of-alice", telemetry.EventRead)
	m.Event("m.room.encrypted", telemetry.EventUndecrypted)
	m.Undecrypted("no_session")
	m.Undecrypted("nobody knows")
	m.Decrypted()
	m.EventDelay(-time.Hour)
	m.EventDelay(3 * time.Second)
	m.Synced(time.UnixMilli(1700000000500))
	m.Worked("log in", time.Second)
	m.Failed("sync", "temporary", false)
	m.Failed("ping", "unauthorized", true)
	m.Failed("anything else", "odd", false)
	m.Begun()
	m.Published(7, time.Second)
	m.Settled(2 * time.Second)
	m.Delivered("post", "landed")
	m.Landed(4 * time.Second)
	m.Fetched(100)
	m.Attached(50)
	m.Pinged(nil)
	m.Pinged(errors.New("away"))
	got := scrape(t, m)
	for name, want := range map[string]string{
		`matrix_connector_events_received_total{outcome="read",type="m.room.message"}`:          "1",
		`matrix_connector_events_received_total{outcome="read",type="other"}`:                   "1",
		`matrix_connector_events_received_total{outcome="undecrypted",type="m.room.encrypted"}`: "1",
		`matrix_connector_undecrypted_received_total{reason="no_session"}`:                      "1",
		`matrix_connector_undecrypted_received_total{reason="other"}`:                           "1",
		`matrix_connector_undecrypted_received_total{reason="bad_mac"}`:                         "0",
		`matrix_connector_events_decrypted_late_total`:                                          "1",
		`matrix_connector_event_delay_seconds_sum`:                                              "3",
		`matrix_connector_last_sync_timestamp_seconds`:                                          "1.7000000005e+09",
		`matrix_connector_work_seconds_count{operation="log_in"}`:                               "1",
		`matrix_connector_errors_total{class="temporary",operation="sync"}`:                     "1",
		`matrix_connector_errors_total{class="unauthorized",operation="ping"}`:                  "1",
		`matrix_connector_errors_total{class="other",operation="other"}`:                        "1",
		`matrix_connector_errors_total{class="unauthorized",operation="sync"}`:                  "0",
		`matrix_connector_publish_seconds_count`:                                                "1",
		`matrix_connector_settle_seconds_sum`:                                                   "2",
		`matrix_connector_deliveries_total{kind="post",outcome="landed"}`:                       "1",
		`matrix_connector_delivery_seconds_sum`:                                                 "4",
		`matrix_connector_attachment_bytes_total{step="fetched"}`:                               "100",
		`matrix_connector_attachment_bytes_total{step="attached"}`:                              "50",
		`errors_total`: "3", `client_errors_total`: "1", `bundles_sent_total`: "7", `records_sent_total`: "7", `runs_total`: "1",
		`ping_api_total`: "2", `ping_api_errors_total`: "1",
		`state{state="idle"}`: "1", `state{state="running"}`: "0", `state{state="stopped"}`: "0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
	m.Stopped()
	if got := scrape(t, m); got[`state{state="stopped"}`] != "1" || got[`state{state="idle"}`] != "0" {
		t.Errorf("state after the stop: %v", got[`state{state="stopped"}`])
	}
	if !slices.ContainsFunc(keys(got), func(n string) bool {
		return strings.HasPrefix(n, "matrix_connector_build_info{") && strings.Contains(n, `version="1.2.3"`)
	}) {
		t.Error("the version is not shown")
	}
	for _, name := range keys(got) {
		if strings.Contains(name, "alice") {
			t.Errorf("a stranger's word is a label: %s", name)
		}
	}
}

func keys(m map[string]string) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	return list
}

func TestWithoutMetricsNothingIsCounted(t *testing.T) {
	var m *telemetry.Metrics
	m.Event("m.room.message", telemetry.EventRead)
	m.Undecrypted("no_session")
	m.Decrypted()
	m.EventDelay(0)
	m.Synced(time.Time{})
	m.Worked("sync", 0)
	m.Failed("sync", "temporary", true)
	m.Begun()
	m.Published(1, 0)
	m.Settled(0)
	m.Delivered("post", "landed")
	m.Landed(0)
	m.Fetched(1)
	m.Attached(1)
	m.Pinged(nil)
	m.Idle()
	m.Running()
	m.Stopped()
	m.Observe(nil, nil)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("code %d", w.Code)
	}
}

func TestNamesStartAsTheSettingsSay(t *testing.T) {
	got := scrape(t, newMetrics(t, telemetry.MetricsConfig{Namespace: "octi", Subsystem: "chat"}))
	for _, name := range []string{"octi_chat_runs_total", `octi_chat_state{state="idle"}`, "octi_chat_matrix_connector_events_decrypted_late_total", "go_goroutines"} {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	for _, bad := range []telemetry.MetricsConfig{{Namespace: "a-b"}, {Subsystem: "1a"}, {Namespace: "ü"}} {
		if _, err := telemetry.NewMetrics(bad); err == nil || !strings.Contains(err.Error(), "CONNECTOR_METRICS_") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestAStormOfScrapesAsksOnce(t *testing.T) {
	m := newMetrics(t, telemetry.MetricsConfig{})
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	asked, fails := 0, false
	m.Observe(func(ctx context.Context) (telemetry.Levels, error) {
		asked++
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the question has no bound")
		}
		if fails {
			return telemetry.Levels{}, errors.New("disk I/O error")
		}
		return telemetry.Levels{
			Posts: map[string]int{"landed": 100 * asked, "unheard_of": 1}, OldestDue: now.Add(-time.Minute), Synced: now.Add(-2 * time.Second),
			Free: 1 << 30, Ready: true, Bytes: map[string]int64{"spool": 5}, FetchWaits: "disk_low", Signed: new(false), BackupOpen: new(true),
			Causes: map[string]int{"": 2, "m.unverified": 3, "of a stranger": 4}, Withholders: map[string]int{"m.no_olm": 1, "odd": 1},
		}, nil
	}, func() time.Time { return now })
	for range 50 {
		scrape(t, m)
	}
	got := scrape(t, m)
	if asked != 1 || got[`matrix_connector_posts{state="landed"}`] != "100" || got[`matrix_connector_posts{state="dead"}`] != "0" {
		t.Errorf("asked %d times; %v landed, %v dead", asked, got[`matrix_connector_posts{state="landed"}`], got[`matrix_connector_posts{state="dead"}`])
	}
	for name, want := range map[string]string{
		"matrix_connector_delivery_lag_seconds": "60", "matrix_connector_sync_lag_seconds": "2", "matrix_connector_decryption_lag_seconds": "0",
		"matrix_connector_store_free_bytes": "1.073741824e+09", "matrix_connector_ready": "1", `matrix_connector_store_bytes{part="spool"}`: "5",
		`matrix_connector_attachments_waiting{reason="disk_low"}`: "1", `matrix_connector_attachments_waiting{reason="spool_full"}`: "0",
		"matrix_connector_device_signed": "0", "matrix_connector_key_backup_open": "1",
		`matrix_connector_undecrypted_causes{cause="none"}`: "2", `matrix_connector_undecrypted_causes{cause="m.unverified"}`: "3",
		`matrix_connector_undecrypted_causes{cause="other"}`: "4", `matrix_connector_undecrypted_causes{cause="failed_olm"}`: "0",
		`matrix_connector_key_withholders{code="m.no_olm"}`: "1", `matrix_connector_key_withholders{code="other"}`: "1",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
	if _, ok := got[`matrix_connector_posts{state="unheard_of"}`]; ok {
		t.Error("a state that does not exist is a label")
	}
	// The age of what was told grows also between two questions.
	now = now.Add(5 * time.Second)
	if got := scrape(t, m); asked != 1 || got["matrix_connector_delivery_lag_seconds"] != "65" {
		t.Errorf("asked %d times, lag %v", asked, got["matrix_connector_delivery_lag_seconds"])
	}
	now, fails = now.Add(10*time.Second), true
	for range 3 {
		got = scrape(t, m)
	}
	if _, ok := got[`matrix_connector_posts{state="landed"}`]; ok || asked != 2 || got["matrix_connector_levels_errors_total"] != "1" {
		t.Errorf("a store that cannot be asked: asked %d times, %v", asked, got["matrix_connector_levels_errors_total"])
	}
	now, fails = now.Add(10*time.Second), false
	if got := scrape(t, m); got[`matrix_connector_posts{state="landed"}`] != "300" {
		t.Errorf("when it can be asked again: %v", got[`matrix_connector_posts{state="landed"}`])
	}
}

func TestTheManualListsAllMetrics(t *testing.T) {
	const file = "../../docs/metrics.md"
	var table strings.Builder
	table.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, d := range newMetrics(t, telemetry.MetricsConfig{}).Definitions() {
		labels := strings.Join(d.Labels, "`, `")
		if labels != "" {
			labels = "`" + labels + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", d.Name, d.Type, labels, d.Help)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- metrics: begin -->\n", "<!-- metrics: end -->"
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	want := head + begin + "\n" + table.String() + "\n" + end + tail
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Errorf("%s does not list the metrics as they are: go test ./internal/telemetry -update", file)
	}
}

// foreign are metrics of the Go runtime and the process that the dashboard shows.
var foreign = []string{"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "go_memstats_heap_inuse_bytes", "go_goroutines"}

func TestDashboardAndAlertsNameMetricsThatExist(t *testing.T) {
	m := newMetrics(t, telemetry.MetricsConfig{})
	m.Observe(func(context.Context) (telemetry.Levels, error) { return telemetry.Levels{}, nil }, time.Now)
	exposed := keys(scrape(t, m))
	known := map[string]bool{}
	for _, name := range foreign {
		if !slices.Contains(exposed, name) {
			t.Errorf("%s is not exposed", name)
		}
		known[name] = true
	}
	used := map[string]bool{}
	for _, d := range m.Definitions() {
		known[d.Name] = true
		if d.Type == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				known[d.Name+suffix] = true
			}
		}
	}
	dashboard, err := os.ReadFile("../../deploy/grafana/matrix-connector.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(dashboard) {
		t.Fatal("the dashboard is no JSON")
	}
	var parsed struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(dashboard, &parsed); err != nil {
		t.Fatal(err)
	}
	expressions := map[string]string{}
	for _, p := range parsed.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %s shows nothing", p.Title)
		}
		for i, target := range p.Targets {
			expressions[fmt.Sprintf("panel %s, %d", p.Title, i)] = target.Expr
		}
	}
	alerts, err := os.ReadFile("../../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range regexp.MustCompile(`(?m)^ +expr: '(.*)'$`).FindAllStringSubmatch(string(alerts), -1) {
		expressions["alert "+e[1]] = e[1]
	}
	if len(expressions) < 40 {
		t.Fatalf("only %d expressions found", len(expressions))
	}
	// A name before its labels, its range or an operator; words before "(" are functions.
	names := regexp.MustCompile(`[a-z][a-z0-9_]*_[a-z0-9_]+|\bstate\b`)
	labels := regexp.MustCompile(`\{[^}]*\}|\b(by|on|ignoring|without) ?\([^)]*\)`)
	functions := []string{"histogram_quantile"}
	for where, e := range expressions {
		for _, name := range names.FindAllString(labels.ReplaceAllString(strings.ReplaceAll(e, "$__rate_interval", "5m"), ""), -1) {
			if slices.Contains(functions, name) {
				continue
			}
			used[name] = true
			if !known[name] {
				t.Errorf("%s: there is no metric %s", where, name)
			}
		}
	}
	for _, d := range m.Definitions() {
		if !used[d.Name] && !used[d.Name+"_bucket"] && !used[d.Name+"_sum"] {
			t.Errorf("neither dashboard nor alerts show %s", d.Name)
		}
	}
}
