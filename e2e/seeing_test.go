package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/status"
)

// onlooker asks a running connector from outside.
type onlooker struct {
	*scene.Scene
	t    *testing.T
	port int
}

// watched lets the connector of a scene be seen.
func watched(t *testing.T, s *scene.Scene) *onlooker {
	t.Helper()
	port, err := parts.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(s.Env, map[string]string{
		"CONNECTOR_EXPOSE_METRICS": "true", "CONNECTOR_METRICS_ADDRESS": "127.0.0.1", "CONNECTOR_METRICS_PORT": strconv.Itoa(port),
		"CONNECTOR_METRICS_NAMESPACE": "octi",
	})
	return &onlooker{Scene: s, t: t, port: port}
}

// gets asks for a path. Code 0 means that nobody answered.
func (o *onlooker) gets(path string) (code int, body string) {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", o.port, path), nil)
	if err != nil {
		o.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }() // only read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

// metric is the value of one line of /metrics, -1 where it is not there.
func (o *onlooker) metric(name string) float64 {
	o.t.Helper()
	_, body := o.gets("/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, "octi_"+name+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				o.t.Fatal(err)
			}
			return f
		}
	}
	return -1
}

// asks runs a command beside the connector.
func (o *onlooker) asks(args ...string) (code int, said string) {
	o.t.Helper()
	run, err := parts.StartConnector(o.t.Context(), parts.ConnectorConfig{Dir: o.Dir, Args: args, Env: maps.Clone(o.Env)})
	if err != nil {
		o.t.Fatal(err)
	}
	code, err = run.Wait(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return code, strings.Join(append(run.Stdout.Lines(), run.Stderr.Lines()...), "\n")
}

func (o *onlooker) becomesReady() {
	o.t.Helper()
	o.Until("the connector is ready", func() bool { code, _ := o.gets("/readyz"); return code == http.StatusOK })
}

func TestAnOnlookerSeesWhatIsSaid(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	o := watched(t, s)
	alice := s.Town.Moves("alice")
	s.Starts()
	o.becomesReady()
	room := joined(s, alice, "War <script>room", people.Encrypted())
	const words = "the quick brown canary sings in the mine"
	for i := range 5 {
		alice.Says(room, fmt.Sprintf("%s, verse %d", words, i))
	}
	alice.Sends(room, people.Document("name-of-a-secret-file.pdf", "verse"), "")
	s.Receives()

	o.Until("six messages and a file are counted", func() bool {
		return o.metric(`matrix_connector_posts{state="landed"}`) == 6 && o.metric(`matrix_connector_attachments{state="attached"}`) == 1
	})
	for name, least := range map[string]float64{
		`matrix_connector_events_received_total{outcome="read",type="m.room.message"}`: 6,
		`matrix_connector_deliveries_total{kind="post",outcome="landed"}`:              6,
		`matrix_connector_delivery_seconds_count`:                                      6,
		`matrix_connector_event_delay_seconds_count`:                                   6,
		`matrix_connector_attachments{state="attached"}`:                               1,
		`matrix_connector_attachment_bytes_total{step="attached"}`:                     1,
		`matrix_connector_last_sync_timestamp_seconds`:                                 1,
		`matrix_connector_store_bytes{part="database"}`:                                4096,
		`matrix_connector_ready`:                                                       1,
		`bundles_sent_total`:                                                           14, // channel, author, six messages and their relations
		`runs_total`:                                                                   1,
		`ping_api_total`:                                                               1,
	} {
		if got := o.metric(name); got < least {
			t.Errorf("%s is %v, want at least %v", name, got, least)
		}
	}
	for _, name := range []string{
		`matrix_connector_posts{state="dead"}`, `matrix_connector_undecrypted_events{reason="no_session"}`, `ping_api_errors_total`,
		`matrix_connector_delivery_lag_seconds`, `matrix_connector_levels_errors_total`, `state{state="stopped"}`,
	} {
		if got := o.metric(name); got != 0 {
			t.Errorf("%s is %v, want 0", name, got)
		}
	}

	var shown status.Snapshot
	o.Until("the status shows them", func() bool {
		_, text := o.gets("/status.json")
		shown = status.Snapshot{}
		if err := json.Unmarshal([]byte(text), &shown); err != nil {
			t.Fatal(err)
		}
		return shown.Counts.Posts["landed"] == 6 && shown.Counts.Attachments["attached"] == 1 && !shown.Device.Looked.IsZero()
	})
	if len(shown.Rooms) != 1 || shown.Rooms[0].ID != room.String() || shown.Rooms[0].Name != "War <script>room" || !shown.Rooms[0].Encrypted ||
		shown.Rooms[0].Posts["landed"] != 6 || shown.Rooms[0].LastImported.IsZero() {
		t.Errorf("rooms: %+v", shown.Rooms)
	}
	if c := shown.Connector; c.DeviceID == "" || c.UserID != s.Bot.String() || c.Sink.Version == "" {
		t.Errorf("connector: %+v", c)
	}
	// An account without an identity cannot sign the bot's device; all else is well.
	if shown.Health.Level != status.Warn || shown.Health.Sentence != "Running. Worth a look: the bot's device is not signed." || !shown.Readiness.Ready {
		t.Errorf("health: %+v, %+v", shown.Health, shown.Readiness)
	}
	_, page := o.gets("/")
	if !strings.Contains(page, "War &lt;script&gt;room") {
		t.Error("the room is not on the page")
	}
	_, text := o.gets("/status.json")
	for _, word := range []string{"canary", "secret-file", s.Env["OPENCTI_TOKEN"], people.Password} {
		if strings.Contains(page+text, word) {
			t.Errorf("the status shows %q", word)
		}
	}

	if code, said := o.asks("health"); code != 0 || said != "ready" {
		t.Errorf("health: %d %q", code, said)
	}
	if code, said := o.asks("health", "--live"); code != 0 || said != "alive" {
		t.Errorf("health --live: %d %q", code, said)
	}
}

func TestWhatIsAwayIsSaidAndAKillIsNoticed(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true}) // a client that is killed can end Dendrite
	o := watched(t, s)
	alice := s.Town.Moves("alice")
	if code, said := o.asks("health"); code != 1 || !strings.Contains(said, "no connector is running on this store") {
		t.Errorf("before the start: %d %q", code, said)
	}
	s.Starts()
	o.becomesReady()
	room := joined(s, alice, "War room")
	alice.Says(room, "Before anything happens")
	s.Receives()

	for _, away := range []struct {
		gate *parts.Gate
		says string
	}{{s.ToHomeserver, "the homeserver is unreachable"}, {s.ToPlatform, "the platform is unreachable"}} {
		away.gate.Shut()
		if away.gate == s.ToPlatform {
			alice.Says(room, "Said while the platform is away") // else nobody looks for it
		}
		o.Until(away.says, func() bool {
			code, text := o.gets("/readyz")
			return code == http.StatusServiceUnavailable && strings.Contains(text, "not ready: "+away.says+", since 2")
		})
		if code, said := o.asks("health"); code != 1 || !strings.Contains(said, away.says) {
			t.Errorf("health: %d %q", code, said)
		}
		if code, said := o.asks("health", "--live"); code != 0 {
			t.Errorf("a connector that waits does not live: %d %q", code, said)
		}
		if err := away.gate.Open(); err != nil {
			t.Fatal(err)
		}
		o.becomesReady()
	}

	// A kill leaves the socket behind.
	s.Kills()
	if _, err := os.Lstat(filepath.Join(s.Env["MATRIX_STORE_PATH"], "control.sock")); err != nil {
		t.Errorf("the kill took the socket away: %v", err)
	}
	if code, said := o.asks("health"); code != 1 || !strings.Contains(said, "no connector is running on this store") {
		t.Errorf("after a kill: %d %q", code, said)
	}
	s.Starts()
	o.becomesReady()
	if code, said := o.asks("health"); code != 0 {
		t.Errorf("after the next start: %d %q", code, said)
	}
	s.Stops()
	if _, err := os.Lstat(filepath.Join(s.Env["MATRIX_STORE_PATH"], "control.sock")); !os.IsNotExist(err) {
		t.Errorf("a stop leaves the socket behind: %v", err)
	}
}

func TestATakenPortIsSaidAndImportingGoesOn(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	o := watched(t, s)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", o.port))
	if err != nil {
		t.Fatal(err)
	}
	alice := s.Town.Moves("alice")
	s.Starts()
	s.Logs(`"ERROR"`, "cannot be served", "CONNECTOR_METRICS_PORT", "address already in use")
	room := joined(s, alice, "War room")
	alice.Says(room, "Nobody sees it, and it arrives")
	s.Receives()
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	o.becomesReady() // the address is tried again
}
