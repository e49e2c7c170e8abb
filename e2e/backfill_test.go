package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestABackfillGoesOnThroughKillsOfWhoeverReads(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	s.Env["MATRIX_IMPORT_START_DATE"] = "none"
	alice := s.Town.Moves("alice")
	var rooms []id.RoomID
	var before []people.Said
	for _, name := range []string{"Den", "Hall", "Attic"} {
		room := alice.Creates(name)
		for i := range 230 {
			said := alice.Says(room, fmt.Sprintf("%s, before anybody listened, line %d", name, i))
			s.NotImported(said.Event)
			before = append(before, said)
		}
		alice.Invites(room, s.Bot)
		rooms = append(rooms, room)
	}
	s.Starts()
	for _, room := range rooms {
		alice.Sees(room, s.Bot)
		alice.Says(room, "Somebody listens")
	}
	s.Receives()
	for _, said := range before {
		s.Imported(said.Event)
	}

	// The running connector reads, and is killed over one of ten pages.
	command := s.Commands("backfill", "--since", "P1D")
	s.Logs("request", "/messages")
	s.Kills()
	if out := command.Ends(1); out != "" || !strings.Contains(command.Stderr.String(), "error: the connector has stopped") {
		t.Errorf("the command says %q\n%s", out, command.Stderr)
	}

	// The command reads by itself, and is killed as well.
	command = s.Commands("backfill", "--since", "P1D")
	ctx, cancel := context.WithTimeout(t.Context(), scene.Patience)
	defer cancel()
	if _, err := command.Stderr.Await(ctx, func(line string) bool { return strings.Contains(line, " events, ") }); err != nil {
		t.Fatal("nothing is told of how far it is")
	}
	command.Kill()

	// The next start goes on, and what was asked for comes to an end.
	s.Starts()
	s.Receives()
	out := s.Commands("backfill", "--since", "P1D").Ends(0)
	if !strings.Contains(out, " events read in 3 rooms, ") {
		t.Errorf("the command says %q", out)
	}
	out = s.Commands("backfill", "--since", "P1D", "--room", string(rooms[1])).Ends(0)
	if !strings.Contains(out, " in 1 rooms, 0 of them new. What is new goes to OpenCTI now.") {
		t.Errorf("the command says %q", out)
	}
}
