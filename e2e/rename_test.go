package e2e_test

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

func TestARoomsNewNameReachesItsChannelUnlessAnAnalystChoseOne(t *testing.T) {
	t.Parallel()
	generations(t, func(t *testing.T, g openctitest.Generation) {
		s := scene.New(t, scene.Config{Generation: g})
		alice := s.Town.Moves("alice")
		s.Starts()
		ours, theirs := joined(s, alice, "Incident 7"), joined(s, alice, "Incident 8")
		channels := map[id.RoomID]string{} // internal ids: a patched name changes the standard id
		for _, room := range []id.RoomID{ours, theirs} {
			said := alice.Says(room, "Something to make a channel of")
			s.Receives()
			channel, _ := s.Platform.Object(s.Platform.Relations("", s.Message(said.Event).ID, "publishes")[0].From)
			channels[room] = channel.ID
		}
		name := func(room id.RoomID) string {
			channel, _ := s.Platform.Object(channels[room])
			return channel.Text("name")
		}
		const chosen = "The case of the missing mail"
		if err := s.Platform.Patch("admin", channels[theirs], "name", chosen); err != nil {
			t.Fatal(err)
		}
		alice.Renames(theirs, "Incident 8, closed")
		alice.Says(theirs, "This room has another name by now")
		alice.Renames(ours, "Incident 7, closed")
		alice.Says(ours, "And so has this one since a minute")
		s.Receives()
		s.Until("the room's new name is that of its channel", func() bool {
			return name(ours) == "Incident 7, closed ("+ours.String()+")"
		})
		s.Stops()
		if got := name(theirs); got != chosen {
			t.Errorf("an analyst called the channel %q, the connector %q", chosen, got)
		}
		if n := len(s.Platform.Objects("Channel")); n != 2 {
			t.Errorf("%d channels, want one a room whatever its name", n)
		}
	})
}
