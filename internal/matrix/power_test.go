package matrix_test

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// TestWhoMayRedactIsFrozenOnWhatEndsAPoll gives and takes the power between ends.
func TestWhoMayRedactIsFrozenOnWhatEndsAPoll(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice, bob := s.peer("alice"), s.peer("bob")
	hall := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Name: "Hall"})
	hall.Join(bob.User)
	hall.Join(s.bot)
	a := s.open()
	s.catchUp(a)
	levels := func(content matrixtest.Content) {
		hall.SetState(alice.User, "m.room.power_levels", "", content)
	}
	end := func(sender id.UserID) id.EventID {
		return hall.Send(sender, "org.matrix.msc3381.poll.end", matrixtest.Content{"m.relates_to": matrixtest.Content{"rel_type": "m.reference", "event_id": "$poll"}})
	}
	want := map[id.EventID]timeline.Right{}
	note := func(e id.EventID, right timeline.Right) {
		s.catchUp(a)
		want[e] = right
	}
	levels(matrixtest.Content{"users": matrixtest.Content{alice.User.String(): 100}})
	note(end(alice.User), timeline.RightYes)
	note(end(bob.User), timeline.RightNo)
	note(hall.Send(bob.User, "m.room.redaction", matrixtest.Content{"redacts": "$other"}), timeline.RightNo)
	note(hall.Say(alice.User, "hello"), timeline.RightUnknown) // nobody asks
	levels(matrixtest.Content{"users": matrixtest.Content{alice.User.String(): 100, bob.User.String(): "50"}})
	note(end(bob.User), timeline.RightYes)
	levels(matrixtest.Content{"users_default": 10, "redact": 10})
	note(end(bob.User), timeline.RightYes)
	levels(matrixtest.Content{"users": 5, "redact": "much", "users_default": 1e30})
	note(end(bob.User), timeline.RightNo)
	for event, right := range want {
		if e, ok := s.event(event); !ok || e.Redacts != right {
			t.Errorf("%s by %s: %d, want %d", e.Type, e.Sender, e.Redacts, right)
		}
	}
}
