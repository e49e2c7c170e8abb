package e2e_test

import (
	"testing"

	"maunium.net/go/mautrix/event"

	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestOnlyInvitesFromChosenPeopleAreAccepted(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice, mallory := s.Town.Moves("alice"), s.Town.Moves("mallory")
	s.Env["MATRIX_INVITE_FROM"] = alice.ID.String()
	s.Starts()
	trap := mallory.Creates("Come in")
	mallory.Invites(trap, s.Bot)
	mallory.Says(trap, "Nobody of yours reads this in the trap")
	// The line that would accept the invite, ready to be copied.
	s.Logs("MATRIX_INVITE_FROM", mallory.ID.String())

	room := joined(s, alice, "Incident 7")
	alice.Says(room, "This is read by the bot as asked")
	s.NotRead(trap)
	s.Receives()
	if m := mallory.Membership(trap, s.Bot); m != event.MembershipInvite {
		t.Errorf("the bot's membership of a stranger's room is %q, want a pending invite", m)
	}
	s.Stops()

	// The operator follows the line: the invite that stayed pending is accepted.
	s.Env["MATRIX_INVITE_FROM"] += "," + mallory.ID.String()
	s.Starts()
	mallory.Sees(trap, s.Bot)
	later := mallory.Says(trap, "Now the bot was let in by its operator")
	s.ReceivesOnly(later.Event)
	// What was said there before is history of a room that is read.
	s.Read(trap)
	s.Receives()
}

func TestRoomsThatAreExcludedStayOut(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	private := alice.Creates("Not for you")
	s.Env["MATRIX_ROOMS_EXCLUDE"] = private.String()
	s.NotRead(private)
	s.Starts()
	alice.Invites(private, s.Bot)
	alice.Says(private, "What is said here stays here for ever")
	room := joined(s, alice, "Incident 7")
	alice.Says(room, "What is said here goes to the platform")
	s.Receives()
}
