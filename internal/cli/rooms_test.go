package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/cli"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

var said = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// remember fills a store with rooms of one message each, as a connector that has
// stopped leaves it, or one that goes on: the store stays open until the test ends.
func remember(t *testing.T, path string, rooms ...timeline.Room) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Path: path, Key: []byte("a long key for tests")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	l := ledger.New(ledger.Config{Store: s, Clock: func() time.Time { return said }})
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, room := range rooms {
		content := json.RawMessage(`{"msgtype":"m.text","body":"hello from ` + room.Alias.String() + `"}`)
		event := id.EventID("$" + string(rune('a'+i)))
		if err := l.Record(t.Context(), timeline.Batch{Rooms: []timeline.Room{room}, Events: []timeline.Event{{
			Room: room.ID, ID: event, Sender: "@alice:example.org", SenderName: "Alice", RoomName: room.Name, Type: "m.room.message",
			Sent: said, Received: said, Content: content, Raw: content, Live: true,
		}}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRooms(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	remember(
		t, filepath.Join(dir, "store"),
		timeline.Room{ID: "!ops:example.org", Name: "War\x1b[31m room", Alias: "#ops:example.org", Encrypted: true, Membership: timeline.MembershipJoin},
		timeline.Room{ID: "!hr:example.org", Name: "HR", Alias: "#hr:example.org", Membership: timeline.MembershipJoin},
		timeline.Room{ID: "!old:example.org", Name: "Old", Membership: timeline.MembershipLeave},
	)
	rules := `
matrix:
  import_start_date: "2026-01-31"
  rooms_exclude: "!old:example.org"
  rooms:
    - {room: "#hr:example.org", skip: true}
    - {room: "#ops:*", tlp: RED, labels: [phishing], import_start_date: none, attachment_max_size: 1536KiB, attachment_types: image/*}
    - {room: "#ghost:example.org", tlp: GREEN}
`
	if err := os.WriteFile("config.yml", []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{
		"MATRIX_SERVER=http://127.0.0.1:1", "MATRIX_USER_ID=@octi:example.org", "MATRIX_PASSWORD=canary-password", "MATRIX_STORE_KEY=a long key for tests",
	}
	run := func(args ...string) (stdout, stderr string, code int) {
		var out, err strings.Builder
		code = cli.Main(t.Context(), append([]string{"rooms"}, args...), environ, strings.NewReader(""), &out, &err)
		return out.String(), err.String(), code
	}

	table, stderr, code := run()
	want := `ROOM              NAME            ENCRYPTED  BOT    IMPORTED                                RULE  TLP  LABELS    SINCE     FILES                MESSAGES
!ops:example.org  War�[31m room   yes        join   yes                                     2     RED  phishing  new only  ≤ 1.5 MiB, image/*  1, 1 due
!hr:example.org   HR              no         join   no: rule 1 skips it                     1     –    –         –         –                    1, 1 due
!old:example.org  Old             no         leave  no: MATRIX_ROOMS_EXCLUDE names it  –     –    –         –         –                    1, 1 due
`
	squeeze := func(s string) []string {
		var lines []string
		for line := range strings.Lines(s) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		return lines
	}
	if diff := cmp.Diff(squeeze(want), squeeze(table)); diff != "" || stderr != "matrix-connector: rule 3 of matrix.rooms holds for none of these rooms\n" || code != 0 {
		t.Errorf("code %d, %s\n%s", code, stderr, diff)
	}

	text, _, code := run("--json")
	var rooms []struct {
		ID       string   `json:"room_id"`
		Imported bool     `json:"imported"`
		Rule     int      `json:"rule"`
		Labels   []string `json:"labels"`
		Since    *string  `json:"import_start_date"`
	}
	if err := json.Unmarshal([]byte(text), &rooms); err != nil || code != 0 || len(rooms) != 3 {
		t.Fatalf("code %d, %d rooms, %v", code, len(rooms), err)
	}
	if r := rooms[0]; r.ID != "!ops:example.org" || !r.Imported || r.Rule != 2 || len(r.Labels) != 1 || r.Since != nil {
		t.Errorf("the first room is %+v", r)
	}
	if r := rooms[1]; r.Imported || r.Since == nil || *r.Since != "2026-01-31T00:00:00Z" {
		t.Errorf("the second room is %+v", r)
	}

	text, stderr, code = run("--explain", "#ops:example.org")
	var bundle struct {
		Type    string `json:"type"`
		Objects []struct {
			Type    string `json:"type"`
			Content string `json:"content"`
		} `json:"objects"`
	}
	if err := json.Unmarshal([]byte(text), &bundle); err != nil || code != 0 || bundle.Type != "bundle" {
		t.Fatalf("code %d, %v: %s", code, err, stderr)
	}
	var types []string
	for _, o := range bundle.Objects {
		types = append(types, strings.TrimSpace(o.Type+" "+o.Content))
	}
	if diff := cmp.Diff([]string{"channel", "identity", "media-content hello from #ops:example.org", "relationship"}, types); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(stderr, "rule 2 of matrix.rooms; the newest messages that the store holds: 1. Nothing is sent.") {
		t.Errorf("stderr: %s", stderr)
	}

	for args, want := range map[string]string{
		"HR":      "!hr:example.org is not imported: rule 1 skips it",
		"nowhere": `error: the bot has seen no room "nowhere"`,
	} {
		text, stderr, _ := run("--explain", args)
		if text != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: %s%s, want %s", args, text, stderr, want)
		}
	}
	// A process that was killed leaves its journal behind: what it holds counts.
	if err := os.CopyFS("killed", os.DirFS("store")); err != nil {
		t.Fatal(err)
	}
	environ = append(environ, "MATRIX_STORE_PATH=killed")
	if after, stderr, code := run(); after != table || code != 0 {
		t.Errorf("after a kill: code %d, %s\n%s", code, stderr, cmp.Diff(table, after))
	}
	if strings.Contains(stderr, "canary") {
		t.Error("a secret is shown")
	}
}
