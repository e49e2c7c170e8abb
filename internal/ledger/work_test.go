package ledger_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func (d *desk) gaps() []timeline.Gap {
	d.t.Helper()
	got, err := d.Gaps(d.t.Context(), 10)
	d.ok(err)
	return got
}

func TestAGapIsWalkedPageByPageUntilItsEnd(t *testing.T) {
	d := open(t)
	history := timeline.Gap{Room: room, Kind: timeline.GapHistory, From: "h", Bound: noon.Add(-time.Hour), Opened: noon}
	limited := timeline.Gap{Room: room, Kind: timeline.GapLimited, From: "l", Until: eventID(1), Opened: noon}
	d.record(timeline.Batch{Gaps: []timeline.Gap{history, limited}})
	d.record(timeline.Batch{Gaps: []timeline.Gap{history, limited}}) // the same batch once more
	history.ID, limited.ID = 1, 2
	if diff := cmp.Diff([]timeline.Gap{limited, history}, d.gaps()); diff != "" {
		t.Fatalf("gaps (-want +got):\n%s", diff)
	}
	d.record(timeline.Batch{Progress: &timeline.GapProgress{ID: limited.ID, From: "l2"}})
	d.record(timeline.Batch{Progress: &timeline.GapProgress{ID: limited.ID}}) // an empty page names no token
	limited.From, limited.Pages = "l2", 2
	if diff := cmp.Diff([]timeline.Gap{limited, history}, d.gaps()); diff != "" {
		t.Fatalf("after two pages (-want +got):\n%s", diff)
	}
	d.ok(d.DeferGap(t.Context(), limited.ID, "rate_limited", "429"))
	if diff := cmp.Diff([]timeline.Gap{history}, d.gaps()); diff != "" {
		t.Errorf("while one waits (-want +got):\n%s", diff)
	}
	d.now = d.now.Add(ledger.Delay(1))
	d.record(timeline.Batch{Progress: &timeline.GapProgress{ID: limited.ID, Done: true}})
	d.record(timeline.Batch{Progress: &timeline.GapProgress{ID: history.ID, Lost: "forbidden"}})
	if got := d.gaps(); len(got) != 0 {
		t.Errorf("gaps at the end: %+v", got)
	}
	if err := d.Record(t.Context(), timeline.Batch{Progress: &timeline.GapProgress{ID: limited.ID}}); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("a page of a closed gap: %v", err)
	}
	if err := d.DeferGap(t.Context(), 99, "temporary", "x"); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("an unknown gap waits: %v", err)
	}
	counts, err := d.Counts(t.Context())
	d.ok(err)
	if counts.LostGaps != 1 || counts.OpenGaps != 0 {
		t.Errorf("lost %d, open %d", counts.LostGaps, counts.OpenGaps)
	}
}

func TestATargetThatFailsIsAskedForAgainLater(t *testing.T) {
	d := open(t)
	d.news(reply(1, alice, "x", "$a"), edit(2, alice, "y", "$b"))
	targets, err := d.Targets(t.Context(), 10)
	d.ok(err)
	if diff := cmp.Diff([]ledger.Target{{Room: room, ID: "$a"}, {Room: room, ID: "$b"}}, targets); diff != "" {
		t.Fatalf("targets (-want +got):\n%s", diff)
	}
	d.ok(d.DeferTarget(t.Context(), targets[0], "temporary", "unavailable"))
	if targets, err = d.Targets(t.Context(), 10); err != nil || len(targets) != 1 || targets[0].ID != "$b" {
		t.Errorf("targets: %v, %v", targets, err)
	}
	d.now = d.now.Add(ledger.Delay(1))
	if targets, err = d.Targets(t.Context(), 10); err != nil || len(targets) != 2 {
		t.Errorf("after the wait: %v, %v", targets, err)
	}
	if err := d.DeferTarget(t.Context(), ledger.Target{Room: room, ID: "$c"}, "temporary", "x"); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("an unknown target waits: %v", err)
	}
}

func TestEverythingThatIsNotThereIsListedWithItsReason(t *testing.T) {
	d := open(t)
	picture := image(3, alice, "media")
	d.record(timeline.Batch{
		Events:      []timeline.Event{message(1, alice, "dead"), message(2, bot, "own"), picture, reply(4, bob, "x", "$gone")},
		Undecrypted: []timeline.Undecrypted{encrypted(5, alice, "s")},
		Unreadable:  []timeline.Unreadable{{Room: room, ID: "$odd", Raw: []byte("{"), Reason: "malformed", Received: noon}},
		Gaps:        []timeline.Gap{{Room: room, Kind: timeline.GapLimited, From: "t", Until: "$n", Opened: noon}},
	})
	d.record(timeline.Batch{Progress: &timeline.GapProgress{ID: 1, Lost: "not_found"}, Missing: []timeline.MissingEvent{{Room: room, ID: "$gone", Reason: "forbidden"}}})
	d.ok(d.Lose(t.Context(), d.wanted()[0], "not_found"))
	for _, r := range []ledger.Ref{{Kind: ledger.KindPost, Room: room, Event: eventID(1)}, {Kind: ledger.KindRoom, Room: room}, {Kind: ledger.KindAuthor, User: bob}} {
		d.ok(d.Kill(t.Context(), r, "bad_user_input"))
	}
	var got []ledger.Missing
	for m, err := range d.Missing(t.Context(), ledger.Choice{}) {
		d.ok(err)
		got = append(got, m)
	}
	sent := func(n int) time.Time { return message(n, alice, "").Sent }
	want := []ledger.Missing{
		{What: "event", State: "undecrypted", Room: room, Event: eventID(5), User: alice, Reason: "no_session", Sent: sent(5)},
		{What: "event", State: "unreadable", Room: room, Event: "$odd", Reason: "malformed", Sent: noon},
		{What: "room", State: "dead", Room: room, Reason: "bad_user_input"},
		{What: "author", State: "dead", User: bob, Reason: "bad_user_input"},
		{What: "post", State: "dead", Room: room, Event: eventID(1), User: alice, Reason: "bad_user_input", Sent: sent(1)},
		{What: "post", State: "blocked", Room: room, Event: eventID(3), User: alice, Reason: "room_dead", Sent: sent(3)},
		{What: "post", State: "blocked", Room: room, Event: eventID(4), User: bob, Reason: "room_dead", Sent: sent(4)},
		{What: "attachment", State: "lost", Room: room, Event: eventID(3), User: alice, Reason: "not_found", Sent: sent(3)},
		{What: "gap", State: "lost", Room: room, Event: "$n", Index: 1, Reason: "not_found", Sent: noon},
		{What: "target", State: "missing", Room: room, Event: "$gone", Reason: "forbidden"},
		{What: "event", State: "skipped", Room: room, Event: eventID(2), User: bot, Reason: "own", Sent: sent(2)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	for name, c := range map[string]struct {
		choice ledger.Choice
		want   []ledger.Missing
	}{
		"by room":       {ledger.Choice{Room: room}, slices.DeleteFunc(slices.Clone(want), func(m ledger.Missing) bool { return m.What == "author" })},
		"another room":  {ledger.Choice{Room: "!other:example.org"}, nil},
		"by event":      {ledger.Choice{Event: eventID(3)}, []ledger.Missing{want[5], want[7]}},
		"by reason":     {ledger.Choice{Reasons: []string{"malformed", "room_dead"}}, []ledger.Missing{want[1], want[5], want[6]}},
		"no such thing": {ledger.Choice{Room: room, Reasons: []string{"bad_user"}}, nil},
	} {
		var got []ledger.Missing
		for m, err := range d.Missing(t.Context(), c.choice) {
			d.ok(err)
			got = append(got, m)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for range d.Missing(t.Context(), ledger.Choice{}) {
		break // leaving early leaks no connection: the next statement and the close would hang
	}
	counts, err := d.Counts(t.Context())
	d.ok(err)
	wantCounts := ledger.Summary{
		Events:      map[string]int{"read": 3, "skipped": 1, "undecrypted": 1, "unreadable": 1},
		Rooms:       map[string]int{"dead": 1},
		Authors:     map[string]int{"due": 1, "dead": 1},
		Posts:       map[string]int{"due": 2, "dead": 1},
		Attachments: map[string]int{"lost": 1},
		Undecrypted: map[string]int{"no_session": 1}, Skipped: map[string]int{"own": 1},
		LostGaps: 1, OldestDue: picture.Received, Batches: 3, // a file that is given up counts, too
	}
	if diff := cmp.Diff(wantCounts, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestNothingIsLeftToDoOnceWhatIsLeftWaitsForAnOperator(t *testing.T) {
	d := open(t)
	caughtUp := func() bool {
		got, err := d.CaughtUp(t.Context())
		d.ok(err)
		return got
	}
	if !caughtUp() {
		t.Error("an empty ledger has work left")
	}
	d.news(image(1, alice, "m"))
	if caughtUp() {
		t.Error("due rows are no work")
	}
	d.ok(d.Kill(t.Context(), ledger.Ref{Kind: ledger.KindAuthor, User: alice}, "x"))
	b := d.due(10)
	d.ok(d.Send(t.Context(), "r", b))
	if caughtUp() {
		t.Error("sent rows are no work")
	}
	d.land(b)
	if !caughtUp() {
		t.Error("a post whose author is dead is work that never ends")
	}
	d.record(timeline.Batch{Undecrypted: []timeline.Undecrypted{encrypted(2, bob, "s")}, Keys: []timeline.KeyRef{{Room: room, Session: "s"}}})
	if caughtUp() {
		t.Error("a key to try is no work")
	}
	d.record(timeline.Batch{Retried: []timeline.Retried{{Room: room, ID: eventID(2), Reason: timeline.ReasonBadMAC}}})
	d.record(timeline.Batch{Gaps: []timeline.Gap{{Room: room, Kind: timeline.GapLimited, From: "t"}}})
	if caughtUp() {
		t.Error("an open gap is no work")
	}
}

func TestWhatHasLandedIsCounted(t *testing.T) {
	d := ready(t)
	d.news(image(3, alice, "a"), image(4, alice, "b"))
	d.deliver()
	_, err := d.Attached(t.Context(), d.fetch(d.wanted()[0]))
	d.ok(err)
	d.fetch(d.wanted()[0])
	d.news(message(5, alice, "due"), message(6, bob, "sent"))
	d.ok(d.Send(t.Context(), "r", ledger.Batch{Drafts: d.due(10).Drafts[1:]}))
	got, err := d.Counts(t.Context())
	d.ok(err)
	want := ledger.Summary{
		Events: map[string]int{"read": 6}, Rooms: map[string]int{"landed": 1}, Authors: map[string]int{"landed": 2},
		Posts: map[string]int{"landed": 4, "due": 1, "sent": 1}, Attachments: map[string]int{"attached": 1, "fetched": 1},
		Undecrypted: map[string]int{}, Skipped: map[string]int{}, OldestDue: message(5, alice, "").Received, Batches: 3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestAResetSaysEverythingAgain(t *testing.T) {
	d := open(t, startAt(noon.Add(-48*time.Hour)))
	d.record(timeline.Batch{
		Rooms:  []timeline.Room{{ID: room, Name: "Room", Membership: timeline.MembershipJoin}, {ID: "!silent:x", Name: "Silent", Membership: timeline.MembershipJoin}},
		Events: []timeline.Event{message(1, alice, "one"), image(2, bob, "media")},
	})
	d.deliver()
	_, err := d.Attached(t.Context(), d.fetch(d.wanted()[0]))
	d.ok(err)
	d.ok(d.Reset(t.Context()))
	d.news(message(3, alice, "live"))
	drafts := d.deliver()
	if got := texts(drafts); !slices.Equal(got, []string{"live", "one", ""}) {
		t.Errorf("delivered %q, want the live one first and then everything again", got)
	}
	for _, p := range drafts[1:] {
		if p.Landed != 0 || p.Revision != 2 || p.Room.Revision != 3 {
			t.Errorf("%s: landed %d, revision %d, room revision %d", p.Post.ID, p.Landed, p.Revision, p.Room.Revision)
		}
	}
	if got := d.wanted(); len(got) != 1 {
		t.Errorf("%d files are wanted again", len(got))
	}
	want := []id.RoomID{room, "!silent:x"}
	var got []id.RoomID
	for _, g := range d.gaps() {
		if g.Kind != timeline.GapHistory || g.From != "" || !g.Bound.Equal(noon.Add(-48*time.Hour)) {
			t.Errorf("gap %+v", g)
		}
		got = append(got, g.Room)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("history opened again (-want +got):\n%s", diff)
	}
	d.ok(d.Reset(t.Context())) // a second one opens nothing twice
	if got := len(d.gaps()); got != 2 {
		t.Errorf("%d gaps are open", got)
	}
}

func TestDamageOnDiskHoldsUpNothingElse(t *testing.T) {
	d := ready(t)
	d.news(message(3, alice, "damaged"), reply(4, bob, "answer", eventID(3)), message(5, alice, "fine"))
	d.record(timeline.Batch{Undecrypted: []timeline.Undecrypted{encrypted(6, alice, "s"), encrypted(7, alice, "s")}, Keys: []timeline.KeyRef{{Room: room, Session: "s"}}})
	_, err := d.store.DB().Exec(t.Context(), "UPDATE ledger_event SET body_sealed = zeroblob(40) WHERE event IN (?, ?)", eventID(3), eventID(6))
	d.ok(err)
	if diff := cmp.Diff([]string{"answer", "fine"}, texts(d.deliver())); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	if got := d.column("SELECT state || ' ' || reason FROM ledger_post WHERE event = ?", eventID(3)); got != "dead nothing_to_say" {
		t.Errorf("the damaged post is %s", got)
	}
	waiting, err := d.Waiting(t.Context(), 1)
	d.ok(err)
	if len(waiting) != 1 || waiting[0].Event.ID != eventID(7) {
		t.Errorf("waiting: %+v", waiting)
	}
	if got := d.eventState(eventID(6)); got != "unreadable damaged" {
		t.Errorf("the damaged event is %s", got)
	}
}

func TestAReceiptWhosePostWasDamagedOnDiskClosesAllTheSame(t *testing.T) {
	d := ready(t)
	d.news(message(3, alice, "damaged"), message(4, alice, "fine"))
	d.ok(d.Send(t.Context(), "receipt", d.due(10)))
	d.restart()
	_, err := d.store.DB().Exec(t.Context(), "UPDATE ledger_event SET body_sealed = zeroblob(40) WHERE event = ?", eventID(3))
	d.ok(err)
	_, got, ok, err := d.InFlight(t.Context())
	d.ok(err)
	if diff := cmp.Diff([]string{"fine"}, texts(got.Drafts)); diff != "" || !ok {
		t.Errorf("on its way (-want +got):\n%s", diff)
	}
	d.land(got)
	if got := d.column("SELECT state || ' ' || reason FROM ledger_post WHERE event = ?", eventID(3)); got != "dead nothing_to_say" {
		t.Errorf("the damaged post is %s", got)
	}
	if receipt, _, ok, err := d.InFlight(t.Context()); ok || err != nil {
		t.Errorf("%q is on its way for ever (%v)", receipt, err)
	}
}

func TestLivePostsGoBeforeHistory(t *testing.T) {
	d := ready(t)
	d.record(timeline.Batch{Events: history(message(12, alice, "h2"), message(11, alice, "h1"))})
	d.news(message(20, alice, "l1"), message(21, bob, "l2"))
	if diff := cmp.Diff([]string{"l1", "l2", "h1"}, texts(d.due(3).Drafts)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// What is listed is read in pages, so that a slow reader holds up nobody, and each row comes
// once, whatever happens to those that were listed already.
func TestWhatIsMissingIsListedInPages(t *testing.T) {
	d := open(t)
	const n = 1300
	var dark []timeline.Undecrypted
	for i := range n {
		u := encrypted(i+1, alice, "s")
		if u.Cause = "m.unverified"; i%2 == 0 {
			u.Reason, u.Cause = timeline.ReasonWithheld, "failed olm message at "+u.Event.Sent.String()
		}
		dark = append(dark, u)
	}
	d.record(timeline.Batch{Undecrypted: dark})
	d.record(timeline.Batch{Events: []timeline.Event{reply(n+1, bob, "x", "$gone")}})
	d.record(timeline.Batch{Missing: []timeline.MissingEvent{{Room: room, ID: "$gone", Reason: "not_found"}}})
	seen := map[id.EventID]int{}
	last := ""
	groups := 0
	for m, err := range d.Missing(t.Context(), ledger.Choice{}) {
		d.ok(err)
		seen[m.Event]++
		cause, _, _ := strings.Cut(m.Cause, " at ")
		if g := m.What + m.Reason + cause; g != last {
			last = g
			groups++
		}
		if len(seen) == 700 { // beside who lists, the ledger goes on
			d.record(timeline.Batch{Events: []timeline.Event{message(n+2, bob, "y")}})
		}
	}
	if len(seen) != n+1 || groups != 3 {
		t.Errorf("%d rows in %d groups", len(seen), groups)
	}
	for event, times := range seen {
		if times != 1 {
			t.Errorf("%s is listed %d times", event, times)
		}
	}
	waiting := 0
	for m, err := range d.Missing(t.Context(), ledger.Choice{Waiting: true}) {
		d.ok(err)
		if m.What == "post" && m.State == "due" {
			waiting++
		}
	}
	if waiting != 2 {
		t.Errorf("%d posts are on their way", waiting)
	}
}
