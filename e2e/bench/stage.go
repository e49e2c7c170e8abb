package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

const password = "the password of the bot"

// Stage is what the binary is measured on.
type Stage struct {
	Homeserver *matrixtest.Server
	Platform   *openctitest.Platform
	Broker     *parts.RabbitMQ
	// Bot is the connector's account.
	Bot id.UserID
	// Env is what the connector is started with.
	Env map[string]string
	// Dir is the connector's working directory, which holds its store.
	Dir string

	b      *testing.B
	prefix string // of the queues: other stages use the same broker
}

// New builds a stage that goes when the benchmark ends. Nobody drains its queue
// before [Stage.Works].
func New(b *testing.B, o matrixtest.Options) *Stage {
	b.Helper()
	s := &Stage{b: b, Dir: b.TempDir(), prefix: uuid.NewString()[:8] + "_"}
	build := parts.BuildConnector // here, so that no start waits for it
	if s.profiles() != "" {
		build = parts.BuildProfiled
	}
	_, err := build(b.Context())
	s.must(err)
	s.Broker, err = broker()
	s.must(err)
	s.Homeserver, err = matrixtest.New(o)
	s.must(err)
	b.Cleanup(func() { _ = s.Homeserver.Close() })
	s.Bot = s.Homeserver.Account("octi", password)
	s.Platform, err = openctitest.New(openctitest.Config{
		Generation: openctitest.Gen7, NoLag: true,
		Broker: &openctitest.Broker{
			Host: s.Broker.Host, Port: s.Broker.Port, User: parts.BrokerUser, Password: parts.BrokerPassword, Prefix: s.prefix,
		},
	})
	s.must(err)
	b.Cleanup(func() { _ = s.Platform.Close() })
	s.Env = map[string]string{
		"OPENCTI_URL":       s.Platform.URL(),
		"OPENCTI_TOKEN":     s.Platform.Token("connector"),
		"CONNECTOR_ID":      uuid.NewString(),
		"MATRIX_SERVER":     s.Homeserver.URL(),
		"MATRIX_USER_ID":    s.Bot.String(),
		"MATRIX_PASSWORD":   password,
		"MATRIX_STORE_PATH": s.Store(),
	}
	return s
}

// Works lets the stand-in drain the queue, until the benchmark ends.
func (s *Stage) Works() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Platform.Run(ctx) }()
	s.b.Cleanup(func() { stop(); <-ended })
}

// Store is the store's folder.
func (s *Stage) Store() string { return filepath.Join(s.Dir, "store") }

// Queue is the name of the connector's queue.
func (s *Stage) Queue() string { return s.prefix + "push_" + s.Env["CONNECTOR_ID"] }

// Rooms makes rooms that speaker and bot are in.
func (s *Stage) Rooms(n int, speaker id.UserID, o matrixtest.RoomOptions) []*matrixtest.Room {
	rooms := make([]*matrixtest.Room, n)
	for i := range rooms {
		o.Name = fmt.Sprintf("Incident room %d", i)
		rooms[i] = s.Homeserver.NewRoom(speaker, o)
		rooms[i].Join(s.Bot)
	}
	return rooms
}

// Starts runs the connector; it is stopped at the end of the benchmark at the
// latest.
func (s *Stage) Starts() *Run {
	s.b.Helper()
	c, err := parts.StartConnector(s.b.Context(), parts.ConnectorConfig{Dir: s.Dir, Env: maps.Clone(s.Env), Profiles: s.profiles()})
	s.must(err)
	r := &Run{Connector: c, s: s}
	s.b.Cleanup(func() {
		_ = c.Close()
		if dir := s.profiles(); dir != "" {
			s.must(os.WriteFile(filepath.Join(dir, fmt.Sprintf("log-%d.json", c.PID())), []byte(c.Stderr.String()), 0o600))
		}
	})
	return r
}

// profiles is the folder for the profiles and logs of this benchmark, empty when none
// are wanted.
func (s *Stage) profiles() string {
	if os.Getenv("PROFILE") == "" {
		return ""
	}
	root, err := parts.Root()
	s.must(err)
	dir := filepath.Join(root, "build", "profile", strings.ReplaceAll(strings.TrimPrefix(s.b.Name(), "Benchmark"), "/", "-"))
	s.must(os.MkdirAll(dir, 0o700))
	return dir
}

func (s *Stage) must(err error) {
	s.b.Helper()
	if err != nil {
		s.b.Fatal(err)
	}
}

// Run is a run of the connector on a stage.
type Run struct {
	*parts.Connector
	s *Stage
}

// Await waits until the platform satisfies a condition; it fails the benchmark when
// the connector ends or the time is over.
func (r *Run) Await(patience time.Duration, what string, holds func() bool) {
	r.s.b.Helper()
	if err := r.Awaits(patience, what, holds); err != nil {
		r.s.b.Fatal(err)
	}
}

// Awaits is Await for goroutines that must not end the benchmark.
func (r *Run) Awaits(patience time.Duration, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeoutCause(r.s.b.Context(), patience, fmt.Errorf("%v are over", patience))
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-r.Done():
			end(errors.New("the connector has ended"))
		case <-ctx.Done():
		}
	}()
	if r.s.Platform.Await(ctx, holds) == nil {
		return nil
	}
	return r.failed(fmt.Errorf("waited in vain until %s: %w", what, context.Cause(ctx)))
}

// Synced waits until the n-th /sync of the homeserver has been answered.
func (r *Run) Synced(n int) {
	r.s.b.Helper()
	ctx, cancel := context.WithTimeout(r.s.b.Context(), time.Minute)
	defer cancel()
	if err := r.s.Homeserver.AwaitAnswers(ctx, matrixtest.Sync, n); err != nil {
		r.s.b.Fatal(r.failed(err))
	}
}

// Ends tells the connector to stop and waits until it has.
func (r *Run) Ends() {
	r.s.b.Helper()
	r.s.must(r.Close())
	ctx, cancel := context.WithTimeout(r.s.b.Context(), time.Minute)
	defer cancel()
	if code, err := r.Wait(ctx); err != nil || code != 0 {
		r.s.b.Fatal(r.failed(fmt.Errorf("the connector ended with %d, %w", code, err)))
	}
}

// Peak is the largest resident memory so far.
func (r *Run) Peak() int64 {
	r.s.b.Helper()
	m, err := r.Memory()
	r.s.must(err)
	return m.Peak
}

// Spent is the processor time so far.
func (r *Run) Spent() time.Duration {
	r.s.b.Helper()
	spent, err := r.CPU()
	r.s.must(err)
	return spent
}

func (r *Run) failed(err error) error {
	n, skipped := r.s.Platform.Imported()
	return fmt.Errorf("%w; the platform took %d objects and skipped %d; the end of the connector's log:\n%s", err, n, skipped, r.Stderr.Tail(40))
}

// shared is the broker of all stages: it takes seconds to start.
var shared struct {
	sync.Mutex
	dir    string
	broker *parts.RabbitMQ
}

func broker() (*parts.RabbitMQ, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.broker != nil {
		return shared.broker, nil
	}
	dir, err := os.MkdirTemp("", "rabbitmq")
	if err != nil {
		return nil, err
	}
	shared.dir = dir
	shared.broker, err = parts.StartRabbitMQ(context.Background(), dir)
	return shared.broker, err
}

// Close stops what all stages share.
func Close() {
	shared.Lock()
	defer shared.Unlock()
	if shared.broker != nil {
		_ = shared.broker.Close()
		_ = os.RemoveAll(shared.dir)
	}
}
