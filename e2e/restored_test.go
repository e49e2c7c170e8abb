package e2e_test

import (
	"context"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestWhatAPlatformLostThatWasRestoredFromABackupIsSentAgain(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "Before the backup")
	s.Receives()
	s.Stops()
	state := s.Platform.Connectors()[0].State
	s.Starts()
	after := []people.Said{
		alice.Says(room, "After the backup"),
		alice.Sends(room, people.Document("report.pdf", "after the backup"), ""),
	}
	s.Receives()
	s.Stops()
	for _, said := range after {
		if err := s.Platform.Delete("admin", s.Message(said.Event).ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Platform.SetState(s.Env["CONNECTOR_ID"], state); err != nil {
		t.Fatal(err)
	}
	s.Starts()
	s.Logs("the platform was restored from a backup")
	s.Receives()
}

func TestAnotherPlatformAtTheAddressIsNotFilledInSilence(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room")
	alice.Says(room, "On the first platform")
	s.Receives()
	s.Stops()
	for _, o := range s.Platform.Objects("Media-Content", "Channel", "Individual") {
		if err := s.Platform.Delete("admin", o.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Platform.DeleteConnector(s.Env["CONNECTOR_ID"]); err != nil {
		t.Fatal(err)
	}
	alice.Says(room, "Meanwhile")
	run := s.Starts()
	ctx, cancel := context.WithTimeout(t.Context(), scene.Patience)
	defer cancel()
	if code, err := run.Wait(ctx); err != nil || code != 1 {
		t.Errorf("it ended with %d, %v", code, err)
	}
	s.Failed()
	if log := run.Stderr.String(); !strings.Contains(log, "is not the one that the store has delivered to") || !strings.Contains(log, "reset the state of this connector") {
		t.Errorf("it does not say why:\n%s", log)
	}
	if n := len(s.Platform.Objects("Media-Content")); n != 0 {
		t.Errorf("%d messages stand there", n)
	}

	// The operator wants it to be filled.
	if err := s.Platform.ResetState(s.Env["CONNECTOR_ID"]); err != nil {
		t.Fatal(err)
	}
	s.Starts()
	s.Receives()
}
