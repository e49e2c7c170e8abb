package ledger_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func startAt(start time.Time) func(*ledger.Config) {
	return func(c *ledger.Config) { c.Start = start }
}

func TestWhatIsOlderThanTheStartDateIsListedButNotKept(t *testing.T) {
	d := open(t, startAt(message(5, alice, "").Sent))
	old := encrypted(3, alice, "s")
	old.Event.Live = false
	d.record(timeline.Batch{
		Events:      history(message(4, alice, "too old"), message(5, alice, "just in time")),
		Undecrypted: []timeline.Undecrypted{old},
	})
	if got := d.eventState(eventID(4)); got != "skipped before_start_date" {
		t.Errorf("the old event is %s", got)
	}
	if got := d.eventState(eventID(3)); got != "skipped before_start_date" {
		t.Errorf("the old undecrypted event is %s", got)
	}
	if got := d.column("SELECT count(*) FROM ledger_event WHERE body_sealed IS NULL"); got != "2" {
		t.Errorf("content of %s old events is kept out, want both", got)
	}
	if diff := cmp.Diff([]string{"just in time"}, texts(d.deliver())); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

func TestAnEarlierStartDateOpensHistoryAgainAndTakesOldEventsIn(t *testing.T) {
	d := open(t, startAt(message(5, alice, "").Sent))
	old := history(message(4, alice, "old"))
	d.record(timeline.Batch{
		Rooms:  []timeline.Room{{ID: room, Name: "Room", Membership: timeline.MembershipJoin}, {ID: "!left:x", Name: "Left", Membership: timeline.MembershipLeave}},
		Events: old,
	})
	known := func() bool {
		got, err := d.Known(t.Context(), room, []id.EventID{eventID(4)})
		d.ok(err)
		return got[eventID(4)]
	}
	if !known() {
		t.Error("the old event is not known")
	}
	later := message(6, alice, "").Sent
	d.restart(startAt(later)) // a start date that moves on with the days opens nothing
	gaps, err := d.Gaps(t.Context(), 10)
	d.ok(err)
	if len(gaps) != 0 {
		t.Fatalf("a later start date opened %d gaps", len(gaps))
	}
	earlier := message(1, alice, "").Sent
	d.restart(startAt(earlier))
	if gaps, err = d.Gaps(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	want := []timeline.Gap{{ID: 1, Room: room, Kind: timeline.GapHistory, Bound: earlier, Opened: noon}}
	if diff := cmp.Diff(want, gaps); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	if known() {
		t.Error("the old event counts as known: the walk would stop at it")
	}
	d.record(timeline.Batch{Events: old})
	if diff := cmp.Diff([]string{"old"}, texts(d.deliver())); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

func TestTheStartDateIsNoBoundForWhatIsHeardOrMissed(t *testing.T) {
	d := open(t)
	late := encrypted(1, alice, "s")
	late.Event.Live = false
	d.record(timeline.Batch{
		Undecrypted: []timeline.Undecrypted{late},
		Gaps:        []timeline.Gap{{Room: room, Kind: timeline.GapLimited, From: "t", Until: "$n"}, {Room: room, Kind: timeline.GapLimited, From: "u"}},
	})
	d.restart(startAt(noon)) // live only: each start begins with its own moment
	d.news(message(2, alice, "news by a slow clock"))
	d.record(timeline.Batch{Events: history(message(3, alice, "missed")), Progress: &timeline.GapProgress{ID: 1}})
	d.record(timeline.Batch{Events: history(message(4, alice, "before anything was heard")), Progress: &timeline.GapProgress{ID: 2}})
	d.record(timeline.Batch{Events: history(decrypted(late, "its key came late"))})
	want := []string{"news by a slow clock", "its key came late", "missed"}
	if diff := cmp.Diff(want, texts(d.deliver())); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

func TestTheTargetOfANewReplyIsImportedWhateverItsAge(t *testing.T) {
	d := open(t, startAt(message(10, alice, "").Sent))
	d.record(timeline.Batch{Events: history(reply(2, alice, "old answer", eventID(1)))}) // seen, and kept out
	d.news(reply(10, bob, "new answer", eventID(2)))
	targets, err := d.Targets(t.Context(), 10)
	d.ok(err)
	if diff := cmp.Diff([]ledger.Target{{Room: room, ID: eventID(2)}}, targets); diff != "" {
		t.Fatalf("targets (-want +got):\n%s", diff)
	}
	d.record(timeline.Batch{Events: history(reply(2, alice, "old answer", eventID(1)))})
	if targets, err = d.Targets(t.Context(), 10); err != nil || len(targets) != 0 {
		t.Errorf("targets are %v, %v: fetching goes on down the chain", targets, err)
	}
	drafts := d.deliver()
	if diff := cmp.Diff([]string{"old answer", "new answer"}, texts(drafts)); diff != "" {
		t.Fatalf("delivered (-want +got):\n%s", diff)
	}
	if drafts[0].ReplyKnown || !drafts[1].ReplyKnown {
		t.Errorf("relations: old answer %v, new answer %v", drafts[0].ReplyKnown, drafts[1].ReplyKnown)
	}
}

// quiet skips rooms with this alias.
func quiet(c *ledger.Config) {
	c.SkipRoom = func(r timeline.Room) string {
		if r.Alias == "#quiet:example.org" {
			return "excluded"
		}
		return ""
	}
}

func loud(c *ledger.Config) { c.SkipRoom = nil }

func quietBatch() timeline.Batch {
	return timeline.Batch{
		Rooms:       []timeline.Room{{ID: room, Name: "Room", Alias: "#quiet:example.org", Membership: timeline.MembershipJoin}},
		Events:      []timeline.Event{message(1, alice, "one"), reply(2, bob, "two", "$unknown")},
		Undecrypted: []timeline.Undecrypted{encrypted(3, alice, "s")},
		Gaps:        []timeline.Gap{{Room: room, Kind: timeline.GapLimited, From: "t1"}},
	}
}

func TestAnExcludedRoomIsKeptAndTakenInWhenTheRuleGoes(t *testing.T) {
	d := open(t, quiet)
	d.record(quietBatch())
	if got := d.eventState(eventID(1)) + ", " + d.eventState(eventID(3)); got != "skipped excluded, skipped excluded" {
		t.Errorf("events are %s", got)
	}
	caughtUp, err := d.CaughtUp(t.Context())
	d.ok(err)
	if b := d.due(10); !b.Empty() || !caughtUp {
		t.Errorf("an excluded room leaves %d rows due, caught up %v", b.Len(), caughtUp)
	}
	if gaps, err := d.Gaps(t.Context(), 10); err != nil || len(gaps) != 0 {
		t.Errorf("the gap of an excluded room is filled: %v, %v", gaps, err)
	}
	d.restart(loud)
	d.now = d.now.Add(time.Hour) // past the wait for the unknown target
	if diff := cmp.Diff([]string{"one", "two"}, texts(d.deliver())); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	if got := d.eventState(eventID(3)); got != "undecrypted no_session" {
		t.Errorf("the encrypted event is %s", got)
	}
	if waiting, err := d.Waiting(t.Context(), 10); err != nil || len(waiting) != 1 {
		t.Errorf("its key may have come meanwhile, but %d events wait for an attempt (%v)", len(waiting), err)
	}
	if gaps, err := d.Gaps(t.Context(), 10); err != nil || len(gaps) != 1 {
		t.Errorf("gaps are %v, %v", gaps, err)
	}
	if targets, err := d.Targets(t.Context(), 10); err != nil || len(targets) != 1 {
		t.Errorf("targets are %v, %v", targets, err)
	}
}

func TestARoomThatWasSkippedForOneReasonAfterAnotherIsTakenInAsAWhole(t *testing.T) {
	d := open(t, quiet)
	d.record(quietBatch())
	d.restart(func(c *ledger.Config) { c.SkipRoom = func(timeline.Room) string { return "skipped_by_rule" } })
	d.news(message(4, alice, "four"))
	d.restart(loud)
	d.now = d.now.Add(time.Hour) // past the wait for the unknown target
	got := texts(d.deliver())
	slices.Sort(got)
	if diff := cmp.Diff([]string{"four", "one", "two"}, got); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	if got := d.eventState(eventID(3)); got != "undecrypted no_session" {
		t.Errorf("the encrypted event is %s", got)
	}
}

// An event waited for its key when its room was left out; the key came, and opened what was not
// to be read. It is not forgotten when the rule goes.
func TestAKeyThatCameWhileItsRoomWasLeftOutCountsAfterwards(t *testing.T) {
	for name, sees := range map[string]bool{"and was tried": true, "and was not": false} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			b := quietBatch()
			d.record(b)
			d.restart(quiet)
			d.record(timeline.Batch{Keys: []timeline.KeyRef{{Room: room, Session: b.Undecrypted[0].Session}}})
			opened := message(3, alice, "three")
			if sees {
				d.record(timeline.Batch{Events: []timeline.Event{opened}, Retried: []timeline.Retried{{Room: room, ID: opened.ID, Readable: true}}})
			}
			d.restart(loud)
			waiting, err := d.Waiting(t.Context(), 10)
			if err != nil || len(waiting) != 1 || waiting[0].Event.ID != opened.ID {
				t.Fatalf("for an attempt wait %v, %v", waiting, err)
			}
			d.record(timeline.Batch{Events: []timeline.Event{opened}, Retried: []timeline.Retried{{Room: room, ID: opened.ID, Readable: true}}})
			d.now = d.now.Add(time.Hour)
			if got := texts(d.deliver()); !slices.Contains(got, "three") {
				t.Errorf("delivered %q", got)
			}
		})
	}
}

func TestARoomThatIsExcludedLaterSendsNothingMore(t *testing.T) {
	d := open(t)
	b := quietBatch()
	d.record(b)
	landed := d.due(10)
	d.ok(d.Send(t.Context(), "r1", landed))
	d.land(landed)
	first := d.due(1)
	d.ok(d.Send(t.Context(), "r2", first))
	d.land(first)
	d.restart(quiet)
	if b := d.due(10); !b.Empty() {
		t.Errorf("%d rows are due", b.Len())
	}
	if got := d.postState(eventID(1)) + ", " + d.postState(eventID(2)); got != "landed 1/1, dead 1/0" {
		t.Errorf("posts are %s", got)
	}
	d.restart(loud)
	d.now = d.now.Add(time.Hour)
	if diff := cmp.Diff([]string{"two"}, texts(d.deliver())); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

func TestARuleThatGoesByAliasAppliesOnceTheAliasIsKnown(t *testing.T) {
	d := open(t, quiet)
	d.news(message(1, alice, "one"))
	d.record(timeline.Batch{Rooms: quietBatch().Rooms})
	d.news(message(2, alice, "two"))
	if b := d.due(10); len(b.Rooms) != 0 {
		t.Errorf("the room is due all the same")
	}
	if got := d.postState(eventID(1)) + ", " + d.eventState(eventID(2)); got != "dead 1/0, skipped excluded" {
		t.Errorf("first post and second event are %s", got)
	}
}

func TestIDsThatDifferOnlyInCaseGetKeysOfTheirOwn(t *testing.T) {
	d := open(t)
	twin := message(2, "@ALICE:example.org", "two")
	twin.Room = "!ROOM:example.org"
	d.news(message(1, alice, "one"), twin, message(3, alice, "three"))
	b := d.due(10)
	var keys []string
	for _, r := range b.Rooms {
		keys = append(keys, r.Key)
	}
	for _, a := range b.Authors {
		keys = append(keys, a.Key)
	}
	want := []string{
		"!room:example.org", ledger.TwinKey("!ROOM:example.org"),
		"@alice:example.org", ledger.TwinKey("@ALICE:example.org"),
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	// printf %s '!ROOM:example.org' | sha256sum
	if got := ledger.TwinKey("!ROOM:example.org"); got != "!ROOM:example.org#"+"2514e554" {
		t.Errorf("twin key is %s", got)
	}
}

func TestIDsThatHideSomethingGetKeysThatDoNot(t *testing.T) {
	d := open(t)
	odd := message(1, "@\u202egro.elpmaxe:ecila\u2066:evil.example", "one")
	odd.Room = "!a\u200bb\n:evil.example"
	d.news(odd)
	b := d.due(10)
	if len(b.Rooms) != 1 || len(b.Authors) != 1 {
		t.Fatalf("%d rooms and %d authors", len(b.Rooms), len(b.Authors))
	}
	room, author := b.Rooms[0].Key, b.Authors[0].Key
	if !strings.HasPrefix(room, "!ab:evil.example#") || !strings.HasPrefix(author, "@gro.elpmaxe:ecila:evil.example#") {
		t.Errorf("keys %q and %q", room, author)
	}
}

func TestAFusedChannelGetsAnotherKeyBeforeItIsSent(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, "one"))
	before := d.due(10).Rooms[0]
	d.ok(d.SetRoomKey(t.Context(), room, ledger.TwinKey(string(room))))
	after := d.due(10).Rooms[0]
	if after.Key != ledger.TwinKey(string(room)) || after.Revision != before.Revision+1 {
		t.Errorf("key %s, revision %d", after.Key, after.Revision)
	}
	d.ok(d.SetRoomKey(t.Context(), room, after.Key)) // again says nothing new
	if got := d.due(10).Rooms[0].Revision; got != after.Revision {
		t.Errorf("the same key raised the revision to %d", got)
	}
}

func TestARenamedRoomIsDueWithItsFormerName(t *testing.T) {
	d := open(t)
	d.record(timeline.Batch{Rooms: []timeline.Room{{ID: room, Name: "Old", Encrypted: true}}, Events: []timeline.Event{message(1, alice, "one")}})
	d.deliver()
	d.record(timeline.Batch{Rooms: []timeline.Room{{ID: room, Name: "New", Membership: timeline.MembershipJoin}}})
	b := d.due(10)
	if len(b.Rooms) != 1 || b.Rooms[0].Room.Name != "New" || b.Rooms[0].SentName != "Old" || b.Rooms[0].Landed != b.Rooms[0].Revision-1 {
		t.Fatalf("rooms due: %+v", b.Rooms)
	}
	if !b.Rooms[0].Room.Encrypted {
		t.Error("encryption was switched off")
	}
	// A room whose new name is on its way holds up no messages.
	d.ok(d.Send(t.Context(), "rename", b))
	d.news(message(2, alice, "two"))
	if b := d.due(10); len(b.Drafts) != 1 {
		t.Errorf("%d posts are due while the rename is on its way", len(b.Drafts))
	}
	// Renamed once more before the first rename landed.
	d.record(timeline.Batch{Rooms: []timeline.Room{{ID: room, Name: "Newest"}}})
	d.ok(d.Land(t.Context(), ledger.RoomRef(b.Rooms[0]), b.Rooms[0].Revision))
	if r, err := d.Room(t.Context(), room); err != nil || r.SentName != "New" || r.Room.Name != "Newest" {
		t.Errorf("landed name %q, name %q, %v", r.SentName, r.Room.Name, err)
	}
	// What no Channel says raises nothing.
	b = d.due(10)
	d.ok(d.Land(t.Context(), ledger.RoomRef(b.Rooms[0]), b.Rooms[0].Revision))
	d.record(timeline.Batch{Rooms: []timeline.Room{{ID: room, Name: "Newest", Creator: alice, Membership: timeline.MembershipJoin}}})
	if b := d.due(10); len(b.Rooms) != 0 {
		t.Error("who made a room makes it due")
	}
}

// startOf gives the rooms whose ids are keys other start dates than noon; a zero one
// means that no history is wanted.
func startOf(starts map[id.RoomID]time.Time) func(*ledger.Config) {
	return func(c *ledger.Config) {
		c.Start = noon
		c.StartOf = func(r timeline.Room) (time.Time, bool) {
			start, ok := starts[r.ID]
			switch {
			case !ok:
				return noon, true
			case start.IsZero():
				return noon, false
			}
			return start, true
		}
	}
}

func TestRoomsMayHaveStartDatesOfTheirOwn(t *testing.T) {
	const older, none, silent id.RoomID = "!older:x", "!none:x", "!silent:x"
	yesterday, week := noon.AddDate(0, 0, -1), noon.AddDate(0, 0, -7)
	rules := map[id.RoomID]time.Time{older: yesterday, none: {}}
	d := open(t, startOf(rules))
	d.restart(startOf(rules))
	in := func(e timeline.Event, room id.RoomID) timeline.Event {
		e.Room, e.Sent, e.Live = room, yesterday.Add(time.Hour), false
		return e
	}
	batch := timeline.Batch{Events: []timeline.Event{in(message(1, alice, "older"), older), in(message(2, alice, "none"), none), in(message(3, alice, "all"), room)}}
	for _, r := range []id.RoomID{room, older, none} {
		batch.Rooms = append(batch.Rooms, timeline.Room{ID: r, Name: "Room", Membership: timeline.MembershipJoin})
		batch.Gaps = append(batch.Gaps, timeline.Gap{Room: r, Kind: timeline.GapHistory, From: "t", Bound: week})
	}
	// Of a room that is seen as a whole at once no history is opened.
	batch.Rooms = append(batch.Rooms, timeline.Room{ID: silent, Name: "Room", Membership: timeline.MembershipJoin})
	d.record(batch)

	bounds := func() map[id.RoomID][]time.Time {
		gaps, err := d.Gaps(t.Context(), 10)
		d.ok(err)
		got := map[id.RoomID][]time.Time{}
		for _, g := range gaps {
			got[g.Room] = append(got[g.Room], g.Bound)
		}
		return got
	}
	if diff := cmp.Diff(map[id.RoomID][]time.Time{room: {noon}, older: {yesterday}}, bounds()); diff != "" {
		t.Errorf("open history (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"older"}, texts(d.deliver())); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	known, err := d.Known(t.Context(), none, []id.EventID{eventID(2)})
	d.ok(err)
	if !known[eventID(2)] {
		t.Error("what lies before a room's own start date is not known")
	}

	rules[none], rules[silent] = week, week
	d.restart(startOf(rules))
	want := map[id.RoomID][]time.Time{room: {noon}, older: {yesterday}, none: {week}, silent: {week}}
	if diff := cmp.Diff(want, bounds()); diff != "" {
		t.Errorf("open history when two rules moved back (-want +got):\n%s", diff)
	}
	d.restart(startOf(rules))
	if diff := cmp.Diff(want[none], bounds()[none]); diff != "" {
		t.Errorf("history was opened again without a change (-want +got):\n%s", diff)
	}
	known, err = d.Known(t.Context(), none, []id.EventID{eventID(2)})
	d.ok(err)
	if known[eventID(2)] {
		t.Error("what the moved start date lets in counts as known")
	}
}
