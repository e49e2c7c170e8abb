package ledger_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// like is a reaction of one of many people.
func like(n int, to id.EventID, key string) timeline.Event {
	e := event(n, id.UserID(fmt.Sprintf("@fan%d:example.org", n)), map[string]any{"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": to, "key": key}})
	e.Type = "m.reaction"
	return e
}

func redaction(n int, sender id.UserID, of id.EventID) timeline.Event {
	e := event(n, sender, map[string]any{"redacts": of})
	e.Type, e.Redacts = "m.room.redaction", timeline.RightNo
	return e
}

func TestManyReactionsAreOneChange(t *testing.T) {
	d := open(t, func(c *ledger.Config) { c.Calm = time.Minute })
	d.news(message(1, alice, "hello"))
	d.deliver()
	for n := range 50 {
		d.news(like(10+n, eventID(1), "+1"))
		d.now = d.now.Add(time.Second)
		if b := d.due(10); !b.Empty() {
			t.Fatalf("due after %d reactions", n+1)
		}
	}
	next, err := d.NextDue(t.Context())
	d.ok(err)
	if want := noon.Add(time.Minute); !next.Equal(want) {
		t.Errorf("due at %s, want %s: later reactions do not put it off", next, want)
	}
	d.now = next
	drafts := d.due(10).Drafts
	if len(drafts) != 1 || len(drafts[0].Post.Reactions) != 1 || len(drafts[0].Post.Reactions[0].Senders) != 50 {
		t.Fatalf("due are %+v", drafts)
	}
	// Another one comes while that change is on its way.
	d.news(like(99, eventID(1), "+1"))
	d.ok(d.Land(t.Context(), ledger.PostRef(drafts[0]), drafts[0].Revision))
	if got := d.postState(eventID(1)); got != "due 52/51" {
		t.Errorf("post is %s", got)
	}
	d.news(like(100, eventID(1), "+1"))
	if b := d.due(10); !b.Empty() {
		t.Error("a post that has just changed changes again for a reaction")
	}
	// What the author says himself does not wait.
	d.news(message(2, alice, "next"), reply(3, alice, "third", eventID(1)))
	if got := texts(d.due(10).Drafts); len(got) != 2 {
		t.Errorf("due are %q", got)
	}
}

// TestACrowdIsNotReadForEachReaction counts the reactions of many, of which the last are
// not looked at before they are said.
func TestACrowdIsNotReadForEachReaction(t *testing.T) {
	d := open(t, func(c *ledger.Config) { c.Calm = time.Minute })
	d.news(message(1, alice, "hello"))
	d.deliver()
	var all []timeline.Event
	for n := range 250 {
		all = append(all, like(10+n, eventID(1), "+1"))
	}
	d.news(all...)
	twice := like(900, eventID(1), "+1")
	twice.Sender = all[0].Sender
	before := d.postState(eventID(1))
	d.news(twice) // changes nothing, and nobody looks
	if got := d.postState(eventID(1)); got == before {
		t.Errorf("post is %s as before: all reactions were read for one", got)
	}
	d.news(redaction(901, all[7].Sender, all[7].ID))
	d.now = d.now.Add(time.Minute)
	landed := d.deliver()
	if len(landed) != 1 || len(landed[0].Post.Reactions) != 1 || len(landed[0].Post.Reactions[0].Senders) != 249 {
		t.Fatalf("%d posts landed, want one with 249 reactions", len(landed))
	}
}

func TestAReactionOnItsWayWaitsForItsTurn(t *testing.T) {
	d := open(t, func(c *ledger.Config) { c.Calm = time.Minute })
	d.news(message(1, alice, "hello"))
	b := d.due(10)
	d.ok(d.Send(t.Context(), "r1", b))
	d.land(b)
	b = d.due(10)
	d.ok(d.Send(t.Context(), "r2", b))
	d.news(like(10, eventID(1), "+1"))
	d.land(b)
	if got := d.postState(eventID(1)); got != "due 2/1" {
		t.Errorf("post is %s", got)
	}
	if b := d.due(10); !b.Empty() {
		t.Error("it is due at once")
	}
	d.now = d.now.Add(time.Minute)
	if landed := d.deliver(); len(landed) != 1 || len(landed[0].Post.Reactions) != 1 {
		t.Errorf("landed are %+v", landed)
	}
}

func TestAReactionWaitsForItsMessage(t *testing.T) {
	d := open(t)
	d.news(like(10, eventID(1), "+1"), like(11, eventID(7), "?"))
	d.news(redaction(12, "@fan11:example.org", eventID(11)))
	if b := d.due(10); !b.Empty() {
		t.Fatalf("%d rows are due", b.Len())
	}
	d.news(message(1, alice, "hello"), message(7, alice, "other"))
	for _, draft := range d.deliver() {
		if want := map[string]int{"hello": 1, "other": 0}[draft.Post.Text]; len(draft.Post.Reactions) != want {
			t.Errorf("%s has %d reactions, want %d", draft.Post.Text, len(draft.Post.Reactions), want)
		}
	}
}

func TestAReactionWaitsForTheKeyOfItsMessage(t *testing.T) {
	d := open(t)
	dark := encrypted(1, alice, "s")
	d.record(timeline.Batch{Undecrypted: []timeline.Undecrypted{dark}, Events: []timeline.Event{like(10, eventID(1), "+1")}})
	d.now = d.now.Add(7 * 24 * time.Hour)
	if b := d.due(10); !b.Empty() {
		t.Fatalf("%d rows are due", b.Len())
	}
	d.record(timeline.Batch{Events: []timeline.Event{decrypted(dark, "hello")}, Retried: []timeline.Retried{{Room: room, ID: eventID(1), Readable: true}}})
	if landed := d.deliver(); len(landed) != 1 || len(landed[0].Post.Reactions) != 1 {
		t.Errorf("landed are %+v", landed)
	}
}

func TestAReactionIsTakenBack(t *testing.T) {
	d := open(t, func(c *ledger.Config) { c.Calm = time.Minute })
	d.news(message(1, alice, "hello"), like(10, eventID(1), "+1"), like(11, eventID(1), "-1"))
	d.deliver()
	d.news(redaction(12, "@fan10:example.org", eventID(10)))
	d.news(redaction(13, "@mallory:evil.example", eventID(11))) // has no right to
	d.news(redaction(14, "@mallory:evil.example", eventID(99)))
	d.now = d.now.Add(time.Minute)
	landed := d.deliver()
	if len(landed) != 1 || len(landed[0].Post.Reactions) != 1 || landed[0].Post.Reactions[0].Key != "-1" {
		t.Fatalf("landed are %+v", landed)
	}
	if got := d.postState(eventID(1)); got != "landed 2/2" {
		t.Errorf("post is %s", got)
	}
}

func TestVotesAndTheEndOfAPollBelongToIt(t *testing.T) {
	d := open(t, func(c *ledger.Config) { c.Calm = time.Minute })
	poll := event(1, alice, map[string]any{"m.poll": map[string]any{
		"question": map[string]any{"m.text": "Lunch?"}, "answers": []any{map[string]any{"m.id": "p", "m.text": "Pizza"}},
	}})
	poll.Type = "m.poll.start"
	about := func(n int, sender id.UserID, kind string) timeline.Event {
		e := event(n, sender, map[string]any{"m.relates_to": map[string]any{"rel_type": "m.reference", "event_id": eventID(1)}, "m.selections": []string{"p"}})
		e.Type = kind
		return e
	}
	d.news(about(2, bob, "m.poll.response"))
	d.news(poll)
	d.deliver()
	forged := about(3, bob, "m.poll.end")
	forged.Redacts = timeline.RightNo
	d.news(forged)
	if got := d.postState(eventID(1)); got != "landed 1/1" {
		t.Errorf("after a forged end the post is %s", got)
	}
	end := about(4, bob, "m.poll.end") // a moderator meanwhile
	end.Redacts = timeline.RightYes
	d.news(end)
	d.restart() // the right is stored with the event
	d.now = d.now.Add(time.Minute)
	landed := d.deliver()
	if len(landed) != 1 || landed[0].Post.Poll == nil || landed[0].Post.Poll.EndedBy != bob || landed[0].Post.Poll.Voters != 1 {
		t.Fatalf("landed are %+v", landed)
	}
	if targets, err := d.Targets(t.Context(), 10); err != nil || len(targets) != 0 {
		t.Errorf("targets are %v, %v: votes alone fetch nothing", targets, err)
	}
}

func TestAReactionToDroppedContentWaitsBeforeItIsReadAgain(t *testing.T) {
	d := open(t, func(c *ledger.Config) { c.Calm = time.Minute })
	said, liked := message(1, alice, "hello"), like(2, eventID(1), "+1")
	d.news(said, liked)
	d.deliver()
	_, err := d.Trim(t.Context(), d.now.Add(time.Second), ledger.TrimPlace{}, 10)
	d.ok(err)
	d.news(like(3, eventID(1), "+1"))
	d.news(redaction(4, liked.Sender, liked.ID))
	refills := func() int {
		list, err := d.Refills(t.Context(), 10)
		d.ok(err)
		return len(list)
	}
	if refills() != 0 {
		t.Error("it is read again at once")
	}
	d.now = d.now.Add(time.Minute)
	if refills() != 1 {
		t.Error("it is not read again")
	}
	taken := liked
	taken.Content = json.RawMessage(`{}`) // as the homeserver shows it now
	d.news(said, taken)
	landed := d.deliver()
	if len(landed) != 1 || len(landed[0].Post.Reactions) != 1 || len(landed[0].Post.Reactions[0].Senders) != 1 {
		t.Fatalf("landed are %+v", landed)
	}
}
