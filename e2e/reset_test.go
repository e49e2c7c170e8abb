package e2e_test

import (
	"context"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestAResetFromThePlatformsPageSendsEverythingAgain(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	lost := alice.Says(room, "This one is lost on the platform")
	alice.Says(room, "This one stays on the platform")
	s.Receives()

	// The operator lost data, and asks for it again.
	if err := s.Platform.Delete("admin", s.Message(lost.Event).ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Platform.ResetState(s.Env["CONNECTOR_ID"]); err != nil {
		t.Fatal(err)
	}
	// A ping, every 40 seconds, hears of it.
	s.Receives()

	// Its state is kept again afterwards.
	ctx, cancel := context.WithTimeout(t.Context(), scene.Patience)
	defer cancel()
	if err := s.Platform.Await(ctx, func() bool {
		c := s.Platform.Connectors()
		return len(c) == 1 && c[0].State != ""
	}); err != nil {
		t.Errorf("the connector's state after a reset: %v", err)
	}
}
