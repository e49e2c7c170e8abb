package e2e_test

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// channel is the Channel of a message's room.
func channel(s *scene.Scene, said people.Said) openctitest.Object {
	o, _ := s.Platform.Object(s.Platform.Relations("", s.Message(said.Event).ID, "publishes")[0].From)
	return o
}

// says reports whether a Channel's description holds all parts.
func says(s *scene.Scene, channel openctitest.Object, parts ...string) func() bool {
	return func() bool {
		o, _ := s.Platform.Object(channel.ID)
		for _, p := range parts {
			if !strings.Contains(o.Text("description"), p) {
				return false
			}
		}
		return true
	}
}

func TestAnUpgradedRoomIsFollowedAndDerivedFromTheFormerOne(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	s.Starts()
	old := joined(s, alice, "Incident 7", people.Public())
	before := alice.Says(old, "We move to another room in a minute")
	s.Receives()

	next := alice.Upgrades(old, "12")
	if strings.Contains(next.String(), ":") {
		t.Fatalf("%s names a server, which rooms of version 12 do not", next)
	}
	alice.Sees(next, s.Bot)
	after := alice.Says(next, "Here we are in the room of version 12")
	s.Receives()
	from, to := channel(s, after), channel(s, before)
	s.Until("the new room's channel is derived from the former one's", func() bool {
		return len(s.Platform.Relations(from.ID, to.ID, "derived-from")) == 1
	})
	s.Until("the former room says by what it is replaced", says(s, to, next.String()+" (which says the same)"))
	s.Until("the new room says what it replaces", says(s, from, old.String()+" (which says the same)"))
	if text := s.Message(after.Event).Text("x_opencti_description"); !strings.Contains(text, "?via=") || !strings.Contains(text, next.String()) {
		t.Errorf("the link to a message of %s is in %q", next, text)
	}

	// Neither a repetition nor a restart doubles it.
	s.Stops()
	s.Starts()
	alice.Says(next, "Anything more to say in this one?")
	s.Receives()
	s.Stops()
	if n := len(s.Platform.Relations("", "", "derived-from")); n != 1 {
		t.Errorf("%d relations between rooms", n)
	}
	if n := len(s.Platform.Objects("Channel")); n != 2 {
		t.Errorf("%d channels", n)
	}
}

func TestAnUpgradeToARoomForMembersIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice, mallory := s.Town.Moves("alice"), s.Town.Moves("mallory")
	s.Env["MATRIX_INVITE_FROM"] = alice.ID.String()
	s.Starts()
	old := joined(s, alice, "Incident 7")
	before := alice.Says(old, "We move to another room in a minute")
	next := alice.Upgrades(old, "11")
	s.Logs("the room that replaces another one cannot be joined", next.String(), old.String())
	if status := s.Commands("status").Shows("invite the bot there"); !strings.Contains(status, next.String()) {
		t.Errorf("the status does not tell which room is waited for:\n%s", status)
	}
	// Somebody else's invite changes nothing.
	alice.Invites(next, mallory.ID)
	mallory.Joins(next)
	alice.Puts(next, "m.room.power_levels", "", map[string]any{"users": map[id.UserID]int{alice.ID: 100, mallory.ID: 50}})
	mallory.Invites(next, s.Bot)
	s.Logs("invite stays pending", next.String())
	if m := alice.Membership(next, s.Bot); m != event.MembershipInvite {
		t.Errorf("the bot's membership is %q", m)
	}
	mallory.Kicks(next, s.Bot) // takes the invite back
	alice.Invites(next, s.Bot)
	alice.Sees(next, s.Bot)
	after := alice.Says(next, "Now everybody is in the new room")
	s.Receives()
	from, to := channel(s, after), channel(s, before)
	s.Until("the new room's channel is derived from the former one's", func() bool {
		return len(s.Platform.Relations(from.ID, to.ID, "derived-from")) == 1
	})
}

func TestAFalseTombstoneAndAFalseNameFuseNothing(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice, victim, mallory := s.Town.Moves("alice"), s.Town.Moves("victim"), s.Town.Moves("mallory")
	s.Env["MATRIX_INVITE_FROM"] = alice.ID.String() + "," + mallory.ID.String()
	square := victim.Creates("Town square", people.Public())
	s.NotRead(square)
	s.Starts()
	room, trap := joined(s, alice, "Incident 7"), joined(s, mallory, "Incident 7")
	genuine := alice.Says(room, "What is said in the real room")
	faked := mallory.Says(trap, "What is said in the room of the same name")
	s.Receives()

	// A tombstone that names a room of others: the bot looks in, and is out again.
	mallory.Puts(trap, "m.room.tombstone", "", map[string]any{"body": "moved", "replacement_room": square})
	s.Logs("a tombstone named a room that does not replace the former one", square.String())
	s.Until("the bot has left the room of others", func() bool { return victim.Membership(square, s.Bot) == event.MembershipLeave })
	victim.Says(square, "What is said among others is nobody's business")
	// And one that names the real room, which says nothing of it.
	mallory.Puts(trap, "m.room.tombstone", "", map[string]any{"body": "moved", "replacement_room": room})
	s.Until("the false claim is shown as a claim", says(s, channel(s, faked), "Says that it is replaced by the room: "+room.String()))
	mallory.Renames(trap, "Incident 7 ("+room.String()+")")
	mallory.Says(trap, "And now this room calls itself by the other's very name")
	s.Until("the trap's channel has the new name", func() bool {
		o, _ := s.Platform.Object(channel(s, faked).ID)
		return o.Text("name") == "Incident 7 ("+room.String()+") ("+trap.String()+")"
	})
	s.Receives()
	s.Stops()
	if n := len(s.Platform.Relations("", "", "derived-from")); n != 0 {
		t.Errorf("%d relations between rooms", n)
	}
	if got := channel(s, genuine); got.Text("name") != "Incident 7 ("+room.String()+")" || got.ID == channel(s, faked).ID || len(got.List("aliases")) != 1 {
		t.Errorf("the real room's channel is %q, aliases %q", got.Text("name"), got.List("aliases"))
	}
	if says(s, channel(s, genuine), trap.String())() {
		t.Error("the real room's channel tells of the trap")
	}
	if n := len(s.Platform.Objects("Channel")); n != 2 {
		t.Errorf("%d channels", n)
	}
}

func TestAnUpgradeSurvivesKills(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	s.Starts()
	old := joined(s, alice, "Incident 7", people.Public())
	before := alice.Says(old, "We move to another room in a minute")
	s.Receives()
	next := alice.Upgrades(old, "11")
	after := alice.Says(next, "Here we are, all but the bot")
	s.Kills() // before or after it has seen the tombstone
	s.Starts()
	alice.Sees(next, s.Bot)
	s.Kills() // before it has read what is in the room, most likely
	s.Starts()
	s.ReceivesOnly(before.Event, after.Event)
	s.Kills() // before or after the relation is on its way
	s.Starts()
	from, to := channel(s, after), channel(s, before)
	s.Until("the new room's channel is derived from the former one's", func() bool {
		return len(s.Platform.Relations(from.ID, to.ID, "derived-from")) == 1
	})
	alice.Says(next, "Now the bot is here as well")
	s.Receives()
	s.Stops()
	if n := len(s.Platform.Relations("", "", "derived-from")); n != 1 {
		t.Errorf("%d relations between rooms", n)
	}
}
