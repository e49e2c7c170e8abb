package e2e_test

import (
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestALateRoomKeyMakesItsMessageReadable(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice, mallory := s.Town.Moves("alice"), s.Town.Moves("mallory")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	late := alice.SaysWithoutKey(room, s.Bot, "The key of this message comes later")
	next := alice.Says(room, "The key of this message comes at once")
	s.ReceivesOnly(events(next)...)

	mallory.SendsGarbage(s.Bot, 20)
	alice.Says(room, "Noise in between does not matter")
	late.Shares(s.Bot)
	s.Receives()
}

func TestALateRoomKeyIsWorkedOffAfterARestartToo(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	late := alice.SaysWithoutKey(room, s.Bot, "This one waits over a restart")
	next := alice.Says(room, "This one is there before it")
	s.ReceivesOnly(events(next)...)
	s.Stops()
	late.Shares(s.Bot)
	s.Starts()
	s.Receives()
}
