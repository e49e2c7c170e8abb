package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestTenKillsInTheMiddleOfAChatLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	// Synapse: Dendrite's SQLite can panic when a client dies inside a sync.
	s := scene.New(t, scene.Config{Synapse: true})
	alice, bob := s.Town.Moves("alice"), s.Town.Moves("bob")
	s.Starts()
	rooms := []id.RoomID{
		joined(s, alice, "Incident 7"),
		joined(s, alice, "War room", people.Encrypted()),
	}
	for _, room := range rooms {
		alice.Invites(room, bob.ID)
		bob.Joins(room)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, seed))
	line := 0
	talk := func() {
		line++
		room, person := rooms[line%2], []*people.Person{alice, bob}[chance.IntN(2)]
		switch {
		case line%11 == 0:
			person.Sends(room, people.Document(fmt.Sprintf("attachment-number-%d.pdf", line), strconv.Itoa(line)), "")
		case line%7 == 0:
			said := s.Town.Said()
			person.Says(room, fmt.Sprintf("Answer of the chat, line %d", line), people.ReplyTo(lastIn(said, room)))
		default:
			person.Says(room, fmt.Sprintf("Line %d of a long conversation", line))
		}
	}
	talk()
	talk()
	const kills = 10
	for range kills {
		for range chance.IntN(25) {
			talk()
		}
		s.Kills()
		for range chance.IntN(4) {
			talk()
		}
		s.Starts()
	}
	talk()
	s.Receives()
	t.Logf("after %d kills:\n%s", kills, s.Tally())
}

// lastIn is the newest message of a room.
func lastIn(said []people.Said, room id.RoomID) id.EventID {
	for _, one := range slices.Backward(said) {
		if one.Room == room {
			return one.Event
		}
	}
	return ""
}
