package ledger_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

const week = 7 * 24 * time.Hour

// trim drops whatever may go, a few rows at a time.
func (d *desk) trim() (posts, events int) {
	d.t.Helper()
	var from ledger.TrimPlace
	for range 10_000 {
		done, err := d.Trim(d.t.Context(), d.now.Add(-week), from, 3)
		d.ok(err)
		posts, events = posts+done.Posts, events+done.Events
		if done.Done() {
			return posts, events
		}
		from = done.Next
	}
	d.t.Fatal("trimming never ends")
	return 0, 0
}

// refills answers for the homeserver, which still has the given events.
func (d *desk) refills(has ...timeline.Event) {
	d.t.Helper()
	for range 1000 {
		refills, err := d.Refills(d.t.Context(), 1)
		d.ok(err)
		if len(refills) == 0 {
			return
		}
		for _, e := range refills[0].Events {
			at := slices.IndexFunc(has, func(h timeline.Event) bool { return h.ID == e && h.Room == refills[0].Post.Room })
			if at < 0 {
				d.record(timeline.Batch{Missing: []timeline.MissingEvent{{Room: refills[0].Post.Room, ID: e, Reason: "not_found"}}})
				continue
			}
			again := has[at]
			again.SenderName, again.RoomName, again.Live = "renamed", "Renamed", false
			d.record(timeline.Batch{Events: []timeline.Event{again}})
		}
	}
	d.t.Fatal("refilling never ends")
}

func (d *desk) content(event id.EventID) string {
	d.t.Helper()
	return d.column("SELECT CASE WHEN dropped = 1 THEN 'dropped' ELSE 'kept' END FROM ledger_event WHERE event = ?", event)
}

func reaction(n int, to id.EventID) timeline.Event {
	e := event(n, bob, map[string]any{"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": to, "key": "👍"}})
	e.Type = "m.reaction"
	return e
}

func TestContentIsDroppedAWeekAfterItLanded(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, "one"))
	d.now = noon.Add(week)
	d.deliver()
	d.now = d.now.Add(week - time.Minute)
	if posts, _ := d.trim(); posts != 0 || d.content(eventID(1)) != "kept" {
		t.Fatalf("%d posts are trimmed before their time", posts)
	}
	d.now = d.now.Add(2 * time.Minute)
	if posts, events := d.trim(); posts != 1 || events != 1 || d.content(eventID(1)) != "dropped" {
		t.Fatalf("%d posts, %d events are trimmed, want one", posts, events)
	}
	if got := d.postState(eventID(1)); got != "landed 1/1" {
		t.Errorf("post = %s", got)
	}
	if posts, events := d.trim(); posts+events != 0 {
		t.Errorf("%d posts, %d events are trimmed twice", posts, events)
	}
}

func TestWhatDidNotLandKeepsItsContent(t *testing.T) {
	d := open(t, func(c *ledger.Config) {
		c.SkipRoom = func(r timeline.Room) string {
			if r.ID == "!skipped:example.org" {
				return "excluded"
			}
			return ""
		}
	})
	skipped := message(6, bob, "of a room that is not imported")
	skipped.Room = "!skipped:example.org"
	d.record(timeline.Batch{
		Events:      []timeline.Event{message(1, alice, "dead"), message(2, alice, "sent"), image(3, alice, "wanted"), skipped},
		Undecrypted: []timeline.Undecrypted{encrypted(4, alice, "session")},
		Unreadable:  []timeline.Unreadable{{Room: room, ID: eventID(5), Raw: []byte(`{}`), Reason: "test", Received: noon}},
	})
	b := d.sendAll()
	for _, p := range b.Drafts {
		switch p.Post.ID {
		case eventID(1):
			d.ok(d.Kill(t.Context(), ledger.PostRef(p), "test"))
		case eventID(3):
			d.ok(d.Land(t.Context(), ledger.PostRef(p), p.Revision))
		}
	}
	d.news(message(7, alice, "due"))
	d.now = noon.Add(10 * week)
	if posts, events := d.trim(); posts+events != 0 {
		t.Errorf("%d posts and %d events are trimmed, want none", posts, events)
	}
	for n := range 7 {
		if got := d.content(eventID(n + 1)); got != "kept" {
			t.Errorf("event %d is %s", n+1, got)
		}
	}
}

func TestEventsOfNoMessageLoseTheirContentToo(t *testing.T) {
	d := open(t)
	topic := event(1, alice, map[string]any{"topic": "secret plans"})
	topic.Type, topic.StateKey = "m.room.topic", new(string)
	d.news(topic)
	d.now = noon.Add(week + time.Hour)
	if _, events := d.trim(); events != 1 {
		t.Fatalf("%d events are trimmed, want one", events)
	}
	if got := d.column("SELECT count(*) FROM ledger_content"); got != "0" {
		t.Error("it is still there")
	}
}

// landedLongAgo is a message with an edit whose content is dropped.
func landedLongAgo(t *testing.T) (*desk, timeline.Draft, []timeline.Event) {
	t.Helper()
	d := open(t)
	all := []timeline.Event{message(1, alice, "as it was said"), edit(2, alice, "as it was changed", eventID(1))}
	d.news(all...)
	landed := d.deliver()
	if len(landed) != 1 {
		t.Fatalf("%d posts landed", len(landed))
	}
	d.now = noon.Add(week + time.Hour)
	if posts, events := d.trim(); posts != 1 || events != 2 {
		t.Fatalf("%d posts, %d events are trimmed", posts, events)
	}
	return d, landed[0], all
}

func TestAPostIsSaidAgainOnlyWhenItHasBeenReadAgain(t *testing.T) {
	d, before, all := landedLongAgo(t)
	d.ok(d.Reset(t.Context()))
	if got := d.deliver(); len(got) != 0 {
		t.Fatalf("an empty post was said: %+v", got)
	}
	d.record(timeline.Batch{Events: all[:1]})
	if got := d.deliver(); len(got) != 0 {
		t.Fatalf("said without its edit: %+v", got)
	}
	d.refills(all...)
	got := d.deliver()
	if len(got) != 1 {
		t.Fatalf("%d posts are said again, want one", len(got))
	}
	if diff := cmp.Diff(before.Post, got[0].Post); diff != "" {
		t.Errorf("the post is not what it was (-want +got):\n%s", diff)
	}
	if got := d.postState(eventID(1)); got != "landed 2/2" {
		t.Errorf("post = %s", got)
	}
}

func TestAWalkOfTheHistoryRefillsWhatItMeets(t *testing.T) {
	d, before, all := landedLongAgo(t)
	d.record(timeline.Batch{Rooms: []timeline.Room{{ID: room, Name: "Room", Membership: timeline.MembershipJoin}}})
	d.deliver()
	d.ok(d.Reset(t.Context()))
	gaps, err := d.Gaps(t.Context(), 1)
	if err != nil || len(gaps) != 1 {
		t.Fatalf("gaps = %+v, %v", gaps, err)
	}
	if refills, err := d.Refills(t.Context(), 1); err != nil || len(refills) != 0 {
		t.Fatalf("refills = %+v, %v beside an open gap", refills, err)
	}
	d.record(timeline.Batch{Events: history(slices.Clone(all)...), Progress: &timeline.GapProgress{ID: gaps[0].ID, Done: true}})
	got := d.deliver()
	if len(got) != 1 {
		t.Fatalf("%d posts are said again", len(got))
	}
	if diff := cmp.Diff(before.Post, got[0].Post); diff != "" {
		t.Errorf("the post is not what it was (-want +got):\n%s", diff)
	}
}

func TestHistoryLeavesDroppedContentThatNobodyWants(t *testing.T) {
	d, _, all := landedLongAgo(t)
	d.news(history(slices.Clone(all)...)...)
	if got := d.content(eventID(1)); got != "dropped" {
		t.Errorf("content = %s", got)
	}
	if got := d.deliver(); len(got) != 0 {
		t.Errorf("%d posts are said again", len(got))
	}
}

func TestAnEditOfADroppedPostReadsItAgain(t *testing.T) {
	d, _, all := landedLongAgo(t)
	d.news(edit(3, alice, "once more", eventID(1)))
	if got := d.deliver(); len(got) != 0 {
		t.Fatalf("said without its content: %+v", got)
	}
	d.refills(all...)
	got := d.deliver()
	if !slices.Equal(texts(got), []string{"once more"}) {
		t.Fatalf("texts = %q", texts(got))
	}
	if earlier := got[0].Post.Earlier; len(earlier) != 2 || earlier[0].Text != "as it was said" || earlier[1].Text != "as it was changed" {
		t.Errorf("former texts = %+v", earlier)
	}
}

func TestADroppedPostIsMaskedWithoutBeingReadAgain(t *testing.T) {
	d, _, _ := landedLongAgo(t)
	d.news(redaction(3, alice, eventID(1)))
	got := d.deliver()
	if len(got) != 1 || !got[0].Post.Masked || got[0].Post.Redaction.By != alice {
		t.Fatalf("said: %+v", got)
	}
	d.now = d.now.Add(2 * week)
	d.trim()
	d.ok(d.Reset(t.Context()))
	if again := d.deliver(); len(again) != 1 || !again[0].Post.Masked || again[0].Post.Redaction.By != alice {
		t.Errorf("said after a reset: %+v", again)
	}
}

func TestATrimThatFailsDropsNothing(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, "one"), message(2, alice, "two"))
	d.deliver()
	d.now = noon.Add(week + time.Hour)
	if _, err := d.store.DB().Exec(t.Context(), "CREATE TRIGGER fails BEFORE UPDATE ON ledger_post BEGIN SELECT RAISE(FAIL, 'disk on fire'); END"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Trim(t.Context(), d.now.Add(-week), ledger.TrimPlace{}, 10); err == nil {
		t.Fatal("a trim that cannot write succeeds")
	}
	if _, err := d.store.DB().Exec(t.Context(), "DROP TRIGGER fails"); err != nil {
		t.Fatal(err)
	}
	if got := d.column("SELECT count(*) FROM ledger_content"); got != "2" || d.content(eventID(1)) != "kept" {
		t.Errorf("%s contents are left", got)
	}
	d.restart()
	if posts, _ := d.trim(); posts != 2 {
		t.Errorf("%d posts are trimmed afterwards", posts)
	}
}

func TestAPostThatNobodyShowsAnyMoreStaysAsItLanded(t *testing.T) {
	shown := message(1, alice, "as it was said")
	other, undecrypted := shown, encrypted(1, alice, "session")
	other.Sender = bob
	for name, answer := range map[string]timeline.Batch{
		"missing":                   {Missing: []timeline.MissingEvent{{Room: room, ID: eventID(1), Reason: "not_found"}}},
		"of another sender":         {Events: []timeline.Event{other}},
		"no longer to be decrypted": {Undecrypted: []timeline.Undecrypted{undecrypted}},
	} {
		t.Run(name, func(t *testing.T) {
			d, _, _ := landedLongAgo(t)
			d.ok(d.Reset(t.Context()))
			d.record(answer)
			if got := d.deliver(); len(got) != 0 {
				t.Fatalf("said: %q", texts(got))
			}
			if got := d.postState(eventID(1)); got != "dead 2/0" {
				t.Errorf("post = %s", got)
			}
			found := false
			for m, err := range d.Missing(t.Context(), ledger.Choice{}) {
				d.ok(err)
				found = found || (m.What == "post" && m.Event == eventID(1) && m.Reason == "content_gone")
				if m.What == "target" {
					t.Errorf("listed as a target: %+v", m)
				}
			}
			if !found {
				t.Error("nobody is told")
			}
			// It is shown again after all, as after the bot came back to the room.
			d.refills(shown)
			d.record(timeline.Batch{Events: []timeline.Event{shown, edit(2, alice, "as it was changed", eventID(1))}})
			if got := texts(d.deliver()); !slices.Equal(got, []string{"as it was changed"}) {
				t.Errorf("texts = %q", got)
			}
		})
	}
}

func TestWhatWasTakenBackOfADroppedPostDoesNotKeepItAway(t *testing.T) {
	liked := reaction(2, eventID(1))
	changed := edit(2, alice, "as it was changed", eventID(1))
	encrypted := changed // shown as ciphertext again once it was taken back
	encrypted.Type = "m.room.encrypted"
	for name, c := range map[string]struct {
		said, now timeline.Event
		gone      bool
	}{
		"a reaction":              {said: liked, now: liked},
		"a reaction that is gone": {said: liked, gone: true},
		"an edit":                 {said: changed, now: changed},
		"an encrypted edit":       {said: changed, now: encrypted},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			original := message(1, alice, "as it was said")
			d.news(original, c.said)
			d.deliver()
			d.now = noon.Add(week + time.Hour)
			d.trim()
			d.ok(d.Reset(t.Context()))
			shown := []timeline.Event{original}
			if !c.gone {
				c.now.Content = []byte(`{}`)
				shown = append(shown, c.now)
			}
			d.refills(shown...)
			if got := texts(d.deliver()); !slices.Equal(got, []string{"as it was said"}) {
				t.Errorf("texts = %q", got)
			}
			if got := d.postState(eventID(1)); !strings.HasPrefix(got, "landed ") {
				t.Errorf("post = %s", got)
			}
		})
	}
}

func TestAFileOfADroppedPostIsAddedWhenThePostIsBack(t *testing.T) {
	d := open(t)
	picture := image(1, alice, "media")
	d.news(picture)
	d.deliver()
	wanted, err := d.Wanted(t.Context(), 1)
	d.ok(err)
	d.ok(d.Lose(t.Context(), wanted[0], "not_found"))
	d.deliver()
	d.now = noon.Add(week + time.Hour)
	d.trim()
	d.ok(d.Requeue(t.Context(), ledger.Ref{Kind: ledger.KindAttachment, Room: room, Event: eventID(1)}))
	wanted, err = d.Wanted(t.Context(), 1)
	d.ok(err)
	wanted[0].Spool = "0123456789abcdef0123456789abcdef"
	d.ok(d.Fetched(t.Context(), wanted[0]))
	if ready, err := d.ReadyToAttach(t.Context(), 1); err != nil || len(ready) != 0 {
		t.Fatalf("ready = %+v, %v before the post can be said", ready, err)
	}
	d.refills(picture)
	d.deliver()
	if ready, err := d.ReadyToAttach(t.Context(), 1); err != nil || len(ready) != 1 {
		t.Fatalf("ready = %+v, %v", ready, err)
	}
}

func TestARefillThatFailsWaits(t *testing.T) {
	d, _, all := landedLongAgo(t)
	d.ok(d.Reset(t.Context()))
	d.ok(d.DeferRefill(t.Context(), ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(1)}, "temporary", "content"))
	if refills, err := d.Refills(t.Context(), 1); err != nil || len(refills) != 0 {
		t.Fatalf("refills = %+v, %v at once", refills, err)
	}
	next, err := d.NextDue(t.Context())
	if err != nil || next.IsZero() {
		t.Fatalf("next = %v, %v", next, err)
	}
	d.now = d.now.Add(time.Hour)
	d.refills(all...)
	if got := texts(d.deliver()); !slices.Equal(got, []string{"as it was changed"}) {
		t.Errorf("texts = %q", got)
	}
	// A post that has its content does not wait.
	d.ok(d.DeferRefill(t.Context(), ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(1)}, "temporary", "content"))
	if got := d.postState(eventID(1)); got != "landed 2/2" {
		t.Errorf("post = %s", got)
	}
}

func TestSettledReceiptsAndFilledGapsGo(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, "one"))
	d.record(timeline.Batch{Gaps: []timeline.Gap{{Room: room, Kind: timeline.GapLimited, From: "a", Until: "$b"}, {Room: room, Kind: timeline.GapLimited, From: "c", Until: "$d"}}})
	gaps, err := d.Gaps(t.Context(), 1)
	d.ok(err)
	d.record(timeline.Batch{Progress: &timeline.GapProgress{ID: gaps[0].ID, Done: true}})
	d.deliver()
	d.news(message(2, alice, "two"))
	d.sendAll()
	d.now = noon.Add(week + time.Hour)
	d.trim()
	if got := d.column("SELECT group_concat(receipt) FROM ledger_receipt"); got != "delivery" {
		t.Errorf("receipts = %s, want the open one", got)
	}
	if got := d.column("SELECT count(*) || ' ' || max(state) FROM ledger_gap"); got != "1 open" {
		t.Errorf("gaps = %s", got)
	}
}

// TestTrimmingChangesNoPost walks through messages, edits, deliveries, resets and
// restarts, once with and once without trimming: what is said is the same.
func TestTrimmingChangesNoPost(t *testing.T) {
	trimmed := 0
	s := open(t).store
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{
			"message", "message", "edit", "react", "take back", "reply", "deliver", "day", "age", "age", "age", "trim", "refill", "reset", "history", "restart", "kill", "requeue",
		}), 5, 40).Draw(rt, "steps")
		dice := rapid.SliceOfN(rapid.IntRange(1, 4), len(steps), len(steps)).Draw(rt, "dice")
		play := func(trim bool) map[id.EventID]string {
			forgetAll(t, s)
			d := &desk{t: t, store: s, now: noon}
			d.conf = ledger.Config{Store: s, Clock: func() time.Time { return d.now }, Self: bot}
			d.restart()
			shown := map[id.EventID]timeline.Event{}
			said := map[id.EventID]string{}
			n := 0
			hear := func(e timeline.Event) {
				shown[e.ID] = e
				d.news(e)
			}
			deliver := func() {
				for _, p := range d.deliver() {
					if p.Post.Text == "" || p.Post.SenderName != "name of "+string(p.Post.Sender) {
						rt.Fatalf("said: %+v", p.Post)
					}
					said[p.Post.ID] = fmt.Sprint(p.Post)
				}
			}
			everything := func() []timeline.Event { return slices.Collect(maps.Values(shown)) }
			for i, step := range steps {
				switch step {
				case "message":
					n++
					hear(message(n, alice, fmt.Sprint("text ", n)))
				case "edit":
					n++
					hear(edit(n, alice, "edited", eventID(dice[i])))
				case "react":
					n++
					hear(reaction(n, eventID(dice[i])))
				case "take back": // an edit or a reaction; the homeserver shows it without its content
					e := shown[eventID(n-dice[i]+1)]
					if item, err := timeline.Parse(e); err == nil && (item.Class == timeline.ClassEdit || item.Class == timeline.ClassReaction) {
						e.Content = []byte(`{}`)
						shown[e.ID] = e
						n++
						hear(redaction(n, e.Sender, e.ID))
					}
				case "reply":
					n++
					hear(reply(n, bob, fmt.Sprint("reply ", n), eventID(dice[i])))
				case "deliver":
					deliver()
				case "day":
					d.now = d.now.Add(24 * time.Hour)
				case "age", "trim":
					if step == "age" {
						deliver()
						d.now = d.now.Add(week)
					}
					if trim {
						posts, _ := d.trim()
						trimmed += posts
					}
				case "refill":
					d.refills(everything()...)
				case "reset":
					d.ok(d.Reset(t.Context()))
				case "history":
					d.news(history(everything()...)...)
				case "restart":
					d.restart()
				case "kill", "requeue":
					ref := ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(dice[i])}
					if step == "kill" {
						_ = d.Kill(t.Context(), ref, "test")
					} else {
						_ = d.Requeue(t.Context(), ref)
					}
				}
			}
			for e := range shown {
				_ = d.Requeue(t.Context(), ledger.Ref{Kind: ledger.KindPost, Room: room, Event: e})
			}
			d.ok(d.Reset(t.Context()))
			for range 3 {
				d.now = d.now.Add(2 * time.Hour)
				d.refills(everything()...)
				deliver()
			}
			if open := d.column("SELECT count(*) FROM ledger_post WHERE state <> 'landed'"); open != "0" {
				rt.Fatalf("%s posts did not land", open)
			}
			return said
		}
		if diff := cmp.Diff(play(false), play(true)); diff != "" {
			rt.Fatalf("trimming changed what is said (-without +with):\n%s", diff)
		}
	})
	if trimmed == 0 {
		t.Error("no walk ever trimmed a post; the test proves nothing")
	}
}
