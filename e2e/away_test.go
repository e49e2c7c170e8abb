package e2e_test

import (
	"context"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestPartsThatGoAwayAndComeBackLoseNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		own        bool
		away, back func(context.Context, *scene.Scene) error
	}{
		{"the way to the broker", false, shut(toBroker), open(toBroker)},
		{"the way to the platform", false, shut(toPlatform), open(toPlatform)},
		{"the way to the homeserver", false, shut(toHomeserver), open(toHomeserver)},
		{
			"the broker itself", true,
			func(_ context.Context, s *scene.Scene) error { s.Broker.Kill(); return nil },
			func(ctx context.Context, s *scene.Scene) error { return s.Broker.Restart(ctx) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t, scene.Config{OwnBroker: c.own})
			alice := s.Town.Moves("alice")
			run := s.Starts()
			room := joined(s, alice, "War room", people.Encrypted())
			alice.Says(room, "Before anything happens")
			s.Receives()
			for range 2 {
				alice.Says(room, "Said just before it goes")
				if err := c.away(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				alice.Says(room, "Said while it is away")
				alice.Sends(room, people.Document("written-while-away.pdf", "absent"), "")
				if err := c.back(t.Context(), s); err != nil {
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

func toBroker(s *scene.Scene) *parts.Gate     { return s.ToBroker }
func toPlatform(s *scene.Scene) *parts.Gate   { return s.ToPlatform }
func toHomeserver(s *scene.Scene) *parts.Gate { return s.ToHomeserver }

func shut(gate func(*scene.Scene) *parts.Gate) func(context.Context, *scene.Scene) error {
	return func(_ context.Context, s *scene.Scene) error { gate(s).Shut(); return nil }
}

func open(gate func(*scene.Scene) *parts.Gate) func(context.Context, *scene.Scene) error {
	return func(_ context.Context, s *scene.Scene) error { return gate(s).Open() }
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
