package e2e_test

import (
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestPartsThatGoAwayAndComeBackLoseNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		gate func(*scene.Scene) *parts.Gate
	}{
		{"the broker", func(s *scene.Scene) *parts.Gate { return s.ToBroker }},
		{"the platform", func(s *scene.Scene) *parts.Gate { return s.ToPlatform }},
		{"the homeserver", func(s *scene.Scene) *parts.Gate { return s.ToHomeserver }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t, scene.Config{})
			alice := s.Town.Moves("alice")
			run := s.Starts()
			room := joined(s, alice, "War room", people.Encrypted())
			alice.Says(room, "Before anything happens")
			s.Receives()
			gate := c.gate(s)
			for range 2 {
				alice.Says(room, "Said just before it goes")
				gate.Shut()
				alice.Says(room, "Said while it is away")
				alice.Sends(room, people.Document("written-while-away.pdf", "absent"), "")
				if err := gate.Open(); err != nil {
					t.Fatal(err)
				}
				alice.Says(room, "Said when it is back")
			}
			s.Receives()
			select {
			case <-run.Done():
				t.Error("the connector did not live through it")
			default:
			}
		})
	}
}

func TestTheConnectorWaitsForPartsThatAreNotThereYet(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "Good evening, everybody, and good night")
	s.Receives()
	s.Stops()
	s.ToBroker.Shut()
	s.ToPlatform.Shut()
	s.Starts()
	// It reads what it cannot deliver yet.
	alice.Says(room, "The platform is down for maintenance")
	for _, g := range []*parts.Gate{s.ToPlatform, s.ToBroker} {
		if err := g.Open(); err != nil {
			t.Fatal(err)
		}
	}
	s.Receives()
}
