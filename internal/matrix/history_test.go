package matrix_test

import (
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

func TestThePastHasTheNamesOfThoseWhoSpokeThen(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.server.Account("alice", "x")
	bob := s.server.Account("bob", "x")
	s.server.SetDisplayName(bob, "Bob the Old")
	room := s.server.NewRoom(alice, matrixtest.RoomOptions{Name: "Square"})
	room.Join(bob)
	e := room.Say(bob, "long ago")
	room.Join(s.bot)
	a := s.open()
	s.catchUp(a)
	s.fill(a, 0)
	got, ok := s.event(e)
	if !ok || got.SenderName != "Bob the Old" || got.RoomName != "Square" || got.Live {
		t.Errorf("event %+v, found %v", got, ok)
	}
}
