package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestAMessageBecomesOnePostAfterItsRoomAndAuthor(t *testing.T) {
	d := open(t)
	made := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	d.record(timeline.Batch{
		Rooms: []timeline.Room{{
			ID: room, Name: "War room", Topic: "secret plans", Server: "example.org", Membership: timeline.MembershipJoin, Created: made,
		}},
		Events: []timeline.Event{message(1, alice, "hello")},
	})
	// What is seen again without its m.room.create is the same room.
	d.record(timeline.Batch{Rooms: []timeline.Room{{
		ID: room, Name: "War room", Topic: "secret plans", Server: "example.org", Membership: timeline.MembershipJoin,
	}}})
	first := d.due(10)
	want := ledger.Batch{
		Rooms: []timeline.RoomState{{
			Room: timeline.Room{ID: room, Name: "War room", Topic: "secret plans", Server: "example.org", Membership: timeline.MembershipJoin, Created: made},
			Key:  string(room), Revision: 2,
		}},
		Authors: []timeline.Author{{User: alice, Name: "name of @alice:example.org", Key: string(alice), Since: message(1, alice, "").Sent, Revision: 1}},
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Fatalf("first batch (-want +got):\n%s", diff)
	}
	d.ok(d.Send(t.Context(), "r1", first))
	if b := d.due(10); !b.Empty() {
		t.Errorf("while room and author are on their way %d rows are due", b.Len())
	}
	d.land(first)
	second := d.due(10)
	if len(second.Rooms)+len(second.Authors) != 0 || len(second.Drafts) != 1 {
		t.Fatalf("second batch has %d rooms, %d authors, %d posts", len(second.Rooms), len(second.Authors), len(second.Drafts))
	}
	got := second.Drafts[0]
	e := message(1, alice, "hello")
	wantDraft := timeline.Draft{
		Post: timeline.Post{
			Room: room, ID: e.ID, Sender: alice, SenderName: e.SenderName, RoomName: e.RoomName, Sent: e.Sent,
			Kind: timeline.KindText, Text: "hello", MsgType: "m.text",
		},
		Revision: 1, Live: true, Room: want.Rooms[0], Author: want.Authors[0],
	}
	wantDraft.Room.Landed, wantDraft.Room.SentName, wantDraft.Author.Landed = 2, "War room", 1
	if diff := cmp.Diff(wantDraft, got); diff != "" {
		t.Errorf("draft (-want +got):\n%s", diff)
	}
}

func TestARepeatIsNoNewRowAndNoNewRevision(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, "hello"))
	d.deliver()
	d.news(message(1, alice, "hello"), message(1, alice, "hello"))
	forged := message(1, bob, "something else under the same id")
	d.news(forged)
	if got := d.postState(eventID(1)); got != "landed 1/1" {
		t.Errorf("post is %s", got)
	}
	if got := d.column("SELECT count(*) FROM ledger_event"); got != "1" {
		t.Errorf("%s events are stored", got)
	}
	draft, err := d.Draft(t.Context(), room, eventID(1))
	d.ok(err)
	if draft.Post.Text != "hello" || draft.Post.Sender != alice {
		t.Errorf("the post says %q by %s", draft.Post.Text, draft.Post.Sender)
	}
}

func TestEveryEventIsStoredAsReceived(t *testing.T) {
	key := ""
	d := open(t)
	name := event(1, alice, map[string]any{"name": "x"})
	name.Type, name.StateKey = "m.room.name", &key
	unknown := event(2, alice, map[string]any{"anything": 1})
	unknown.Type = "org.example.unknown"
	reaction := event(3, bob, map[string]any{"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": eventID(9), "key": "+1"}})
	reaction.Type = "m.reaction"
	odd := event(4, alice, map[string]any{"msgtype": "m.text", "body": 7})
	odd.Raw = []byte("{\"weird\" :\t1}")
	own := message(5, bot, "mine")
	d.record(timeline.Batch{
		Events:      []timeline.Event{name, unknown, reaction, odd, own},
		Undecrypted: []timeline.Undecrypted{encrypted(6, alice, "s")},
		Unreadable:  []timeline.Unreadable{{Room: room, ID: "$hash", Raw: []byte("not json"), Reason: "malformed", Received: noon}},
	})
	for event, want := range map[string]string{
		"$event000001": "read ", "$event000002": "read ", "$event000003": "read ",
		"$event000004": "unreadable parse event: message without a readable body",
		"$event000005": "skipped own", "$event000006": "undecrypted no_session", "$hash": "unreadable malformed",
	} {
		if got := d.eventState(id.EventID(event)); got != want {
			t.Errorf("%s is %q, want %q", event, got, want)
		}
	}
	if got := d.column("SELECT target FROM ledger_event WHERE event = '$event000003'"); got != string(eventID(9)) {
		t.Errorf("the reaction belongs to %q", got)
	}
	if b := d.due(10); !b.Empty() {
		t.Errorf("%d rows are due, want none: nothing was said", b.Len())
	}
	if got := d.column("SELECT state FROM ledger_room"); got != "idle" {
		t.Errorf("the room is %s", got)
	}
	// The reaction's target is not fetched: reactions alone say nothing.
	targets, err := d.Targets(t.Context(), 10)
	d.ok(err)
	if len(targets) != 0 {
		t.Errorf("targets are %v", targets)
	}
	known, err := d.Known(t.Context(), room, []id.EventID{"$event000004", "$hash", "$event000077"})
	d.ok(err)
	if diff := cmp.Diff(map[id.EventID]bool{"$event000004": true, "$hash": true}, known); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
}

func TestAnUndoneBatchLeavesNothing(t *testing.T) {
	d := open(t)
	changed := d.Changed()
	failure := errors.New("the crypto store failed")
	err := inDo(d, func(ctx context.Context) error {
		if err := d.Record(ctx, timeline.Batch{Next: "s1", Events: []timeline.Event{message(1, alice, "hello")}}); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Fatal(err)
	}
	token, err := d.Token(t.Context())
	d.ok(err)
	if token != "" || d.column("SELECT count(*) FROM ledger_event") != "0" {
		t.Errorf("token %q and events are left behind", token)
	}
	select {
	case <-changed:
		t.Error("an undone batch woke the workers")
	default:
	}
	d.record(timeline.Batch{Next: "s1", Events: []timeline.Event{message(1, alice, "hello")}})
	select {
	case <-changed:
	default:
		t.Error("a committed batch woke nobody")
	}
}

func TestTheTokenMovesWithItsBatchAndOnlyForward(t *testing.T) {
	d := open(t)
	d.record(timeline.Batch{Next: "s1"})
	d.record(timeline.Batch{Since: "s1", Next: "s2"})
	if err := d.Record(t.Context(), timeline.Batch{Since: "s1", Next: "s3", Events: []timeline.Event{message(1, alice, "x")}}); !errors.Is(err, ledger.ErrToken) {
		t.Errorf("a second loop's batch: %v, want ErrToken", err)
	}
	d.news(message(2, alice, "a page of history moves no token"))
	token, err := d.Token(t.Context())
	d.ok(err)
	counter, err := d.Counter(t.Context())
	d.ok(err)
	if token != "s2" || counter != 3 {
		t.Errorf("token %q, counter %d, want s2 and 3", token, counter)
	}
	if got := d.column("SELECT count(*) FROM ledger_event"); got != "1" {
		t.Errorf("%s events, want only the page's", got)
	}
}

func TestTheNeighbourOfAGapIsTheNewestEventBySync(t *testing.T) {
	d := open(t)
	newest := func() id.EventID {
		got, err := d.Newest(t.Context(), room)
		d.ok(err)
		return got
	}
	if got := newest(); got != "" {
		t.Errorf("newest of an unknown room is %q", got)
	}
	d.record(timeline.Batch{Next: "s1", Events: []timeline.Event{message(10, alice, "a"), message(11, alice, "b")}})
	d.record(timeline.Batch{Events: history(message(1, alice, "old"))})
	if got := newest(); got != eventID(11) {
		t.Errorf("after a page of history the newest is %q", got)
	}
	d.record(timeline.Batch{Since: "s1", Next: "s2", Undecrypted: []timeline.Undecrypted{encrypted(12, alice, "s")}})
	if got := newest(); got != eventID(12) {
		t.Errorf("after an undecrypted event the newest is %q", got)
	}
}

func TestALateKeyMakesItsEventAPostInItsOldPlace(t *testing.T) {
	d := open(t)
	late, other := encrypted(1, alice, "session"), encrypted(2, alice, "other")
	d.record(timeline.Batch{Undecrypted: []timeline.Undecrypted{late, other}})
	waiting := func() []timeline.Undecrypted {
		got, err := d.Waiting(t.Context(), 10)
		d.ok(err)
		return got
	}
	if got := waiting(); len(got) != 0 {
		t.Fatalf("without a key %d events wait for an attempt", len(got))
	}
	d.record(timeline.Batch{Keys: []timeline.KeyRef{{Room: room, Session: "session"}, {Room: "!other:x", Session: "other"}}})
	if diff := cmp.Diff([]timeline.Undecrypted{late}, waiting()); diff != "" {
		t.Fatalf("waiting (-want +got):\n%s", diff)
	}
	// The key starts too late: the event waits for the next one, and nothing loops.
	d.record(timeline.Batch{Retried: []timeline.Retried{{Room: room, ID: late.Event.ID, Reason: timeline.ReasonUnknownIndex, Cause: "first index 9"}}})
	if got := waiting(); len(got) != 0 {
		t.Fatal("an attempt that failed is made again")
	}
	if got := d.eventState(late.Event.ID); got != "undecrypted unknown_index" {
		t.Errorf("event is %s", got)
	}
	d.record(timeline.Batch{Keys: []timeline.KeyRef{{Room: room, Session: "session"}}})
	if got := waiting(); len(got) != 1 || got[0].Cause != "first index 9" {
		t.Fatalf("waiting: %+v", got)
	}
	renamed := decrypted(late, "at last")
	renamed.SenderName, renamed.Received, renamed.Live = "new name", noon, false
	d.record(timeline.Batch{
		Events:  []timeline.Event{renamed},
		Retried: []timeline.Retried{{Room: room, ID: late.Event.ID, Readable: true}},
	})
	if got := waiting(); len(got) != 0 {
		t.Error("a readable event waits for an attempt")
	}
	drafts := d.deliver()
	if diff := cmp.Diff([]string{"at last"}, texts(drafts)); diff != "" {
		t.Fatalf("delivered (-want +got):\n%s", diff)
	}
	if p := drafts[0]; p.Post.SenderName != late.Event.SenderName || !p.Live || p.Post.Trust != timeline.TrustSigned {
		t.Errorf("sender name %q, live %v, trust %d: the names of the first arrival are frozen", p.Post.SenderName, p.Live, p.Post.Trust)
	}
}

func TestARefusedKeyIsNamedAndNotTried(t *testing.T) {
	d := open(t)
	d.record(timeline.Batch{
		Undecrypted: []timeline.Undecrypted{encrypted(1, alice, "session")},
		Keys: []timeline.KeyRef{
			{Room: room, Session: "session", Withheld: "m.unverified", WithheldBy: alice},
			{Room: room, Session: "session", Withheld: "m.blacklisted", WithheldBy: bob}, // who has not sent it
		},
	})
	if got := d.column("SELECT state || ' ' || reason || ' ' || cause FROM ledger_event"); got != "undecrypted withheld m.unverified" {
		t.Errorf("event is %s", got)
	}
	waiting, err := d.Waiting(t.Context(), 10)
	d.ok(err)
	if len(waiting) != 0 {
		t.Error("a refusal counts as a key")
	}
	d.record(timeline.Batch{Keys: []timeline.KeyRef{{Room: room, Session: "session"}}})
	if waiting, err = d.Waiting(t.Context(), 10); err != nil || len(waiting) != 1 {
		t.Errorf("after the key came all the same: %d, %v", len(waiting), err)
	}
}

func TestAReplayIsNeverTriedAgain(t *testing.T) {
	d := open(t)
	replay := encrypted(1, alice, "session")
	replay.Reason = timeline.ReasonReplay
	d.record(timeline.Batch{Undecrypted: []timeline.Undecrypted{replay}, Keys: []timeline.KeyRef{{Room: room, Session: "session"}}})
	waiting, err := d.Waiting(t.Context(), 10)
	d.ok(err)
	if len(waiting) != 0 {
		t.Error("a replay waits for an attempt")
	}
}

func TestContentOnDiskIsSealed(t *testing.T) {
	folder := t.TempDir()
	canaries := []string{"canary-text", "canary-name", "canary-topic", "canary-media", "canary-file", "canary-hash", "canary-cipher"}
	func() {
		s, err := store.Open(t.Context(), store.Config{Path: folder})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		l := ledger.New(ledger.Config{Store: s})
		if err := l.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		said := message(1, alice, "canary-text")
		said.SenderName = "canary-name"
		picture := image(2, alice, "canary-media")
		picture.Content = bytes.ReplaceAll(picture.Content, []byte("cat.png"), []byte("canary-file.png"))
		waiting := encrypted(3, alice, "s")
		waiting.Event.Raw = []byte(`{"ciphertext":"canary-cipher"}`)
		if err := l.Record(t.Context(), timeline.Batch{
			Rooms:       []timeline.Room{{ID: room, Name: "Room", Topic: "canary-topic"}},
			Events:      []timeline.Event{said, picture},
			Undecrypted: []timeline.Undecrypted{waiting},
		}); err != nil {
			t.Fatal(err)
		}
		wanted, err := l.Wanted(t.Context(), 1)
		if err != nil || len(wanted) != 1 {
			t.Fatalf("wanted %d, %v", len(wanted), err)
		}
		a := wanted[0]
		a.Spool, a.SHA256, a.SpoolKey = "name", "canary-hash", []byte("canary-key")
		if err := l.Fetched(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if _, err := s.DB().Exec(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			t.Fatal(err)
		}
	}()
	found := 0
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		bytesOnDisk, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, canary := range canaries {
			if bytes.Contains(bytesOnDisk, []byte(canary)) {
				t.Errorf("%s holds %s in the clear", entry.Name(), canary)
			}
		}
		if bytes.Contains(bytesOnDisk, []byte(room)) {
			found++
		}
	}
	if found == 0 {
		t.Error("the database was not looked at: not even the room id stands in it")
	}
}
