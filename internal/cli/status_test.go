package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/cli"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/control"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/request"
	"github.com/matrix-connector/matrix-connector/internal/status"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// ask runs a command on the store of the working folder.
func ask(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	environ := []string{
		"MATRIX_SERVER=http://127.0.0.1:1", "MATRIX_USER_ID=@octi:example.org", "MATRIX_PASSWORD=canary-password", "MATRIX_STORE_KEY=a long key for tests",
	}
	var out, err strings.Builder
	code = cli.Main(t.Context(), args, environ, strings.NewReader(""), &out, &err)
	if strings.Contains(out.String()+err.String(), "canary") {
		t.Errorf("a secret is shown by %v", args)
	}
	return out.String(), err.String(), code
}

// darken adds events that cannot be read to a store that remember has made.
func darken(t *testing.T, path string, list ...timeline.Undecrypted) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Path: path, Key: []byte("a long key for tests")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // what was recorded is committed
	l := ledger.New(ledger.Config{Store: s, Clock: func() time.Time { return said }})
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Record(t.Context(), timeline.Batch{Undecrypted: list}); err != nil {
		t.Fatal(err)
	}
}

func dark(room id.RoomID, event id.EventID, reason timeline.UndecryptedReason, cause string) timeline.Undecrypted {
	return timeline.Undecrypted{
		Event: timeline.Event{
			Room: room, ID: event, Sender: "@alice:example.org", Type: "m.room.encrypted", Sent: said, Received: said, Live: true,
			Raw: json.RawMessage(`{}`),
		},
		Reason: reason, Cause: cause,
	}
}

func TestStatusOfAStoreOnWhichNoConnectorRuns(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	path := filepath.Join(dir, "store")
	remember(
		t, path,
		timeline.Room{ID: "!ops:example.org", Name: "War\x1b[31m room", Alias: "#ops:example.org", Encrypted: true, Membership: timeline.MembershipJoin},
		timeline.Room{ID: "!hr:example.org", Name: "HR", Alias: "#hr:example.org", Membership: timeline.MembershipJoin},
	)
	darken(
		t, path,
		dark("!ops:example.org", "$x", timeline.ReasonWithheld, "m.unverified"), dark("!ops:example.org", "$y", timeline.ReasonWithheld, "m.unverified"),
		dark("!hr:example.org", "$z", timeline.ReasonNoSession, ""),
	)

	text, stderr, code := ask(t, "status")
	if code != 0 || stderr != "" {
		t.Fatalf("code %d: %s", code, stderr)
	}
	for _, want := range []string{
		"No connector is running. 2 messages wait to be delivered. Worth a look: 3 messages have no key, delivery is ",
		"Running      no, version ",
		"Messages     2 due\n",
		"Events       2 read, 3 undecrypted\n",
		"Device       not looked at yet\n",
		"What cannot be read\n  2 events: the sender's client gives keys to verified devices only (withheld, m.unverified)",
		"      cure: the sender gives keys only to devices of people whose identity they have verified: verify each other by emoji (matrix-connector verify)\n           2  !ops:example.org  War[31m room\n",
		"  1 event: the key has not come (no_session)",
		"  !ops:example.org  War[31m room: 0 imported, 1 on the way, 2 without a key\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, "hello") {
		t.Errorf("what a stranger wrote is shown:\n%s", text)
	}

	asJSON, _, code := ask(t, "status", "--json")
	var s status.Snapshot
	if err := json.Unmarshal([]byte(asJSON), &s); err != nil || code != 0 {
		t.Fatalf("code %d, %v", code, err)
	}
	if !s.Stopped || s.Counts.Posts["due"] != 2 || len(s.Undecryptable) != 2 || s.Undecryptable[0].Cause != "m.unverified" || s.Undecryptable[0].Rooms[0].Count != 2 {
		t.Errorf("as JSON: %s", asJSON)
	}
	// Nothing was changed, also no table brought to another version.
	if again, _, _ := ask(t, "status", "--json"); strings.Count(again, "\n") != strings.Count(asJSON, "\n") {
		t.Errorf("asked again: %s", cmp.Diff(asJSON, again))
	}
}

// running is a connector that says what a test tells it to.
type running struct{ says status.Snapshot }

func (r running) Snapshot(context.Context) (status.Snapshot, error) { return r.says, nil }
func (r running) Readiness() status.Readiness                       { return r.says.Readiness }
func (r running) Alive() error                                      { return nil }

func TestStatusOfARunningConnectorIsWhatItSays(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	path := filepath.Join(dir, "store")
	remember(t, path)
	l, err := control.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	s := status.Snapshot{
		At: said, Connector: status.Connector{Name: "Matrix", Version: "1.2.3", Started: said.Add(-time.Hour), UserID: "@octi:example.org", DeviceID: "OCTI", Sink: status.Sink{Kind: "platform", Address: "https://cti"}},
		Health: status.Health{Level: status.Bad, Sentence: "Not ready: the platform is unreachable for 26 min."},
		Readiness: status.Readiness{Reasons: []status.Reason{{
			What: "the platform is unreachable", Since: said.Add(-26 * time.Minute), Detail: "dial tcp: connection refused", Cure: "look at OPENCTI_URL",
		}}},
		Counts: status.Counts{Posts: map[string]int{"landed": 1234, "due": 5, "dead": 1}, Gaps: 2},
		Lag:    status.Lag{LastSync: said.Add(-3 * time.Second), Sync: new(3.0), Delivery: new(1560.0)},
		Device: status.Device{
			Problem: "the account has no cross-signing identity", Cure: "run matrix-connector login",
			Withheld: []status.Withheld{{User: "@bob:example.org", Code: "m.unverified", Count: 3, Last: said.Add(-time.Minute), Cure: "get the device signed"}},
		},
		Troubles: []status.Trouble{{What: "post", State: "dead", Reason: "unconfirmed", Count: 1, Says: "taken and never shown", Cure: "look at the workers"}},
		Failures: []status.Failure{{Operation: "deliver", Class: "temporary", Error: "connection refused", Count: 7, At: said, Since: said.Add(-26 * time.Minute)}},
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- status.Serve(ctx, l, status.NewHandler(status.Config{Source: running{s}, Now: func() time.Time { return said }}))
	}()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	text, stderr, code := ask(t, "status")
	if code != 0 || stderr != "" {
		t.Fatalf("code %d: %s", code, stderr)
	}
	want := `Not ready: the platform is unreachable for 26 min.

Running      since 2026-03-01 11:00:00 UTC (1 h), version 1.2.3
Bot          @octi:example.org at , device OCTI
Platform     https://cti

Messages     1234 landed, 5 due, 1 dead
Rooms        none
Authors      none
Attachments  none
Events       none
Skipped      none
Gaps         2 to be read, link targets to be fetched: 0

Last sync    3 s ago
Oldest       that waits for delivery: 26 min; for its key: none

Why it is not ready
  the platform is unreachable, for 26 min
      dial tcp: connection refused
      cure: look at OPENCTI_URL

Device       NOT SIGNED: the account has no cross-signing identity
      cure: run matrix-connector login
Key backup   none is in use

Who withholds room keys
  @bob:example.org: m.unverified, 3 times, the last 1 min ago
      cure: get the device signed

What is missing
  1 message: taken and never shown
      cure: look at the workers

What failed since the start
  deliver: failing for 26 min, 7 times, the last under 1 s ago: connection refused
`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
	asJSON, _, code := ask(t, "status", "--json")
	var got status.Snapshot
	if err := json.Unmarshal([]byte(asJSON), &got); err != nil || code != 0 {
		t.Fatalf("code %d, %v", code, err)
	}
	if diff := cmp.Diff(s, got); diff != "" {
		t.Error(diff)
	}
}

func TestMissingListsByReasonWithCureAndChangesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	path := filepath.Join(dir, "store")
	remember(
		t, path,
		timeline.Room{ID: "!ops:example.org", Name: "Ops", Alias: "#ops:example.org", Encrypted: true, Membership: timeline.MembershipJoin},
		timeline.Room{ID: "!hr:example.org", Name: "HR", Alias: "#hr:example.org", Membership: timeline.MembershipJoin},
	)
	darken(
		t, path,
		dark("!ops:example.org", "$x\x1b[31m", timeline.ReasonWithheld, "m.blacklisted"), dark("!ops:example.org", "$y", timeline.ReasonWithheld, "m.blacklisted"),
		dark("!hr:example.org", "$z", timeline.ReasonNoSession, ""),
	)
	text, stderr, code := ask(t, "missing")
	want := `event undecrypted: the key has not come (no_session)
    cure: read by itself once the key comes: let the sender open a Matrix client in that room, with the bot's device not blocked there
  2026-03-01T12:00:00Z  !hr:example.org  $z  @alice:example.org

event undecrypted: the sender has blocked the bot's device (withheld, m.blacklisted)
    cure: the sender has blocked the bot's device: ask them to allow it in their client
  2026-03-01T12:00:00Z  !ops:example.org  $x[31m  @alice:example.org
  2026-03-01T12:00:00Z  !ops:example.org  $y  @alice:example.org
`
	if diff := cmp.Diff(want, text); diff != "" || stderr != "" || code != 0 {
		t.Errorf("code %d, %s\n%s", code, stderr, diff)
	}
	for name, c := range map[string]struct {
		args []string
		want int // lines
	}{
		"all":        {nil, 3},
		"a room":     {[]string{"--room", "#ops:example.org"}, 2},
		"a reason":   {[]string{"--reason", "no_session"}, 1},
		"a cause":    {[]string{"--reason", "m.blacklisted", "--room", "Ops"}, 2},
		"both":       {[]string{"--reason", "m.blacklisted", "--reason", "no_session"}, 3},
		"none":       {[]string{"--reason", "refused"}, 0},
		"what waits": {[]string{"--waiting"}, 5},
	} {
		text, stderr, code := ask(t, append([]string{"missing", "--json"}, c.args...)...)
		lines := 0
		for line := range strings.Lines(text) {
			var m connector.Missing
			if err := json.Unmarshal([]byte(line), &m); err != nil || m.Event == "" || m.Cure == "" || m.Says == "" || m.Sent.IsZero() {
				t.Errorf("%s: %s", name, line)
			}
			lines++
		}
		if lines != c.want || code != 0 || stderr != "" {
			t.Errorf("%s: code %d, %d lines: %s%s", name, code, lines, text, stderr)
		}
		if strings.Contains(text, "hello") {
			t.Errorf("%s shows what was said", name)
		}
	}
	if text, _, code := ask(t, "missing", "--reason", "nothing"); text != "Nothing is missing.\n" || code != 0 {
		t.Errorf("code %d: %s", code, text)
	}
	if _, stderr, code := ask(t, "missing", "--room", "nowhere"); code != 1 || !strings.Contains(stderr, `the bot has seen no room "nowhere"`) {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestRequeueWithoutAConnectorIsForItsNextStart(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	path := filepath.Join(dir, "store")
	func() {
		s, err := store.Open(t.Context(), store.Config{Path: path, Key: []byte("a long key for tests")})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close() //nolint:errcheck // what was recorded is committed
		l := ledger.New(ledger.Config{Store: s, Clock: func() time.Time { return said }})
		if err := errors.Join(l.Open(t.Context()), request.New(s, nil).Open(t.Context())); err != nil {
			t.Fatal(err)
		}
	}()
	remember(
		t, path,
		timeline.Room{ID: "!ops:example.org", Name: "Ops", Alias: "#ops:example.org", Membership: timeline.MembershipJoin},
		timeline.Room{ID: "!hr:example.org", Name: "HR", Alias: "#hr:example.org", Membership: timeline.MembershipJoin},
	)
	kill(t, path, "!ops:example.org", "$a", "refused: UNSUPPORTED_ERROR")
	kill(t, path, "!hr:example.org", "$b", "unconfirmed")
	if text, _, _ := ask(t, "missing"); !strings.Contains(text, "post dead: refused by the platform (UNSUPPORTED_ERROR) (refused: UNSUPPORTED_ERROR)\n    cure: cure the cause, then run matrix-connector requeue --reason refused\n") {
		t.Errorf("the cure of a dead message is not said:\n%s", text)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--room", "HR", "--reason", "refused"}, "Nothing was found to be tried once more.\n"},
		{[]string{"--reason", "refused"}, "Tried once more: 1 message.\n"},
		{[]string{"--all"}, "Tried once more: 1 message.\n"},
		{[]string{"--all"}, "Nothing was found to be tried once more.\n"},
	} {
		if text, stderr, code := ask(t, append([]string{"requeue"}, c.args...)...); text != c.want || stderr != "" || code != 0 {
			t.Errorf("%v: code %d, %s%s", c.args, code, text, stderr)
		}
	}
	for _, args := range [][]string{{}, {"--all", "--room", "HR"}} {
		if _, stderr, code := ask(t, append([]string{"requeue"}, args...)...); code != 2 || !strings.Contains(stderr, "it is not said what to try once more") {
			t.Errorf("%v: code %d, %s", args, code, stderr)
		}
	}
	if text, _, _ := ask(t, "missing"); text != "Nothing is missing.\n" {
		t.Errorf("afterwards: %s", text)
	}
}

// kill gives a message up.
func kill(t *testing.T, path string, room id.RoomID, event id.EventID, reason string) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Path: path, Key: []byte("a long key for tests")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // what was recorded is committed
	l := ledger.New(ledger.Config{Store: s, Clock: func() time.Time { return said }})
	err = errors.Join(l.Open(t.Context()), l.Kill(t.Context(), ledger.Ref{Kind: ledger.KindPost, Room: room, Event: event}, reason))
	if err != nil {
		t.Fatal(err)
	}
}
