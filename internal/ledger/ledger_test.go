package ledger_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestMain(m *testing.M) {
	// Walks over a real database take their time under the race detector. More of them:
	// go test -rapid.checks=1000.
	if err := flag.Set("rapid.checks", "40"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const (
	room  = id.RoomID("!room:example.org")
	alice = id.UserID("@alice:example.org")
	bob   = id.UserID("@bob:example.org")
	bot   = id.UserID("@bot:example.org")
)

// noon is when the tests take place.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// desk is a ledger in a real store, with a clock that a test moves.
type desk struct {
	*ledger.Ledger
	t     testing.TB
	store *store.Store
	now   time.Time
	conf  ledger.Config
	sends int
}

func open(tb testing.TB, change ...func(*ledger.Config)) *desk {
	tb.Helper()
	return openIn(tb, tb.TempDir(), change...)
}

func openIn(tb testing.TB, folder string, change ...func(*ledger.Config)) *desk {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Config{Path: folder})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	d := &desk{t: tb, store: s, now: noon}
	d.conf = ledger.Config{Store: s, Clock: func() time.Time { return d.now }, Self: bot}
	d.restart(change...)
	return d
}

// restart makes a new ledger over the same store, as the next process would.
func (d *desk) restart(change ...func(*ledger.Config)) {
	d.t.Helper()
	for _, c := range change {
		c(&d.conf)
	}
	d.Ledger = ledger.New(d.conf)
	d.ok(d.Open(d.t.Context()))
	d.ok(d.Reconsider(d.t.Context()))
}

func (d *desk) ok(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) record(b timeline.Batch) {
	d.t.Helper()
	d.ok(d.Record(d.t.Context(), b))
}

// news records events as /sync would bring them.
func (d *desk) news(events ...timeline.Event) {
	d.t.Helper()
	d.record(timeline.Batch{Events: events})
}

func (d *desk) due(limit int) ledger.Batch {
	d.t.Helper()
	b, err := d.Due(d.t.Context(), limit)
	d.ok(err)
	return b
}

// deliver sends whatever is due and lets it land, until nothing is, and gives the posts
// in the order in which they landed.
func (d *desk) deliver() []timeline.Draft {
	d.t.Helper()
	var landed []timeline.Draft
	for range 10_000 {
		b := d.due(50)
		if b.Empty() {
			return landed
		}
		b.Drafts = slices.DeleteFunc(b.Drafts, func(draft timeline.Draft) bool {
			if draft.Delete {
				d.ok(d.Deleted(d.t.Context(), ledger.PostRef(draft)))
				landed = append(landed, draft)
			}
			return draft.Delete
		})
		d.sends++
		d.ok(d.Send(d.t.Context(), fmt.Sprintf("delivery %d", d.sends), b))
		d.land(b)
		landed = append(landed, b.Drafts...)
	}
	d.t.Fatal("what is due never ends")
	return nil
}

func (d *desk) land(b ledger.Batch) {
	d.t.Helper()
	for _, r := range b.Rooms {
		d.ok(d.Land(d.t.Context(), ledger.RoomRef(r), r.Revision))
	}
	for _, a := range b.Authors {
		d.ok(d.Land(d.t.Context(), ledger.AuthorRef(a), a.Revision))
	}
	for _, p := range b.Drafts {
		d.ok(d.Land(d.t.Context(), ledger.PostRef(p), p.Revision))
	}
}

// state reads a column of a row past the ledger, as a person with sqlite3 would.
func (d *desk) column(query string, args ...any) string {
	d.t.Helper()
	var out string
	if err := d.store.DB().QueryRow(d.t.Context(), query, args...).Scan(&out); err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	return out
}

func (d *desk) postState(event id.EventID) string {
	d.t.Helper()
	return d.column("SELECT state || ' ' || revision || '/' || landed FROM ledger_post WHERE event = ?", event)
}

func (d *desk) eventState(event id.EventID) string {
	d.t.Helper()
	return d.column("SELECT state || ' ' || reason FROM ledger_event WHERE event = ?", event)
}

// message is a live text message. Later ones are sent a second after another.
func message(n int, sender id.UserID, text string) timeline.Event {
	return event(n, sender, map[string]any{"msgtype": "m.text", "body": text})
}

func eventID(n int) id.EventID { return id.EventID(fmt.Sprintf("$event%06d", n)) }

func event(n int, sender id.UserID, content map[string]any) timeline.Event {
	sent := noon.Add(time.Duration(n-1000) * time.Second)
	e := timeline.Event{
		Room: room, ID: eventID(n), Sender: sender, SenderName: "name of " + string(sender), RoomName: "Room",
		Type: "m.room.message", Sent: sent, Received: sent.Add(time.Second), Live: true,
	}
	e.Content, _ = json.Marshal(content)
	e.Raw, _ = json.Marshal(map[string]any{
		"event_id": e.ID, "sender": sender, "type": e.Type, "origin_server_ts": sent.UnixMilli(), "content": content,
	})
	return e
}

func reply(n int, sender id.UserID, text string, to id.EventID) timeline.Event {
	return event(n, sender, map[string]any{
		"msgtype": "m.text", "body": text, "m.relates_to": map[string]any{"m.in_reply_to": map[string]any{"event_id": to}},
	})
}

func edit(n int, sender id.UserID, text string, of id.EventID) timeline.Event {
	return event(n, sender, map[string]any{
		"msgtype": "m.text", "body": "* " + text, "m.new_content": map[string]any{"msgtype": "m.text", "body": text},
		"m.relates_to": map[string]any{"rel_type": "m.replace", "event_id": of},
	})
}

func image(n int, sender id.UserID, media string) timeline.Event {
	return event(n, sender, map[string]any{"msgtype": "m.image", "body": "cat.png", "url": "mxc://example.org/" + media})
}

// encrypted is what arrives while the key of a session is missing.
func encrypted(n int, sender id.UserID, session id.SessionID) timeline.Undecrypted {
	e := event(n, sender, map[string]any{"algorithm": "m.megolm.v1.aes-sha2", "session_id": session, "ciphertext": "AwgA"})
	e.Type = "m.room.encrypted"
	return timeline.Undecrypted{Event: e, Session: session, SenderKey: "key", Reason: timeline.ReasonNoSession}
}

// decrypted is the same event once it is readable: the raw one stays as it was sent.
func decrypted(u timeline.Undecrypted, text string) timeline.Event {
	e := u.Event
	e.Type = "m.room.message"
	e.Content, _ = json.Marshal(map[string]any{"msgtype": "m.text", "body": text})
	e.Trust = timeline.TrustSigned
	return e
}

func history(events ...timeline.Event) []timeline.Event {
	for i := range events {
		events[i].Live = false
	}
	return events
}

func texts(drafts []timeline.Draft) []string {
	var out []string
	for _, d := range drafts {
		out = append(out, d.Post.Text)
	}
	return out
}

func inDo(d *desk, fn func(context.Context) error) error { return d.store.Do(d.t.Context(), fn) }
