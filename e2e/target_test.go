package e2e_test

import (
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestAReplyBringsItsTargetAlongAndNoOtherPast(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	s.Env["MATRIX_IMPORT_START_DATE"] = "none"
	alice := s.Town.Moves("alice")
	room := alice.Creates("Incident 7")
	past := alice.Says(room, "Long before the bot, and nobody answers")
	target := alice.Says(room, "Long before the bot, and answered later")
	s.NotImported(past.Event)
	s.Starts()
	alice.Invites(room, s.Bot)
	alice.Sees(room, s.Bot)
	alice.Says(room, "This answers what was said before", people.ReplyTo(target.Event))
	s.Receives()
}
