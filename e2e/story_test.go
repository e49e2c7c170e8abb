package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

func TestWhatIsSaidInRoomsStandsOnThePlatform(t *testing.T) {
	t.Parallel()
	generations(t, func(t *testing.T, g openctitest.Generation) {
		s := scene.New(t, scene.Config{Generation: g})
		alice, bob := s.Town.Moves("alice", "Alice Liddell"), s.Town.Moves("bob")
		s.Starts()
		open := joined(s, alice, "Incident 7", people.Topic("What happened on Tuesday"))
		sealed := joined(s, alice, "War room", people.Encrypted())
		for _, room := range []id.RoomID{open, sealed} {
			alice.Invites(room, bob.ID)
			bob.Joins(room)
			chat(alice, bob, room)
		}
		silent := time.Now()
		s.Receives()
		t.Logf("the last of %d messages was on the platform %d ms after it was said", len(s.Town.Said()), time.Since(silent).Milliseconds())

		for room, name := range map[id.RoomID]string{open: "Incident 7", sealed: "War room"} {
			channel, ok := s.Platform.Object(s.Platform.Relations("", s.Message(first(s, room).Event).ID, "publishes")[0].From)
			if !ok {
				t.Fatalf("no channel for %s", name)
			}
			if got, want := channel.Text("name"), name+" ("+room.String()+")"; got != want {
				t.Errorf("channel name %q, want %q", got, want)
			}
			if got := channel.List("aliases"); !slices.Equal(got, []string{room.String()}) {
				t.Errorf("channel aliases %q, want the room id alone", got)
			}
			if got := channel.List("channel_types"); !slices.Equal(got, []string{"Matrix"}) {
				t.Errorf("channel types %q, want Matrix", got)
			}
			if topic := "What happened on Tuesday"; room == open && !strings.Contains(channel.Text("description"), topic) {
				t.Errorf("channel description %q lacks the topic", channel.Text("description"))
			}
		}
		if n := len(s.Platform.Objects("Channel")); n != 2 {
			t.Errorf("%d channels, want one a room", n)
		}
		if n := len(s.Platform.Objects("Individual")); n != 2 {
			t.Errorf("%d individuals, want one a sender", n)
		}
		for _, person := range s.Platform.Objects("Individual") {
			if len(person.List("x_opencti_aliases")) > 0 {
				t.Errorf("%s has aliases %q, want none", person.Text("name"), person.List("x_opencti_aliases"))
			}
			if person.Text("name") == alice.ID.String() && !strings.Contains(person.Text("description"), "Alice Liddell") {
				t.Errorf("description %q lacks the display name", person.Text("description"))
			}
		}
		for _, one := range s.Town.Said() {
			o := s.Message(one.Event)
			if title := o.Text("title"); !strings.Contains(title, " in ") {
				t.Errorf("title %q does not say who spoke where", title)
			}
			if !strings.Contains(o.Text("x_opencti_description"), one.Event.String()) {
				t.Errorf("description %q has no link to the message", o.Text("x_opencti_description"))
			}
			if one.ReplyTo != "" && !strings.Contains(o.Text("x_opencti_description"), one.ReplyTo.String()) {
				t.Errorf("description %q has no link to the reply's target", o.Text("x_opencti_description"))
			}
		}
	})
}

func first(s *scene.Scene, room id.RoomID) people.Said {
	said := s.Town.Said()
	return said[slices.IndexFunc(said, func(one people.Said) bool { return one.Room == room })]
}

// chat lets two people say everything that a message can be.
func chat(alice, bob *people.Person, room id.RoomID) {
	hello := alice.Says(room, "Good morning, the mail server behaves oddly since midnight")
	bob.Says(room, "Which one of the three do you mean", people.ReplyTo(hello.Event))
	root := alice.Says(room, "Collecting what we know in this thread")
	answer := bob.Says(room, "The proxy log ends at two o'clock", people.InThread(root.Event, root.Event))
	alice.Says(room, "And the backup is complete", people.InThread(root.Event, answer.Event), people.Formatted("<p>And the <b>backup</b> is complete</p>"))
	alice.Notes(room, "Reminder: the call is at ten")
	bob.Emotes(room, "puts the kettle on")
	alice.Sends(room, people.Picture("screenshot-mailserver.png", 1), "This is what the console shows")
	bob.Sends(room, people.Picture("second-screenshot.png", 2), "", people.ReplyTo(hello.Event))
	alice.Sends(room, people.Document("incident-report.pdf", "First findings"), "")
	bob.Sends(room, people.Sound("voice-of-the-caller.wav"), "Listen to the end")
	bob.Sends(room, people.Film("lobby-camera.mp4"), "")
	alice.Sticks(room, people.Picture("thumbs-up-sticker.png", 3), "A thumb that points upwards")
	bob.Locates(room, "Meet at the data centre", "geo:51.5008,0.1247;u=35")
}
