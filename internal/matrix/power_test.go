package matrix_test

import (
	"testing"

	"maunium.net/go/mautrix/event"
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

func TestAnEndWhoseKeyComesLateKnowsWhoMayRedact(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	den := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	den.Join(s.bot)
	a := s.open()
	s.catchUp(a)
	release := s.server.HoldToDevice(s.bot, "m.room.encrypted")
	end, err := alice.Send(t.Context(), den.ID, event.NewEventType("m.poll.end"), matrixtest.Content{"m.relates_to": matrixtest.Content{"rel_type": "m.reference", "event_id": "$poll"}})
	if err != nil {
		t.Fatal(err)
	}
	s.catchUp(a)
	release()
	s.catchUp(a)
	s.retry(a)
	if e, ok := s.event(end); !ok || e.Type != "m.poll.end" || e.Redacts != timeline.RightYes {
		t.Errorf("%s: %d, read: %t", e.Type, e.Redacts, ok)
	}
}

func TestTheCreatorsOfANewRoomMayAlwaysRedact(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice, bob, carol := s.peer("alice"), s.peer("bob"), s.peer("carol")
	hall := s.server.NewRoom(alice.User, matrixtest.RoomOptions{ID: "!NoServerInTheIdOfVersion12", Version: "12"})
	hall.SetState(alice.User, "m.room.create", "", matrixtest.Content{"room_version": "12", "additional_creators": []any{bob.User, 5}})
	hall.SetState(alice.User, "m.room.power_levels", "", matrixtest.Content{"redact": 150, "users": matrixtest.Content{carol.User.String(): 100}})
	hall.Join(bob.User)
	hall.Join(carol.User)
	hall.Join(s.bot)
	a := s.open()
	s.catchUp(a)
	want := map[id.EventID]timeline.Right{}
	for user, right := range map[id.UserID]timeline.Right{alice.User: timeline.RightYes, bob.User: timeline.RightYes, carol.User: timeline.RightNo} {
		want[hall.Send(user, "m.poll.end", matrixtest.Content{"m.relates_to": matrixtest.Content{"rel_type": "m.reference", "event_id": "$poll"}})] = right
	}
	s.catchUp(a)
	for event, right := range want {
		if e, ok := s.event(event); !ok || e.Redacts != right {
			t.Errorf("%s: %d, want %d", e.Sender, e.Redacts, right)
		}
	}
}
