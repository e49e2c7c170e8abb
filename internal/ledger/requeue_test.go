package ledger_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestWhatIsMissingIsTriedOnceMore(t *testing.T) {
	d := open(t)
	d.record(timeline.Batch{
		Events:      []timeline.Event{message(1, alice, "refused"), message(2, bot, "own"), image(3, alice, "media"), reply(4, bob, "x", "$gone")},
		Undecrypted: []timeline.Undecrypted{encrypted(5, alice, "s")},
		Unreadable:  []timeline.Unreadable{{Room: room, ID: "$odd", Raw: []byte("{"), Reason: "malformed", Received: noon}},
		Gaps:        []timeline.Gap{{Room: room, Kind: timeline.GapLimited, From: "t", Until: "$n", Opened: noon}},
	})
	d.deliver()
	d.record(timeline.Batch{Progress: &timeline.GapProgress{ID: 1, Lost: "forbidden"}, Missing: []timeline.MissingEvent{{Room: room, ID: "$gone", Reason: "not_found"}}})
	d.ok(d.Lose(t.Context(), d.wanted()[0], "not_found"))
	const carol = id.UserID("@carol:example.org")
	post := func(n int) ledger.Ref { return ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(n)} }
	d.ok(d.Leave(t.Context(), post(3))) // it was to be changed, as its file is lost
	for _, late := range []timeline.Event{message(6, carol, "refused"), message(7, carol, "refused with all that is hers")} {
		d.news(late)
	}
	for _, r := range []ledger.Ref{post(6), {Kind: ledger.KindAuthor, User: carol}} {
		d.ok(d.Kill(t.Context(), r, "refused: UNSUPPORTED_ERROR"))
	}
	if got := d.postState(eventID(3)); got != "landed 2/2" {
		t.Fatalf("what was deleted is %s", got)
	}

	for _, step := range []struct {
		name   string
		choice ledger.Choice
		want   ledger.Requeued
	}{
		{"another room", ledger.Choice{Room: "!other:example.org"}, ledger.Requeued{}},
		{"one message", ledger.Choice{Event: eventID(6)}, ledger.Requeued{Posts: 1}},
		{"a reason", ledger.Choice{Reasons: []string{"refused"}}, ledger.Requeued{Authors: 1}},
		// What somebody deleted there comes back only when it is named, and the bot's own is not wanted.
		{"all", ledger.Choice{}, ledger.Requeued{Attachments: 1, Events: 2, Gaps: 1, Targets: 1, Left: 2}},
		{"by its name", ledger.Choice{Reasons: []string{"deleted_on_platform"}}, ledger.Requeued{Posts: 1}},
		// The keys that are there do not open the event, and nobody has asked for the odd one yet.
		{"once more", ledger.Choice{}, ledger.Requeued{Events: 2, Left: 1}},
	} {
		n, err := d.RequeueChosen(t.Context(), step.choice)
		d.ok(err)
		if diff := cmp.Diff(step.want, n); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		if step.name == "all" { // its file is wanted again, which changes it; and it is gone as before
			d.ok(d.Leave(t.Context(), post(3)))
		}
	}
	if gaps := d.gaps(); len(gaps) != 1 || gaps[0].From != "t" {
		t.Errorf("gaps: %+v", gaps)
	}
	waiting, err := d.Waiting(t.Context(), 10)
	d.ok(err)
	targets, err := d.Targets(t.Context(), 10)
	d.ok(err)
	if len(waiting) != 1 || len(targets) != 2 || len(d.wanted()) != 1 {
		t.Errorf("%d keys to be tried, targets %v, %d files wanted", len(waiting), targets, len(d.wanted()))
	}
	if got := d.postState(eventID(3)); got != "due 2/0" {
		t.Errorf("what was deleted is %s: it has to be sent as what never landed", got)
	}
	left := 0
	for m, err := range d.Missing(t.Context(), ledger.Choice{}) {
		d.ok(err)
		if m.What != "event" {
			t.Errorf("still missing: %+v", m)
		}
		left++
	}
	if left != 3 {
		t.Errorf("%d rows are left", left)
	}
}

// Rows of a room that is left out stay as they are: being due would change nothing.
func TestWhatIsLeftOutIsNotTriedOnceMore(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, "x"))
	d.ok(d.Kill(t.Context(), ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(1)}, "refused"))
	d.restart(func(c *ledger.Config) { c.SkipRoom = func(timeline.Room) string { return "in_matrix_rooms_exclude" } })
	n, err := d.RequeueChosen(t.Context(), ledger.Choice{})
	d.ok(err)
	if diff := cmp.Diff(ledger.Requeued{Left: 1}, n); diff != "" {
		t.Error(diff)
	}
	if got := d.postState(eventID(1)); got[:4] != "dead" {
		t.Errorf("post is %s", got)
	}
}
