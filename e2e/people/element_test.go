package people_test

import (
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
)

func dendrite(t *testing.T) *people.Town {
	t.Helper()
	hs, err := parts.StartDendrite(t.Context(), parts.HomeserverConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hs.Close() })
	return people.New(t, hs)
}

func TestElementAndOthersUnderstandEachOther(t *testing.T) {
	t.Parallel()
	town := dendrite(t)
	alice := town.Moves("alice")
	dana := town.MovesWithElement("dana")
	room := dana.Creates("Back room", people.Encrypted())
	dana.Invites(room, alice.ID)
	alice.Joins(room)
	dana.Sees(room, alice.ID)
	said := dana.Says(room, "hello alice")
	if !said.Encrypted {
		t.Error("in the clear")
	}
	if got := alice.Hears(said.Event); got != "hello alice" {
		t.Errorf("alice heard %q", got)
	}
	answer := alice.Says(room, "hello dana")
	if got := dana.Hears(answer.Event); got != "hello dana" {
		t.Errorf("dana heard %q", got)
	}
}
