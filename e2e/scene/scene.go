package scene

import (
	"context"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// Patience is how long a story waits for what has to come. It bounds a failure,
// not a success: the machine may be busy with ten other stories.
const Patience = 2 * time.Minute

// Config chooses the parts; its zero value is a good scene.
type Config struct {
	// Synapse instead of Dendrite. Stories in which the connector ends or is cut off
	// inside a /sync want it: Dendrite on SQLite may stop answering after that.
	Synapse bool
	// Generation of the platform; 0 is the newest.
	Generation openctitest.Generation
	// MaxUpload bounds files on the homeserver, in bytes; 0 is its default.
	MaxUpload int64
	// OwnBroker gives the story a broker that it may kill.
	OwnBroker bool
	// BrokerTLS gives the story a broker of its own that speaks TLS, too.
	BrokerTLS parts.BrokerTLS
	// VendorWorker is the version of OpenCTI's own client library that drains the
	// queue instead of the stand-in's worker; empty for the latter.
	VendorWorker string
}

// Scene is one story's world.
type Scene struct {
	Town     *people.Town
	Platform *openctitest.Platform
	Broker   *parts.RabbitMQ
	// Bot is the connector's account.
	Bot id.UserID
	// Env is what the connector is started with.
	Env map[string]string
	// Dir is the connector's working directory, which holds its store.
	Dir string
	// Program is what is run in place of the binary that is built here, if set.
	Program []string
	// The doors to the three parts. Shut ones are opened again at the end.
	ToHomeserver, ToBroker, ToPlatform *parts.Gate

	t       *testing.T
	run     *parts.Connector   // the last one
	runs    []*parts.Connector // all of them
	unread  map[id.RoomID]bool
	offline bool
	refused map[id.EventID]bool // messages whose file is not to arrive
	outside map[id.EventID]bool // messages that are not to arrive
	marked  map[id.RoomID]string
	secrets map[string]string // what must stand nowhere, and what it is
	// processes is what others saw in the list of processes.
	processes string
	// unaudited is why the audit is left out.
	unaudited string
}

// New builds a scene that goes when the test ends.
func New(t *testing.T, c Config) *Scene {
	t.Helper()
	s := &Scene{t: t, Dir: t.TempDir(), unread: map[id.RoomID]bool{}, refused: map[id.EventID]bool{}, outside: map[id.EventID]bool{}, marked: map[id.RoomID]string{}, secrets: map[string]string{}}
	if c.OwnBroker || c.BrokerTLS != (parts.BrokerTLS{}) {
		s.Broker = ownBroker(t, c.BrokerTLS)
	} else {
		s.Broker = sharedBroker(t)
	}

	start := parts.StartDendrite
	if c.Synapse {
		start = parts.StartSynapse
	}
	hs, err := start(t.Context(), parts.HomeserverConfig{Dir: t.TempDir(), MaxUpload: c.MaxUpload})
	s.must(err)
	t.Cleanup(func() { _ = hs.Close() })
	s.Town = people.New(t, hs)
	s.Bot = s.Town.Registers("octi")

	if c.Generation == 0 {
		c.Generation = openctitest.Gen7
	}
	platform := openctitest.Config{
		Generation: c.Generation,
		Broker: &openctitest.Broker{
			Host: s.Broker.Host, Port: s.Broker.Port, User: parts.BrokerUser, Password: parts.BrokerPassword,
			Prefix: uuid.NewString()[:8] + "_", // other stories use the same broker
		},
		ManagerPeriod: time.Second,
	}
	if c.VendorWorker != "" {
		platform.ForeignWorker = true
		platform.Schema = fullSchema(t, c.Generation)
	}
	s.Platform, err = openctitest.New(platform)
	s.must(err)
	working, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Platform.Run(working) }()
	t.Cleanup(func() { stop(); <-ended; _ = s.Platform.Close() })

	s.ToHomeserver = s.gate(hs.URL)
	s.ToPlatform = s.gate(s.Platform.URL())
	s.ToBroker = s.gate(strings.TrimSuffix(strings.SplitAfter(s.Broker.URL(), "@")[1], "/"))
	host, port, err := net.SplitHostPort(s.ToBroker.Address())
	s.must(err)
	s.Env = map[string]string{
		"OPENCTI_URL":         "http://" + s.ToPlatform.Address(),
		"OPENCTI_TOKEN":       s.Platform.Token("connector"),
		"CONNECTOR_ID":        uuid.NewString(),
		"CONNECTOR_NAME":      "Matrix",
		"CONNECTOR_SCOPE":     "matrix",
		"CONNECTOR_LOG_LEVEL": "debug", // more to find a secret in
		"MATRIX_DEBUG":        "true",
		"MQ_HOST":             host,
		"MQ_PORT":             port,
		"MATRIX_SERVER":       "http://" + s.ToHomeserver.Address(),
		"MATRIX_USER_ID":      s.Bot.String(),
		"MATRIX_PASSWORD":     people.Password,
		"MATRIX_INVITE_FROM":  "*:" + parts.ServerName,
		"MATRIX_STORE_PATH":   filepath.Join(s.Dir, "store"),
		"MATRIX_TLP":          "AMBER",
	}
	t.Cleanup(s.curtain)
	if c.VendorWorker != "" {
		s.vendor(c.VendorWorker, platform.Broker.Prefix+"push_"+s.Env["CONNECTOR_ID"])
	}
	return s
}

func (s *Scene) gate(to string) *parts.Gate {
	s.t.Helper()
	g, err := parts.OpenGate(strings.TrimPrefix(to, "http://"))
	s.must(err)
	s.t.Cleanup(g.Shut)
	return g
}

// NotRead says that the bot is not to read a room: what is said there must not
// reach the platform.
func (s *Scene) NotRead(room id.RoomID) { s.unread[room] = true }

// Offline says that nothing of the story is to reach the platform.
func (s *Scene) Offline() { s.offline = true }

// Read takes NotRead back.
func (s *Scene) Read(room id.RoomID) { delete(s.unread, room) }

// Marked says that what is imported of a room bears a marking of its own, such as RED.
func (s *Scene) Marked(room id.RoomID, tlp string) { s.marked[room] = tlp }

// Imported takes NotImported back.
func (s *Scene) Imported(e id.EventID) { delete(s.outside, e) }

// NotImported says that a message must not reach the platform.
func (s *Scene) NotImported(e id.EventID) { s.outside[e] = true }

// Unfetched says that the file of a message is not to arrive.
func (s *Scene) Unfetched(e id.EventID) { s.refused[e] = true }

// Starts runs the connector, with args or else its default command.
func (s *Scene) Starts(args ...string) *parts.Connector {
	s.t.Helper()
	run, err := parts.StartConnector(s.t.Context(), parts.ConnectorConfig{Dir: s.Dir, Args: args, Env: maps.Clone(s.Env), Program: s.Program})
	s.must(err)
	s.run, s.runs = run, append(s.runs, run)
	s.watches(run)
	return run
}

// Stops asks the connector to end and waits until it has ended well.
func (s *Scene) Stops() {
	s.t.Helper()
	if s.run == nil {
		return
	}
	// A signal that comes before the program can hear it is not what a story is about.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), time.Minute)
	defer cancel()
	run := s.run
	go func() {
		select {
		case <-run.Done():
			cancel() // nothing more will be logged
		case <-ctx.Done():
		}
	}()
	_, _ = s.run.Stderr.Await(ctx, func(line string) bool { return strings.Contains(line, `"starting"`) })
	_ = s.run.Signal(syscall.SIGTERM) // or it has ended by itself
	s.Ends()
}

// Ends waits until the connector has ended well by itself.
func (s *Scene) Ends() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), time.Minute)
	defer cancel()
	code, err := s.run.Wait(ctx)
	if err != nil || code != 0 {
		s.t.Errorf("the connector ended with %d, %v", code, err)
	}
	s.run = nil
}

// Kills ends the connector at once, as a loss of power would.
func (s *Scene) Kills() {
	s.run.Kill()
	s.run = nil
}

// Dies waits until the connector has ended or a condition holds, and reports whether
// it has ended.
func (s *Scene) Dies(or func() bool) bool {
	s.t.Helper()
	run := s.run
	died := false
	s.Until("the connector died, or has done what it was to do", func() bool {
		select {
		case <-run.Done():
			died = true
		default:
		}
		return died || or()
	})
	if died {
		s.run = nil
	}
	return died
}

// Ended waits until a connector that was asked to end, or has a death before it, has
// ended, and reports whether it died.
func (s *Scene) Ended() (died bool) {
	s.t.Helper()
	_ = s.run.Signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), time.Minute)
	defer cancel()
	code, err := s.run.Wait(ctx)
	if err != nil || code > 0 {
		s.t.Errorf("the connector ended with %d, %v", code, err)
	}
	s.run = nil
	return code < 0
}

// Arrived reports whether all that was said stands on the platform.
func (s *Scene) Arrived() bool {
	said := s.said()
	return len(s.Platform.Objects("Media-Content")) >= len(said) && len(s.compare(said)) == 0
}

// Log is the end of the last run's log.
func (s *Scene) Log() string {
	if len(s.runs) == 0 {
		return ""
	}
	return s.runs[len(s.runs)-1].Stderr.Tail(40)
}

// Reborn makes the connector one that has never run: with an account of its own that
// nobody has used, another store, another registration. The former store is deleted;
// what was said before stays said.
func (s *Scene) Reborn(name string) {
	s.t.Helper()
	s.must(os.RemoveAll(s.store()))
	s.Bot = s.Town.Registers(name)
	maps.Copy(s.Env, map[string]string{
		"MATRIX_USER_ID": s.Bot.String(), "MATRIX_STORE_PATH": filepath.Join(s.Dir, name), "CONNECTOR_ID": uuid.NewString(),
	})
}

// Failed says that the connector has ended as the story wanted, and not well.
func (s *Scene) Failed() { s.run = nil }

// Run is the running connector, nil after its end.
func (s *Scene) Run() *parts.Connector { return s.run }

// Logs waits for a line of the connector's log that holds all parts.
func (s *Scene) Logs(substrings ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), Patience)
	defer cancel()
	line, err := s.run.Stderr.Await(ctx, func(l string) bool {
		for _, p := range substrings {
			if !strings.Contains(l, p) {
				return false
			}
		}
		return true
	})
	if err != nil {
		s.t.Fatalf("no log line holds %q", substrings)
	}
	return line
}

// Until waits until a condition holds that nothing announces.
func (s *Scene) Until(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// Receives waits until all that was said up to now stands on the platform.
func (s *Scene) Receives() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), Patience)
	defer cancel()
	s.receives(ctx)
}

func (s *Scene) receives(ctx context.Context) {
	s.t.Helper()
	said := s.said()
	var problems []string
	err := s.Platform.Await(ctx, func() bool {
		if len(s.Platform.Objects("Media-Content")) < len(said) {
			return false // each change of the platform asks, and comparing costs more
		}
		problems = s.compare(said)
		return len(problems) == 0
	})
	if err == nil {
		return
	}
	problems = s.compare(said)
	s.t.Errorf("not all that was said arrived:\n  %s", strings.Join(problems[:min(len(problems), 20)], "\n  "))
	for _, w := range s.Platform.Works() {
		s.t.Logf("work %s %d/%d %q", w.Status, w.Processed, w.Expected, w.Errors)
	}
	s.t.FailNow()
}

// ReceivesOnly waits until these events stand on the platform, and asserts that
// nothing does that nobody said. Other messages may be missing yet.
func (s *Scene) ReceivesOnly(only ...id.EventID) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), Patience)
	defer cancel()
	err := s.Platform.Await(ctx, func() bool {
		found := s.messages()
		for _, e := range only {
			if len(found[e]) == 0 {
				return false
			}
		}
		return true
	})
	if err != nil {
		s.t.Fatalf("%v did not arrive: %v", only, err)
	}
	known := map[id.EventID]bool{}
	for _, one := range s.Town.Said() {
		known[one.Event] = true
	}
	for e := range s.messages() {
		if !known[e] {
			s.t.Errorf("%s stands on the platform, but nobody said it", e)
		}
	}
}

// said is what was said in the rooms that the bot is to read.
func (s *Scene) said() []people.Said {
	var said []people.Said
	for _, one := range s.Town.Said() {
		if !s.offline && !s.unread[one.Room] && !s.outside[one.Event] {
			said = append(said, one)
		}
	}
	return said
}

func (s *Scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
