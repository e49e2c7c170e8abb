package check_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/check"
	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
)

const (
	password = "canary-password"
	connID   = "7f2b7a4e-6d0b-4c52-9a55-0c1f6f6b2f11"
)

// scene is everything that a connector needs, all well, and the settings that lead
// there.
type scene struct {
	t          *testing.T
	homeserver *matrixtest.Server
	platform   *openctitest.Platform
	broker     *amqpBroker
	bot, alice id.UserID
	env        map[string]string
	yaml       string // config.yml
	register   bool
	patience   time.Duration
	now        func() time.Time
}

func newScene(t *testing.T, platform openctitest.Config) *scene {
	t.Helper()
	s := &scene{t: t, patience: 5 * time.Second}
	var err error
	if s.homeserver, err = matrixtest.New(matrixtest.Options{}); err != nil {
		t.Fatal(err)
	}
	s.bot, s.alice = s.homeserver.Account("bot", password), s.homeserver.Account("alice", "canary-alice")
	s.homeserver.NewRoom(s.alice, matrixtest.RoomOptions{Name: "Den"}).Join(s.bot)
	if platform.Generation == 0 {
		platform.Generation = openctitest.Gen7
	}
	if platform.Users == nil {
		platform.Users = []openctitest.User{{Name: "connector", Token: "canary-token"}, {Name: "other", Token: "canary-other"}}
	}
	if s.platform, err = openctitest.New(platform); err != nil {
		t.Fatal(err)
	}
	s.broker = newBroker(t, nil)
	s.env = map[string]string{
		"MATRIX_SERVER": s.homeserver.URL(), "MATRIX_USER_ID": string(s.bot), "MATRIX_PASSWORD": password,
		"MATRIX_STORE_PATH": filepath.Join(t.TempDir(), "store"), "MATRIX_STORE_KEY": "canary-store-key", "MATRIX_INVITE_FROM": "*:test.example",
		"OPENCTI_URL": s.platform.URL(), "OPENCTI_TOKEN": s.platform.Token("connector"), "CONNECTOR_ID": connID,
		"MQ_HOST": "127.0.0.1", "MQ_PORT": strconv.Itoa(s.broker.port()),
	}
	t.Cleanup(func() {
		if v := s.homeserver.Violations(); len(v) > 0 {
			t.Errorf("the homeserver complains:\n%s", strings.Join(v, "\n"))
		}
		for _, v := range s.platform.Violations() {
			t.Errorf("the platform complains: %s", v)
		}
		if err := s.homeserver.Close(); err != nil {
			t.Error(err)
		}
		if err := s.platform.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// registers makes the connector known to the platform, as an earlier start.
func (s *scene) registers(name, kind, token string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{
		"query":     "mutation R($input: RegisterConnectorInput!) { registerConnector(input: $input) { id } }",
		"variables": map[string]any{"input": map[string]any{"id": connID, "name": name, "type": kind, "scope": []string{"matrix"}}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.platform.URL()+"/graphql", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if len(s.platform.Connectors()) != 1 {
		s.t.Fatal("not registered")
	}
}

// starts is an earlier start: the account has a device, and the ledger its rooms.
func (s *scene) starts(change ...func(*matrix.Config)) *matrix.Account {
	s.t.Helper()
	st, err := store.Open(s.t.Context(), store.Config{Path: s.env["MATRIX_STORE_PATH"], Key: []byte(s.env["MATRIX_STORE_KEY"])})
	if err != nil {
		s.t.Fatal(err)
	}
	l := ledger.New(ledger.Config{Store: st, Self: s.bot})
	if err := l.Open(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	c := matrix.Config{
		Homeserver: s.homeserver.URL(), UserID: s.bot, Password: s.env["MATRIX_PASSWORD"], AccessToken: s.env["MATRIX_ACCESS_TOKEN"],
		Store: st, Journal: l, Limits: matrix.Limits{LongPoll: time.Millisecond},
	}
	for _, f := range change {
		f(&c)
	}
	account, err := matrix.New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := account.Open(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if err := account.Sync(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := account.Close(); err != nil {
			s.t.Error(err)
		}
		if err := st.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return account
}

// report is what a check has said.
type report struct {
	t     *testing.T
	lines []check.Line
}

// checks runs a check, and asserts what holds for each: every name is there, in
// order, what is wrong has its cure, and no secret is said.
func (s *scene) checks() report {
	s.t.Helper()
	var environ []string
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		environ = append(environ, name+"="+s.env[name])
	}
	folder := s.t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "config.yml"), []byte(s.yaml), 0o600); err != nil {
		s.t.Fatal(err)
	}
	settings, problems := config.Load(config.Input{Environ: environ, Folders: []string{folder}, Purpose: config.ForPlatform})
	var told []check.Line
	lines := check.Run(s.t.Context(), check.Config{
		Settings: settings, Problems: problems, Register: s.register, Patience: s.patience, Now: s.now, Hide: telemetry.Hide,
		Told: func(l check.Line) { told = append(told, l) },
	})
	if len(told) != len(lines) {
		s.t.Errorf("%d lines were told, and %d given", len(told), len(lines))
	}
	var order []string
	for _, l := range lines {
		s.t.Logf("%-8s %-10s %s [%s]", l.State, l.Name, l.Says, l.Hint)
		if len(order) == 0 || order[len(order)-1] != l.Name {
			order = append(order, l.Name)
		}
		if l.Says == "" || l.State == check.Failed && l.Hint == "" {
			s.t.Errorf("%s is %s and says %q, hint %q", l.Name, l.State, l.Says, l.Hint)
		}
	}
	if !slices.Equal(order, check.Names) {
		s.t.Errorf("the lines are %v", order)
	}
	text, err := json.Marshal(lines)
	if err != nil {
		s.t.Fatal(err)
	}
	if bytes.Contains(text, []byte("canary")) {
		s.t.Errorf("a secret is said: %s", text)
	}
	return report{t: s.t, lines: lines}
}

// line gives the line of a name; of several the worst.
func (r report) line(name string) check.Line {
	r.t.Helper()
	rank := []check.State{check.Failed, check.Warning, check.Skipped, check.OK}
	var found *check.Line
	for i, l := range r.lines {
		if l.Name == name && (found == nil || slices.Index(rank, l.State) < slices.Index(rank, found.State)) {
			found = &r.lines[i]
		}
	}
	if found == nil {
		r.t.Fatalf("no line %s", name)
	}
	return *found
}

// is asserts the state of a line, and what it and its hint hold.
func (r report) is(name string, state check.State, holds ...string) {
	r.t.Helper()
	l := r.line(name)
	if l.State != state {
		r.t.Errorf("%s is %s (%s; hint: %s), want %s", name, l.State, l.Says, l.Hint, state)
		return
	}
	for _, text := range holds {
		if !strings.Contains(l.Says+"\n"+l.Hint, text) {
			r.t.Errorf("%s says %q, hint %q, without %q", name, l.Says, l.Hint, text)
		}
	}
}

// failsAlone asserts that a line failed, with what it and its hint hold, and that
// no other did.
func (r report) failsAlone(name string, holds ...string) {
	r.t.Helper()
	r.is(name, check.Failed, holds...)
	for _, l := range r.lines {
		if l.State == check.Failed && l.Name != name {
			r.t.Errorf("%s failed, too: %s", l.Name, l.Says)
		}
	}
	if check.Fine(r.lines) {
		r.t.Error("it counts as fine")
	}
}

// noneFails asserts that all is well, or nearly so.
func (r report) noneFails() {
	r.t.Helper()
	for _, l := range r.lines {
		if l.State == check.Failed {
			r.t.Errorf("%s failed: %s; hint: %s", l.Name, l.Says, l.Hint)
		}
	}
	if !check.Fine(r.lines) {
		r.t.Error("it does not count as fine")
	}
}

// before puts a proxy before a server that changes its answers.
func before(t *testing.T, target string, change func(*http.Response) error) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(forwarder(t, target, change))
	t.Cleanup(server.Close)
	return server
}

func forwarder(t *testing.T, target string, change func(*http.Response) error) *httputil.ReverseProxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.Host = u.Host
		},
		ModifyResponse: change,
	}
}

// closedPort is one that nobody listens at.
func closedPort(t *testing.T) int {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // nobody knows of it
	return l.Addr().(*net.TCPAddr).Port
}

func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// hasIdentity gives the account an identity from another client of it, and gives its
// recovery key.
func hasIdentity(t *testing.T, s *scene) (key string, other *matrixtest.Peer) {
	t.Helper()
	other, err := s.homeserver.NewPeer(t.Context(), s.bot.Localpart())
	if err != nil {
		t.Fatal(err)
	}
	s.homeserver.Account(s.bot.Localpart(), s.env["MATRIX_PASSWORD"])
	if key, err = other.Machine.GenerateAndVerifyWithRecoveryKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	return key, other
}

// signs cross-signs the account's device by another one of the same account.
func signs(t *testing.T, s *scene, account *matrix.Account) {
	t.Helper()
	_, other := hasIdentity(t, s)
	device, err := other.Machine.GetOrFetchDevice(t.Context(), s.bot, account.DeviceID())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Machine.SignOwnDevice(t.Context(), device); err != nil {
		t.Fatal(err)
	}
}
