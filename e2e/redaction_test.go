package e2e_test

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// forged is the content of an edit of an event.
func forged(of id.EventID) map[string]any {
	return map[string]any{
		"msgtype": "m.text", "body": "* forged words", "m.new_content": map[string]any{"msgtype": "m.text", "body": "forged words"},
		"m.relates_to": map[string]any{"rel_type": "m.replace", "event_id": of},
	}
}

func TestPeopleEditAndDeleteWhatTheySaidAndNobodyElseDoes(t *testing.T) {
	t.Parallel()
	generations(t, func(t *testing.T, g openctitest.Generation) {
		s := scene.New(t, scene.Config{Generation: g})
		alice, mallory := s.Town.Moves("alice"), s.Town.Moves("mallory")
		s.Starts()
		open, sealed := joined(s, alice, "Open"), joined(s, alice, "Sealed", people.Encrypted())
		for _, room := range []id.RoomID{open, sealed} {
			alice.Invites(room, mallory.ID)
			mallory.Joins(room)
			untouched := alice.Says(room, "Nobody but me changes this sentence")
			reworded := alice.Says(room, "The call is at nine o'clock")
			secret := alice.Sends(room, people.Document("secret-plan.pdf", "The secret plan"), "Not meant for this room")
			s.Receives()
			if n := len(s.Platform.Files(s.Message(secret.Event).ID)); n != 1 {
				t.Fatalf("%d files before the deletion", n)
			}

			mallory.SendsRaw(room, "m.room.message", forged(untouched.Event))
			mallory.Adds(room, "m.room.message", forged(untouched.Event))
			edit := alice.Rewords(reworded, "The call is at ten o'clock")
			alice.Adds(room, "m.room.message", forged(edit)) // an edit of an edit
			alice.Adds(room, "m.sticker", forged(untouched.Event))
			alice.SendsRaw(room, "m.room.message", map[string]any{
				"msgtype": "m.text", "body": "* no new content", "m.relates_to": map[string]any{"rel_type": "m.replace", "event_id": untouched.Event},
			})
			if room == sealed { // in the clear: nobody can tell that it was her
				alice.SendsRaw(room, "m.room.message", forged(untouched.Event))
			}
			alice.Deletes(secret)
			alice.Says(room, "That is all from here")
			s.Receives()
			s.Until("the file is removed", func() bool { return len(s.Platform.Files(s.Message(secret.Event).ID)) == 0 })
			for _, o := range s.Platform.Objects("Media-Content") {
				for _, field := range []string{"title", "content", "x_opencti_description"} {
					if text := o.Text(field); strings.Contains(text, "forged") || strings.Contains(text, "Not meant") || strings.Contains(text, "secret-plan") {
						t.Errorf("%s of %s is %q", field, o.Text("url"), text)
					}
				}
			}
		}
	})
}
