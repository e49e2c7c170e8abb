package ledger_test

import (
	"bytes"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// openVersion1 makes a store as the version before content was dropped left it: one
// message has landed, one is due.
func openVersion1(t *testing.T) *store.Store {
	t.Helper()
	schema, err := os.ReadFile("schema/01-ledger.sql")
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	old := dbutil.BuildUpgradeTable().WithFSPath(fstest.MapFS{"schema/01-ledger.sql": {Data: schema}}, "schema").Finish()
	if err := s.Tables(t.Context(), "ledger_version", old); err != nil {
		t.Fatal(err)
	}
	// A body in the form of that version: the version byte, and the content (tag 2).
	sealed := func(event, content string) []byte {
		body := append([]byte{1, 2, byte(len(content))}, content...)
		out, err := s.Seal(body, "event "+string(room)+" "+event)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, q := range []struct {
		query string
		args  []any
	}{
		{"INSERT INTO ledger_room (id, room, folded, key, name, state, landed) VALUES (1, ?1, ?1, ?1, 'Room', 'landed', 1)", []any{room}},
		{"INSERT INTO ledger_author (id, user, folded, key, state, landed) VALUES (1, ?1, ?1, ?1, 'landed', 1)", []any{alice}},
		{`INSERT INTO ledger_event (room, event, target, sender, type, state, sent, received, body_sealed)
			VALUES (1, '$old', '$old', ?1, 'm.room.message', 'read', ?2, ?2, ?3)`, []any{alice, noon.UnixMilli(), sealed("$old", `{"msgtype":"m.text","body":"old"}`)}},
		{`INSERT INTO ledger_event (room, event, target, sender, type, state, sent, received, body_sealed)
			VALUES (1, '$due', '$due', ?1, 'm.room.message', 'read', ?2, ?2, ?3)`, []any{alice, noon.UnixMilli(), sealed("$due", `{"msgtype":"m.text","body":"due"}`)}},
		{`INSERT INTO ledger_event (room, event, sender, type, state, sent, received, body_sealed)
			VALUES (1, '$topic', ?1, 'm.room.topic', 'read', ?2, ?2, ?3)`, []any{alice, noon.UnixMilli(), sealed("$topic", `{"topic":"secret plans"}`)}},
		{"INSERT INTO ledger_post (room, event, author, received, state, landed) VALUES (1, '$old', 1, ?, 'landed', 1)", []any{noon.UnixMilli()}},
		{"INSERT INTO ledger_post (room, event, author, received) VALUES (1, '$due', 1, ?)", []any{noon.UnixMilli()}},
	} {
		if _, err := s.DB().Exec(t.Context(), q.query, q.args...); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestAStoreOfTheFormerVersionGoesOn(t *testing.T) {
	d := &desk{t: t, store: openVersion1(t), now: noon.Add(time.Hour)}
	d.conf = ledger.Config{Store: d.store, Clock: func() time.Time { return d.now }, Self: bot}
	d.restart()
	if posts, _ := d.trim(); posts != 0 {
		t.Errorf("%d posts lose their content before their time", posts)
	}
	if got := texts(d.deliver()); len(got) != 1 || got[0] != "due" {
		t.Errorf("delivered %q", got)
	}
	d.now = noon.Add(week + time.Minute)
	if posts, _ := d.trim(); posts != 1 || d.content("$old") != "dropped" || d.content("$due") != "kept" {
		t.Errorf("%d posts lose their content, want the one that landed first", posts)
	}
	for _, event := range []string{"$old", "$topic"} {
		var sealed []byte
		d.ok(d.store.DB().QueryRow(t.Context(), "SELECT body_sealed FROM ledger_event WHERE event = ?", event).Scan(&sealed))
		left, err := d.store.Unseal(sealed, "event "+string(room)+" "+event)
		d.ok(err)
		if bytes.Contains(left, []byte("{")) {
			t.Errorf("the content of %s is still there: %q", event, left)
		}
	}
	counts, err := d.Counts(t.Context())
	d.ok(err)
	if counts.Events["read"] != 3 || counts.Posts["landed"] != 2 {
		t.Errorf("counts = %v %v", counts.Events, counts.Posts)
	}
}
