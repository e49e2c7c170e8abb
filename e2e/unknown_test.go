package e2e_test

import (
	"fmt"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestAConnectorThatIsDeletedOnThePageRegistersAgainAndGoesOn(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "Before")
	s.Receives()

	// Its queue goes with it, and for some seconds it is not let in again.
	if err := s.Platform.DeleteConnector(s.Env["CONNECTOR_ID"]); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		alice.Says(room, fmt.Sprintf("Afterwards, line %d", i))
	}
	s.Logs("connector registered again")
	s.Receives()
}
