package ledger_test

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// in moves an event to another room.
func in(r id.RoomID, e timeline.Event) timeline.Event {
	e.Room = r
	return e
}

func TestAnOverviewCountsByRoom(t *testing.T) {
	d := open(t)
	const quiet, busy, sick = id.RoomID("!quiet:example.org"), id.RoomID("!busy:example.org"), id.RoomID("!sick:example.org")
	for _, r := range []id.RoomID{quiet, busy, sick, "!empty:example.org", "!left:example.org"} {
		membership := timeline.MembershipJoin
		if r == "!left:example.org" {
			membership = timeline.MembershipLeave
		}
		d.record(timeline.Batch{Rooms: []timeline.Room{{ID: r, Name: "name of " + string(r), Encrypted: r == sick, Membership: membership}}})
	}
	d.news(in(quiet, message(1, alice, "one")), in(quiet, message(2, alice, "two")), in(busy, message(3, alice, "three")), in(sick, message(4, bob, "four")))
	d.deliver()
	// A second look counts what came since the first.
	if _, _, err := d.Overview(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	late := message(5, alice, "five")
	d.news(in(busy, late), in(busy, message(6, alice, "six")), in(sick, message(7, bob, "seven")))
	d.ok(d.Kill(t.Context(), ledger.Ref{Kind: ledger.KindPost, Room: sick, Event: eventID(7)}, "refused: X"))
	lost := encrypted(8, bob, "session")
	lost.Event.Room = sick
	d.record(timeline.Batch{Undecrypted: []timeline.Undecrypted{lost}})
	d.record(timeline.Batch{Gaps: []timeline.Gap{{Room: busy, Kind: timeline.GapLimited, From: "t"}}})

	received := func(n int) time.Time { return message(n, alice, "").Received }
	got, more, err := d.Overview(t.Context(), 3)
	d.ok(err)
	for i := range got {
		got[i].Name = ""
	}
	want := []ledger.RoomView{
		{
			ID: sick, Encrypted: true, Membership: "join", State: "landed", Posts: map[ledger.State]int{"landed": 1, "dead": 1},
			LastImported: received(4), Undecrypted: 1,
		},
		{
			ID: busy, Membership: "join", State: "landed", Posts: map[ledger.State]int{"landed": 1, "due": 2},
			LastImported: received(3), OldestDue: received(5), OpenGaps: 1,
		},
		{ID: quiet, Membership: "join", State: "landed", Posts: map[ledger.State]int{"landed": 2}, LastImported: received(2)},
	}
	if diff := gocmp.Diff(want, got); diff != "" || more != 1 {
		t.Errorf("%d more; %s", more, diff)
	}
}

func TestTheOldestLiveEventWithoutItsKeyIsFound(t *testing.T) {
	d := open(t)
	if at, err := d.Waits(t.Context()); err != nil || !at.IsZero() {
		t.Errorf("nothing waits: %v, %v", at, err)
	}
	past := encrypted(1, alice, "old")
	past.Event.Live = false // sent before the bot was there: nobody waits for its key
	spoilt := encrypted(2, alice, "replayed")
	spoilt.Reason = timeline.ReasonReplay
	first, second := encrypted(3, alice, "one"), encrypted(4, bob, "two")
	second.Reason = timeline.ReasonUnknownIndex
	d.record(timeline.Batch{Undecrypted: []timeline.Undecrypted{past, spoilt, first, second}})
	if at, err := d.Waits(t.Context()); err != nil || !at.Equal(first.Event.Received) {
		t.Errorf("waits since %v, %v, want %v", at, err, first.Event.Received)
	}
	d.news(decrypted(first, "at last"))
	if at, err := d.Waits(t.Context()); err != nil || !at.Equal(second.Event.Received) {
		t.Errorf("waits since %v, %v, want %v", at, err, second.Event.Received)
	}
}

func TestWhatIsMissingIsGroupedByReason(t *testing.T) {
	d := open(t)
	for n := range 6 {
		d.news(message(n+1, alice, strconv.Itoa(n)))
	}
	d.news(image(10, alice, "cat"), image(11, alice, "dog"))
	for n, reason := range map[int]string{1: "refused: X", 2: "refused: X", 3: "refused: X", 4: "differs: name"} {
		d.ok(d.Kill(t.Context(), ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(n)}, reason))
	}
	wanted, err := d.Wanted(t.Context(), 10)
	d.ok(err)
	d.ok(d.Refuse(t.Context(), wanted[0], "too_large"))
	d.ok(d.Lose(t.Context(), wanted[1], "not_found"))
	d.record(timeline.Batch{
		Undecrypted: []timeline.Undecrypted{encrypted(20, bob, "s")},
		Unreadable:  []timeline.Unreadable{{Room: room, ID: "$odd", Reason: "no type", Received: noon}},
	})
	groups, err := d.MissingGroups(t.Context(), 2)
	d.ok(err)
	var got []string
	for _, g := range groups {
		ids := make([]string, 0, len(g.Examples))
		for _, e := range g.Examples {
			ids = append(ids, string(e.Event))
		}
		got = append(got, fmt.Sprintf("%d %s %s %s: %s", g.Count, g.State, g.What, g.Reason, strings.Join(ids, " ")))
	}
	want := []string{
		"3 dead post refused: X: $event000003 $event000002",
		"1 dead post differs: name: $event000004",
		"1 undecrypted event no_session: $event000020",
		"1 unreadable event no type: $odd",
		"1 lost attachment not_found: " + string(wanted[1].Event),
		"1 refused attachment too_large: " + string(wanted[0].Event),
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkOverview looks at what the status page costs beside LEDGER_SCALE posts
// (20,000 if unset): the first look counts all of them, each later one what is new.
func BenchmarkOverview(b *testing.B) {
	count, err := strconv.Atoi(cmp.Or(os.Getenv("LEDGER_SCALE"), "20000")) //nolint:forbidigo // a knob for people
	if err != nil {
		b.Fatal(err)
	}
	d := open(b)
	for n := 0; n < count; n += 500 {
		events := hashed(many(n, 500))
		for i := range events {
			events[i].Room = id.RoomID(fmt.Sprintf("!room%d:example.org", (n+i)%50))
		}
		d.record(timeline.Batch{Events: events})
	}
	if _, err := d.store.DB().Exec(b.Context(), "UPDATE ledger_post SET state = 'landed', landed = revision"); err != nil {
		b.Fatal(err)
	}
	look := func(b *testing.B) {
		b.Helper()
		if rooms, _, err := d.Overview(b.Context(), 100); err != nil || len(rooms) != 50 {
			b.Fatalf("%d rooms, %v", len(rooms), err)
		}
		if _, err := d.MissingGroups(b.Context(), 5); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			d.restart()
			b.StartTimer()
			look(b)
		}
	})
	b.Run("later", func(b *testing.B) {
		for b.Loop() {
			look(b)
		}
	})
}
