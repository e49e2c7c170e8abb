package e2e_test

import (
	"maps"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// TestWhatIsForgedChangesNothing lets a member of a plain and of an encrypted room, and
// whoever can write in another's name, break every rule of what changes a message or
// belongs to it (Matrix C-S API, "Event replacements", "Threading", "Forming relationships
// between events", "Redactions"). The homeserver passes it on, but for redactions. That
// nobody ends another's poll is shown by TestEverythingThatPeopleSayIsReadAsTheyMeanIt.
func TestWhatIsForgedChangesNothing(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{}) // Dendrite: Synapse refuses some of it
	alice, mallory := s.Town.Moves("alice"), s.Town.Moves("mallory")
	s.Starts()
	open, sealed := joined(s, alice, "Harbour"), joined(s, alice, "Back room", people.Encrypted())
	var all []victims
	for _, room := range []id.RoomID{open, sealed} {
		alice.Invites(room, mallory.ID)
		mallory.Joins(room)
		v := victims{said: alice.Says(room, "The ship leaves on Monday"), edited: alice.Says(room, "The crane is at pier six")}
		v.edit = alice.Rewords(v.edited, "The crane is at pier nine")
		v.child = alice.Says(room, "The papers are ready", people.InThread(v.said.Event, v.said.Event))
		all = append(all, v)
	}
	s.Receives()
	before, changes := shown(s, all), s.Platform.Calls("FieldPatch")

	for _, v := range all {
		forges(mallory, alice, v)
	}
	// An edit in one room of what was said in another.
	alice.Adds(sealed, "m.room.message", replacement(all[0].said.Event))
	alice.Adds(open, "m.room.message", replacement(all[1].said.Event))
	// Whoever runs the homeserver can write this in Alice's name.
	alice.SendsRaw(sealed, "m.room.message", replacement(all[1].said.Event))
	plain := mallory.SaysInTheClear(sealed, "Nobody but the homeserver says who wrote this")
	hides(alice, all[1])

	// What changes something comes last, and shows that all of the above was read.
	for _, v := range all {
		mallory.Rewords(mallory.Says(v.said.Room, "That is all for now"), "That is all for today")
	}
	s.Receives()
	if after := shown(s, all); !maps.Equal(before, after) {
		t.Errorf("a forgery has changed a message:\n%q\nwas\n%q", after, before)
	}
	if n := s.Platform.Calls("FieldPatch") - changes; n > len(all) {
		t.Errorf("%d changes on the platform for %d edits that count", n, len(all))
	}
	if got, want := s.Message(plain.Event).Text("x_opencti_description"), "sent without encryption in an encrypted room"; !strings.Contains(got, want) {
		t.Errorf("a plain message in an encrypted room is described as %q, want %q", got, want)
	}
}

// victims are messages of one room that somebody is after.
type victims struct {
	said, edited, child people.Said
	edit                id.EventID // of edited
}

// shown is what the platform says of messages, by their ids.
func shown(s *scene.Scene, all []victims) map[id.EventID]string {
	texts := map[id.EventID]string{}
	for _, v := range all {
		for _, one := range []people.Said{v.said, v.edited, v.child} {
			o := s.Message(one.Event)
			texts[one.Event] = o.Text("title") + "\n" + o.Text("content") + "\n" + o.Text("x_opencti_description")
		}
	}
	return texts
}

// replacement is an edit as a client sends it.
func replacement(of id.EventID) map[string]any {
	return map[string]any{
		"msgtype": "m.text", "body": "* What a forger wrote", "m.new_content": map[string]any{"msgtype": "m.text", "body": "What a forger wrote"},
		"m.relates_to": map[string]any{"rel_type": "m.replace", "event_id": of},
	}
}

// forges breaks a rule with each event.
func forges(mallory, alice *people.Person, v victims) {
	room := v.said.Room
	mallory.Adds(room, "m.room.message", replacement(v.said.Event)) // somebody else's message
	mallory.Adds(room, "m.room.message", replacement(v.edit))       // somebody else's edit
	alice.Adds(room, "m.room.message", replacement(v.edit))         // an edit of an edit
	alice.Adds(room, "m.sticker", replacement(v.said.Event))        // another type
	nothing := replacement(v.said.Event)
	delete(nothing, "m.new_content")
	alice.Adds(room, "m.room.message", nothing)
	alice.SetsRaw(room, "m.room.message", replacement(v.said.Event)) // a state event
	mallory.TriesToTakeBack(v.said)
	mallory.TriesToTakeBack(people.Said{Room: room, Event: v.edit})
	// A thread hangs on no message of a thread: there is no relation to it.
	mallory.SendsKind(room, "m.room.message", map[string]any{
		"msgtype": "m.text", "body": "In a thread of a thread",
		"m.relates_to": map[string]any{"rel_type": "m.thread", "event_id": v.child.Event, "is_falling_back": true, "m.in_reply_to": map[string]any{"event_id": v.child.Event}},
	}, "In a thread of a thread")
}

// hides puts relations where only who has the key sees them: none of them counts.
func hides(alice *people.Person, v victims) {
	room := v.said.Room
	alice.Hides(room, map[string]any{"rel_type": "m.replace", "event_id": v.said.Event}, nil, people.Said{Text: "An edit that only its readers see"})
	alice.Hides(room, map[string]any{"m.in_reply_to": map[string]any{"event_id": v.edited.Event}},
		map[string]any{"m.in_reply_to": map[string]any{"event_id": v.said.Event}}, people.Said{Text: "An answer to two messages", ReplyTo: v.said.Event})
}
