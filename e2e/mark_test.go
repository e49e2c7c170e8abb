package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestAnOldCopyOfTheStoreIsNoticedAndNotUsed(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room")
	alice.Says(room, "Before the copy was made")
	s.Receives()
	s.Stops()
	newest, old := s.Env["MATRIX_STORE_PATH"], filepath.Join(s.Dir, "copy")
	if err := os.CopyFS(old, os.DirFS(newest)); err != nil {
		t.Fatal(err)
	}
	s.Starts()
	alice.Says(room, "After it was made")
	s.Receives()
	s.Stops()

	// Somebody restores it.
	s.Env["MATRIX_STORE_PATH"] = old
	line := checks(t, s, 3)["connector"]
	if line.State != "failed" || !strings.Contains(line.Says, "is an old copy") || !strings.Contains(line.Hint, "keys export") {
		t.Errorf("check says %s: %s; hint: %s", line.State, line.Says, line.Hint)
	}
	run := s.Starts()
	ctx, cancel := context.WithTimeout(t.Context(), scene.Patience)
	defer cancel()
	if code, err := run.Wait(ctx); err != nil || code != 1 {
		t.Errorf("it ended with %d, %v", code, err)
	}
	s.Failed()
	log := run.Stderr.String()
	if !strings.Contains(log, "is an old copy") || !strings.Contains(log, "put the newest store back") {
		t.Errorf("it does not say why:\n%s", log)
	}
	if strings.Contains(log, "/sync") {
		t.Error("the old copy was used")
	}

	// The newest one goes on.
	s.Env["MATRIX_STORE_PATH"] = newest
	alice.Says(room, "Meanwhile")
	s.Starts()
	s.Receives()
	if line := checks(t, s, 0)["connector"]; line.State != "ok" {
		t.Errorf("check says %s: %s", line.State, line.Says)
	}
}
