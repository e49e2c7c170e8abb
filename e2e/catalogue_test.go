package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// TestEverythingThatPeopleSayIsReadAsTheyMeanIt lets three people say one of everything
// that is no plain message, in a plain and in an encrypted room.
func TestEverythingThatPeopleSayIsReadAsTheyMeanIt(t *testing.T) {
	t.Parallel()
	generations(t, func(t *testing.T, g openctitest.Generation) {
		s := scene.New(t, scene.Config{Generation: g, Synapse: g == openctitest.Gen7})
		alice, bob, carol := s.Town.Moves("alice"), s.Town.Moves("bob"), s.Town.Moves("carol")
		s.Starts()
		open, sealed := joined(s, alice, "Harbour"), joined(s, alice, "Back room", people.Encrypted())
		var want []struct {
			of           people.Said
			holds, lacks []string
		}
		for _, room := range []id.RoomID{open, sealed} {
			for _, p := range []*people.Person{bob, carol} {
				alice.Invites(room, p.ID)
				p.Joins(room)
			}
			poll, liked := annotated(s, alice, bob, carol, room)
			want = append(want, []struct {
				of           people.Said
				holds, lacks []string
			}{
				{poll, []string{
					"Voters: 2", "Votes for (1): 1 (" + carol.ID.String() + ")", "Votes for (2): 1 (" + bob.ID.String() + ")", " by " + alice.ID.String(),
				}, []string{"1000", "Spoilt"}},
				{liked, []string{"Reaction by 2 (" + bob.ID.String() + ", " + carol.ID.String() + "): 👍"}, []string{"❤"}},
			}...)
			rarer(alice, bob, room)
			if g == openctitest.Gen6 { // Synapse takes no reaction to nothing
				alice.SendsRaw(room, "m.reaction", map[string]any{"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": "$nothing", "key": "?"}})
			}
		}
		s.Receives()
		for _, w := range want {
			s.Until("what others said about a message stands in its description", func() bool {
				got := s.Message(w.of.Event).Text("x_opencti_description")
				for _, part := range w.holds {
					if !strings.Contains(got, part) {
						return false
					}
				}
				return true
			})
			for _, part := range w.lacks {
				if got := s.Message(w.of.Event).Text("x_opencti_description"); strings.Contains(got, part) {
					t.Errorf("description %q, want it without %q", got, part)
				}
			}
		}
		// Four messages, each once, or twice where the thirty seconds ended in between.
		n := s.Platform.Calls("FieldPatch")
		t.Logf("%d changes for two times %d reactions, votes and ends", n, signs+9)
		if n < len(want) || n > 12 {
			t.Errorf("%d changes of %d messages", n, len(want))
		}
		s.Stops()
		for _, one := range s.Town.Said() {
			if content := s.Message(one.Event).Text("content"); one.Type == poll && !strings.Contains(content, "(2) At the station") {
				t.Errorf("a poll is %q", content)
			}
		}
	})
}

// signs are reactions to one message within a few seconds.
const signs = 15

const poll = "org.matrix.msc3381.poll.start"

// annotated is a poll and a message about which much is said after they have landed.
func annotated(s *scene.Scene, alice, bob, carol *people.Person, room id.RoomID) (asked, liked people.Said) {
	asked = alice.Asks(room, "Where do we meet?", "At the pier", "At the station")
	liked = alice.Says(room, "I bring the papers")
	bob.Votes(asked, "At the pier")
	bob.Votes(asked, "At the station")
	carol.Votes(asked, "In the moon")
	bob.Closes(asked) // it is not his
	carol.Votes(asked, "At the pier")
	s.Receives()
	alice.Closes(asked)
	bob.Votes(asked, "At the pier") // too late
	bob.Reacts(liked, "👍")
	heart := bob.Reacts(liked, "❤️")
	carol.Reacts(liked, "👍")
	for i := range signs {
		carol.Reacts(liked, fmt.Sprintf("sign %02d", i))
	}
	bob.TakesBack(room, heart)
	return asked, liked
}

// rarer says what is neither common nor annotated, and what says nothing.
func rarer(alice, bob *people.Person, room id.RoomID) {
	alice.Speaks(room, people.Sound("voice.ogg"), 12)
	bob.Shows(room, "Two views of the pier", people.Picture("pier-north.png", 11), people.Picture("pier-south.png", 12))
	bob.Shows(room, "", people.Picture("pier-at-night.png", 13))
	alice.SendsKind(room, "m.room.message", map[string]any{
		"msgtype": "m.location", "body": "Location was shared", "geo_uri": "geo:51.5008,-0.1247;u=35",
		"org.matrix.msc3488.location": map[string]any{"uri": "geo:51.5008,-0.1247;u=35", "description": "The old pier"},
	}, "[location: 51.5008, -0.1247 ±35 m]")
	alice.SendsKind(room, "m.message", map[string]any{"m.text": []any{map[string]any{"body": "Said as an extensible event"}}}, "Said as an extensible event")
	bob.SendsKind(room, "org.example.quiz", map[string]any{"org.matrix.msc1767.text": "A quiz that nobody knows"}, "A quiz that nobody knows")
	bob.SendsKind(room, "m.room.message", map[string]any{"msgtype": "com.example.poke", "body": "Poked in a way that nobody knows"}, "Poked in a way that nobody knows")
	bob.SendsKind(room, "m.room.message", map[string]any{"msgtype": "m.server_notice", "body": "A notice that nobody's homeserver gave"}, "A notice that nobody's homeserver gave")

	alice.SendsKind(room, "m.room.message", map[string]any{
		"msgtype": "m.text", "body": "Ask him, the report says why", "format": "org.matrix.custom.html",
		"formatted_body": `<mx-reply>old</mx-reply>Ask <a href="https://matrix.to/#/` + bob.ID.String() + `">him</a>, the <a href="https://evil.example/why">report</a> says why` +
			`<img src="https://evil.example/seen.png"><script>alert(1)</script><table><tr><td>port</td><td>443</td></tr></table>`,
	}, "Ask him ("+bob.ID.String()+"), the report (https://evil.example/why) says why\n\nport | 443")

	alice.Adds(room, "m.call.invite", map[string]any{"call_id": "1", "version": "1", "lifetime": 60000, "offer": map[string]any{"type": "offer", "sdp": "v=0"}})
	alice.Adds(room, "org.matrix.msc3672.beacon", map[string]any{"org.matrix.msc3488.location": map[string]any{"uri": "geo:1,2"}})
	alice.Adds(room, "m.room.message", map[string]any{"msgtype": "m.key.verification.request", "body": "Verify", "from_device": "X", "methods": []string{}, "to": bob.ID})
	alice.Adds(room, "io.element.functional", map[string]any{"service_members": []string{"@x:example.org"}})
}
