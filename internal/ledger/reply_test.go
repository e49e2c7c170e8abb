package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// ready is a desk with a room and two authors that have landed.
func ready(t *testing.T) *desk {
	t.Helper()
	d := open(t)
	d.news(message(1, alice, "first"), message(2, bob, "second"))
	d.deliver()
	return d
}

func TestAReplyGoesAfterItsTargetInOneBatch(t *testing.T) {
	d := ready(t)
	// In history the reply has the earlier place: its sender's clock is wrong.
	d.record(timeline.Batch{Events: history(reply(10, bob, "c", eventID(11)), reply(11, alice, "b", eventID(12)), message(12, bob, "a"))})
	drafts := d.due(10).Drafts
	if diff := cmp.Diff([]string{"a", "b", "c"}, texts(drafts)); diff != "" {
		t.Fatalf("order (-want +got):\n%s", diff)
	}
	if !drafts[1].ReplyKnown || !drafts[2].ReplyKnown {
		t.Errorf("relations: %v, %v", drafts[1].ReplyKnown, drafts[2].ReplyKnown)
	}
	// Where only two fit, the reply without its target stays behind.
	if diff := cmp.Diff([]string{"a", "b"}, texts(d.due(2).Drafts)); diff != "" {
		t.Errorf("two of them (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a"}, texts(d.due(1).Drafts)); diff != "" {
		t.Errorf("one of them (-want +got):\n%s", diff)
	}
}

func TestMessagesThatReferToEachOtherBothLand(t *testing.T) {
	d := ready(t)
	d.news(reply(10, bob, "a", eventID(11)), reply(11, alice, "b", eventID(10)))
	d.now = d.now.Add(time.Hour)
	drafts := d.deliver()
	known := map[string]bool{}
	for _, p := range drafts {
		known[p.Post.Text] = p.ReplyKnown
	}
	if diff := cmp.Diff(map[string]bool{"a": true, "b": true}, known); diff != "" {
		t.Errorf("what was said last (-want +got):\n%s", diff)
	}
	if len(drafts) != 3 {
		t.Errorf("%d posts were sent, want each once and one again with its relation", len(drafts))
	}
}

func TestAmendmentsWithoutAReceiptDoNotRaiseEachOtherForEver(t *testing.T) {
	d := ready(t)
	d.news(reply(10, bob, "a", eventID(11)), reply(11, alice, "b", eventID(10)))
	d.now = d.now.Add(time.Hour)
	for range 20 {
		b := d.due(10)
		if b.Empty() {
			return
		}
		d.land(b)
	}
	t.Error("what is due never ends")
}

func TestAReplyWaitsForItsTargetOnlySoLong(t *testing.T) {
	d := ready(t)
	d.news(reply(10, bob, "answer", "$elsewhere"))
	targets, err := d.Targets(t.Context(), 10)
	d.ok(err)
	if diff := cmp.Diff([]ledger.Target{{Room: room, ID: "$elsewhere"}}, targets); diff != "" {
		t.Fatalf("targets (-want +got):\n%s", diff)
	}
	if b := d.due(10); !b.Empty() {
		t.Fatal("the reply does not wait")
	}
	next, err := d.NextDue(t.Context())
	d.ok(err)
	if want := noon.Add(2 * time.Minute); !next.Equal(want) {
		t.Errorf("it is worth looking again at %v, want %v", next, want)
	}
	d.now = next
	drafts := d.deliver()
	if len(drafts) != 1 || drafts[0].ReplyKnown {
		t.Fatalf("after the wait: %+v", drafts)
	}
	if caughtUp, err := d.CaughtUp(t.Context()); err != nil || caughtUp {
		t.Errorf("caught up %v (%v) with a target to fetch", caughtUp, err)
	}
	// The target comes late: the relation is added.
	late := message(3, alice, "question")
	late.ID, late.Live = "$elsewhere", false
	d.news(late)
	drafts = d.deliver()
	if diff := cmp.Diff([]string{"question", "answer"}, texts(drafts)); diff != "" {
		t.Fatalf("delivered (-want +got):\n%s", diff)
	}
	if p := drafts[1]; !p.ReplyKnown || p.Landed != 1 || p.Revision != 2 {
		t.Errorf("the answer: known %v, landed %d, revision %d", p.ReplyKnown, p.Landed, p.Revision)
	}
	if caughtUp, err := d.CaughtUp(t.Context()); err != nil || !caughtUp {
		t.Errorf("caught up %v, %v", caughtUp, err)
	}
}

func TestAReplyToWhatTheHomeserverDoesNotShowGoesAtOnce(t *testing.T) {
	d := ready(t)
	d.news(reply(10, bob, "answer", "$forbidden"))
	changed := d.Changed()
	d.record(timeline.Batch{Missing: []timeline.MissingEvent{{Room: room, ID: "$forbidden", Reason: "forbidden"}}})
	select {
	case <-changed:
	default:
		t.Error("nobody was woken")
	}
	drafts := d.deliver()
	if len(drafts) != 1 || drafts[0].ReplyKnown {
		t.Errorf("delivered %+v", drafts)
	}
	if targets, err := d.Targets(t.Context(), 10); err != nil || len(targets) != 0 {
		t.Errorf("targets are %v, %v", targets, err)
	}
}

func TestAReplyWhoseTargetIsDeadOrNoMessageGoesAtOnce(t *testing.T) {
	d := ready(t)
	state := event(10, alice, map[string]any{"name": "x"})
	key := ""
	state.Type, state.StateKey = "m.room.name", &key
	d.news(message(11, alice, "refused"), state)
	d.ok(d.Kill(t.Context(), ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(11)}, "bad_user_input"))
	d.news(reply(12, bob, "to the dead", eventID(11)), reply(13, bob, "to a state event", eventID(10)))
	drafts := d.deliver()
	if diff := cmp.Diff([]string{"to the dead", "to a state event"}, texts(drafts)); diff != "" {
		t.Fatalf("delivered (-want +got):\n%s", diff)
	}
	// An operator requeues the dead one: the relation to it is added.
	d.ok(d.Requeue(t.Context(), ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(11)}))
	drafts = d.deliver()
	if diff := cmp.Diff([]string{"refused", "to the dead"}, texts(drafts)); diff != "" {
		t.Fatalf("after requeueing (-want +got):\n%s", diff)
	}
	if !drafts[1].ReplyKnown {
		t.Error("without its relation")
	}
}

func TestAReplyWaitsWhileItsTargetIsOnItsWay(t *testing.T) {
	d := ready(t)
	d.news(message(10, alice, "question"))
	b := d.due(10)
	d.ok(d.Send(t.Context(), "r", b))
	d.news(reply(11, bob, "answer", eventID(10)))
	if b := d.due(10); !b.Empty() {
		t.Fatal("the reply does not wait for what is on its way")
	}
	d.land(b)
	drafts := d.due(10).Drafts
	if len(drafts) != 1 || !drafts[0].ReplyKnown {
		t.Errorf("after it landed: %+v", drafts)
	}
	if next, err := d.NextDue(t.Context()); err != nil || !next.IsZero() {
		t.Errorf("next due %v, %v: nothing waits any more", next, err)
	}
}

func TestAManyFoldThreadLandsInOrderAndWithItsRelations(t *testing.T) {
	d := ready(t)
	root := message(10, alice, "root")
	events := []timeline.Event{}
	for n := 11; n < 140; n++ {
		events = append(events, event(n, bob, map[string]any{
			"msgtype": "m.text", "body": "child", "m.relates_to": map[string]any{
				"rel_type": "m.thread", "event_id": root.ID, "is_falling_back": true,
				"m.in_reply_to": map[string]any{"event_id": eventID(n - 1)},
			},
		}))
	}
	d.record(timeline.Batch{Events: append(events, root)})
	drafts := d.deliver()
	if len(drafts) != 130 || drafts[0].Post.ID != root.ID {
		t.Fatalf("%d posts landed, the first is %s", len(drafts), drafts[0].Post.ID)
	}
	for _, p := range drafts[1:] {
		if !p.ThreadKnown || p.ReplyKnown || p.Post.Thread != root.ID {
			t.Fatalf("%s: thread known %v, reply known %v", p.Post.ID, p.ThreadKnown, p.ReplyKnown)
		}
	}
}

// What is in a thread is no root of another one (Matrix C-S API, "Threading"): whoever says
// so gets no relation, in whatever order the three messages come, and nothing waits for it.
func TestAThreadHangsOnNoMessageOfAThread(t *testing.T) {
	inThread := func(n int, of id.EventID) timeline.Event {
		return event(n, bob, map[string]any{"msgtype": "m.text", "body": "in a thread", "m.relates_to": map[string]any{"rel_type": "m.thread", "event_id": of}})
	}
	root, child, grandchild := message(10, alice, "root"), inThread(11, eventID(10)), inThread(12, eventID(11))
	turned := []timeline.Event{grandchild, child, root}
	for name, batches := range map[string][][]timeline.Event{
		"together":           {{root, child, grandchild}},
		"one by one":         {{root}, {child}, {grandchild}},
		"turned round":       {turned},
		"the last one first": {{grandchild}, {child}, {root}},
	} {
		t.Run(name, func(t *testing.T) {
			d := ready(t)
			known, sent := map[id.EventID]bool{}, 0
			deliver := func() {
				for _, draft := range d.deliver() {
					known[draft.Post.ID] = draft.ThreadKnown
					sent++
				}
			}
			for _, events := range batches {
				d.news(events...)
				d.now = d.now.Add(time.Hour) // it goes without its target
				deliver()
			}
			want := map[id.EventID]bool{root.ID: false, child.ID: true, grandchild.ID: false}
			if diff := cmp.Diff(want, known); diff != "" {
				t.Errorf("thread known (-want +got):\n%s", diff)
			}
			// What lands again does not raise what has no relation to it, nor does its own edit make one.
			before := sent
			d.news(edit(20, bob, "edited", child.ID), edit(21, bob, "edited", grandchild.ID))
			deliver()
			if diff := cmp.Diff(want, known); diff != "" || sent != before+2 {
				t.Errorf("%d posts for two edits, thread known (-want +got):\n%s", sent-before, diff)
			}
		})
	}
}

func TestALongChainOfRepliesTakesFewBatches(t *testing.T) {
	d := ready(t)
	var events []timeline.Event
	const length = 200
	for n := range length {
		events = append(events, reply(1000+n, alice, "link", eventID(1000+n-1)))
	}
	events[0] = message(1000, alice, "start")
	d.record(timeline.Batch{Events: events})
	batches := 0
	seen := map[id.EventID]bool{}
	for {
		b := d.due(50)
		if b.Empty() {
			break
		}
		batches++
		for _, p := range b.Drafts {
			if p.Post.Reply != "" && (!p.ReplyKnown || !seen[p.Post.Reply]) {
				t.Fatalf("%s goes before its target", p.Post.ID)
			}
			seen[p.Post.ID] = true
		}
		d.ok(d.Send(t.Context(), string(b.Drafts[0].Post.ID), b))
		d.land(b)
	}
	if len(seen) != length || batches != length/50 {
		t.Errorf("%d posts in %d batches", len(seen), batches)
	}
}
