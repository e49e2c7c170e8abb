package e2e_test

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestWhatWasSaidBeforeTheBotWasRemovedIsKept(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "Incident 7")
	first := alice.Says(room, "This is what happened so far")
	s.Receives()
	s.ToHomeserver.Shut() // so that the kick comes with what was said before it
	last := alice.Says(room, "The last words before the kick are kept, too")
	alice.Kicks(room, s.Bot)
	missed := alice.Says(room, "This is said while the bot is out")
	s.NotImported(missed.Event)
	if err := s.ToHomeserver.Open(); err != nil {
		t.Fatal(err)
	}
	s.ReceivesOnly(first.Event, last.Event)
	home := channel(s, first)
	s.Until("the channel tells who removed the bot", says(s, home, "No longer read: removed by "+alice.ID.String()))

	alice.Bans(room, s.Bot)
	s.Until("the channel tells of the ban", says(s, home, "No longer read: banned by "+alice.ID.String()))
	alice.Unbans(room, s.Bot)
	s.Imported(missed.Event) // the room shows its past to those who come later
	alice.Invites(room, s.Bot)
	alice.Sees(room, s.Bot)
	back := alice.Says(room, "Welcome back to the incident room")
	s.Receives()
	s.Until("the channel is read again", func() bool { return !says(s, home, "No longer read")() })
	if got := channel(s, back); got.ID != home.ID {
		t.Errorf("after its return the room is %s, before it was %s", got.ID, home.ID)
	}
}

func TestADirectChatIsNamedByItsPeople(t *testing.T) {
	t.Parallel()
	for name, synapse := range map[string]bool{"dendrite": false, "synapse": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t, scene.Config{Synapse: synapse})
			alice, bob := s.Town.Moves("alice"), s.Town.Moves("bob")
			s.Starts()
			chat := alice.Creates("", people.Direct(s.Bot))
			alice.Sees(chat, s.Bot)
			one := alice.Says(chat, "This is between you and me, bot")
			s.Receives()
			alone := channel(s, one)
			if got := alone.Text("name"); !strings.HasPrefix(strings.ToLower(got), "alice (") && !strings.HasPrefix(got, alice.ID.String()+" (") {
				t.Errorf("the chat is called %q", got)
			}
			alice.Invites(chat, bob.ID)
			bob.Joins(chat)
			bob.Says(chat, "May I join your conversation?")
			s.Receives()
			s.Until("the chat is named by both", func() bool {
				o, _ := s.Platform.Object(alone.ID)
				return strings.Contains(strings.ToLower(o.Text("name")), "alice") && strings.Contains(strings.ToLower(o.Text("name")), "bob")
			})
			// What was said before keeps the name of its time.
			if title := s.Message(one.Event).Text("title"); strings.Contains(strings.ToLower(title), "bob") {
				t.Errorf("the first message is now %q", title)
			}
		})
	}
}

func TestASpaceIsShownWhereBothSaySo(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	s.Starts()
	space := joined(s, alice, "Security team", people.Space())
	in, out := joined(s, alice, "Incident 7"), joined(s, alice, "Incident 8")
	via := map[string]any{"via": []string{"x.example"}}
	for _, room := range []id.RoomID{in, out} {
		alice.Puts(room, "m.space.parent", space.String(), via)
	}
	alice.Puts(space, "m.space.child", in.String(), via)
	inside, outside := alice.Says(in, "This room is in the space"), alice.Says(out, "This one only says that it is")
	s.Receives()
	s.Until("the space is named", says(s, channel(s, inside), "In the space: Security team ("+space.String()+")"))
	alice.Renames(space, "Incident response")
	s.Until("the space has another name", says(s, channel(s, inside), "In the space: Incident response"))
	if says(s, channel(s, outside), "In the space")() {
		t.Error("a room that the space does not name is shown in it")
	}
	alice.Puts(space, "m.space.child", in.String(), map[string]any{})
	s.Until("the space has let the room go", func() bool { return !says(s, channel(s, inside), "In the space")() })
	if n := len(s.Platform.Objects("Channel")); n != 2 {
		t.Errorf("%d channels: a space in which nobody speaks is none", n)
	}
}
