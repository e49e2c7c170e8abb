// Package e2e_test tells stories with the real binary, real homeservers, a real
// broker and the platform's stand-in. What every story promises is asserted by
// its scene.
package e2e_test

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

func TestMain(m *testing.M) { scene.Main(m) }

// generations runs a story once with each generation of the platform.
func generations(t *testing.T, story func(*testing.T, openctitest.Generation)) {
	t.Helper()
	for name, g := range map[string]openctitest.Generation{
		"oldest platform": openctitest.Gen6,
		"newest platform": openctitest.Gen7,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, g)
		})
	}
}

// joined is a room of alice's that the running bot has joined.
func joined(s *scene.Scene, alice *people.Person, name string, options ...people.RoomOption) id.RoomID {
	room := alice.Creates(name, options...)
	alice.Invites(room, s.Bot)
	alice.Sees(room, s.Bot)
	return room
}

// events are the ids of what was said.
func events(said ...people.Said) []id.EventID {
	ids := make([]id.EventID, len(said))
	for i, s := range said {
		ids[i] = s.Event
	}
	return ids
}
