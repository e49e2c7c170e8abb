package audit_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/audit"
)

const room = id.RoomID("!room:example.test")

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sound is evidence in which nothing is wrong: an event in each state that is allowed.
func sound() audit.Evidence {
	shown := func(id id.EventID, kind string) audit.Event {
		return audit.Event{Room: room, ID: id, Type: kind, Sent: noon}
	}
	row := func(id id.EventID, kind, state, reason string) audit.Row {
		r := audit.Row{Room: room, Event: id, Type: kind, State: state, Reason: reason}
		if kind == "m.room.message" {
			r.Target = id
		}
		return r
	}
	ahead, old := shown("$ahead", "m.room.message"), shown("$old", "m.room.message")
	ahead.Ahead, old.Sent = true, noon.Add(-24*time.Hour)
	return audit.Evidence{
		Shown: []audit.Event{
			shown("$create", "m.room.create"), shown("$landed", "m.room.encrypted"), shown("$dark", "m.room.encrypted"),
			shown("$skipped", "m.room.message"), shown("$dead", "m.room.message"), shown("$due", "m.room.message"), ahead, old,
		},
		Book: audit.Book{
			Token: "s1", Sink: "opencti",
			Rows: []audit.Row{
				row("$create", "m.room.create", "read", ""), row("$landed", "m.room.message", "read", ""), row("$dark", "m.room.encrypted", "undecrypted", "no_session"),
				row("$skipped", "m.room.message", "skipped", "own"), row("$dead", "m.room.message", "read", ""), row("$due", "m.room.message", "read", ""),
			},
			Posts: []audit.Post{
				{Room: room, Event: "$landed", State: "landed", Landed: 1},
				{Room: room, Event: "$dead", State: "dead", Reason: "refused"},
				{Room: room, Event: "$due", State: "due"},
			},
			Gaps: []audit.Gap{{Room: room, Kind: "history", State: "done", Bound: noon.Add(-time.Hour)}},
		},
		Landed: map[id.EventID]int{"$landed": 1},
	}
}

func TestWhatIsInOrderHasNoProblems(t *testing.T) {
	t.Parallel()
	if got := sound().Problems(); len(got) > 0 {
		t.Errorf("problems %q, want none", got)
	}
}

func TestEachBrokenPromiseIsAProblem(t *testing.T) {
	t.Parallel()
	forget := func(e *audit.Evidence, what id.EventID) {
		e.Book.Rows = slices.DeleteFunc(e.Book.Rows, func(r audit.Row) bool { return r.Event == what })
	}
	for name, c := range map[string]struct {
		breaks func(*audit.Evidence)
		want   string
	}{
		"an event is nowhere":                     {func(e *audit.Evidence) { forget(e, "$skipped") }, "$skipped (m.room.message in !room:example.test) is shown by the homeserver, lies behind the sync token, and is not in the ledger"},
		"a state event is nowhere":                {func(e *audit.Evidence) { forget(e, "$create") }, "$create (m.room.create"},
		"the token is ahead of the ledger":        {func(e *audit.Evidence) { e.Shown[6].Ahead = false }, "$ahead (m.room.message in"},
		"history ends too early":                  {func(e *audit.Evidence) { e.Book.Gaps[0].Bound = noon.Add(-48 * time.Hour) }, "$old (m.room.message in"},
		"a lost gap without a reason":             {func(e *audit.Evidence) { forget(e, "$dark"); e.Book.Gaps[0].State = "lost" }, "$dark (m.room.encrypted in"},
		"a skipped event without a reason":        {func(e *audit.Evidence) { e.Book.Rows[3].Reason = "" }, "$skipped (m.room.message) is skipped in the ledger without a reason"},
		"a dead post without a reason":            {func(e *audit.Evidence) { e.Book.Posts[1].Reason = "" }, "the post of $dead is dead without a reason"},
		"a read message without a post":           {func(e *audit.Evidence) { e.Book.Posts = e.Book.Posts[:2] }, "$due (m.room.message) was read and is in no post"},
		"a post without its event":                {func(e *audit.Evidence) { forget(e, "$landed"); e.Shown = e.Shown[2:] }, "the post of $landed has no event in the ledger"},
		"landed, and not on the platform":         {func(e *audit.Evidence) { delete(e.Landed, "$landed") }, "the ledger says that $landed has landed, and the platform does not have it"},
		"a message that stands there twice":       {func(e *audit.Evidence) { e.Landed["$landed"] = 2 }, "$landed stands on the platform 2 times"},
		"a message that stands there unasked, x2": {func(e *audit.Evidence) { e.Landed["$other"] = 2 }, "$other stands on the platform 2 times"},
		"a row twice":                             {func(e *audit.Evidence) { e.Book.Rows = append(e.Book.Rows, e.Book.Rows[0]) }, "$create stands in the ledger twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := sound()
			c.breaks(&e)
			got := e.Problems()
			if len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
				t.Errorf("problems %q, want one that begins with %q", got, c.want)
			}
		})
	}
}

func TestWhatWasTakenBackMayBeGone(t *testing.T) {
	t.Parallel()
	e := sound()
	delete(e.Landed, "$landed")
	e.Shown[1].Redacted = true
	if got := e.Problems(); len(got) > 0 {
		t.Errorf("problems %q, want none", got)
	}
}

func TestAnOpenOrALostGapListsWhatIsNotRead(t *testing.T) {
	t.Parallel()
	for _, gap := range []audit.Gap{{Room: room, Kind: "limited", State: "open"}, {Room: room, Kind: "limited", State: "lost", Reason: "forbidden"}} {
		e := sound()
		e.Book.Rows, e.Book.Posts = nil, nil
		e.Book.Gaps = append(e.Book.Gaps, gap)
		if got := e.Problems(); len(got) > 0 {
			t.Errorf("gap %+v: problems %q, want none", gap, got)
		}
	}
}

func TestALedgerIsReadFromACopy(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if _, err := audit.Read(t.Context(), folder, t.TempDir()); !errors.Is(err, audit.ErrNoBook) {
		t.Errorf("an empty folder gives %v, want ErrNoBook", err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "matrix-connector.db")+"?_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // open while it is read: what counts stands in the log yet
	for _, statement := range []string{
		"CREATE TABLE ledger_state (token, sink, start)", "INSERT INTO ledger_state VALUES ('s7', 'opencti x', 1000)",
		"CREATE TABLE ledger_room (id, room)", "INSERT INTO ledger_room VALUES (1, '!room:example.test')",
		"CREATE TABLE ledger_event (room, event, target, type, state, reason)", "INSERT INTO ledger_event VALUES (1, '$a', '', 'm.room.name', 'skipped', 'own')",
		"CREATE TABLE ledger_post (room, event, state, reason, landed)", "INSERT INTO ledger_post VALUES (1, '$b', 'dead', 'refused', 3)",
		"CREATE TABLE ledger_gap (room, kind, state, reason, bound)", "INSERT INTO ledger_gap VALUES (1, 'history', 'done', '', 2000)",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	b, err := audit.Read(t.Context(), folder, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if b.Token != "s7" || b.Sink != "opencti x" || !b.Start.Equal(time.UnixMilli(1000)) ||
		!slices.Equal(b.Rows, []audit.Row{{Room: room, Event: "$a", Type: "m.room.name", State: "skipped", Reason: "own"}}) ||
		!slices.Equal(b.Posts, []audit.Post{{Room: room, Event: "$b", State: "dead", Reason: "refused", Landed: 3}}) ||
		!slices.Equal(b.Gaps, []audit.Gap{{Room: room, Kind: "history", State: "done", Bound: time.UnixMilli(2000)}}) {
		t.Errorf("read %+v", b)
	}
}
