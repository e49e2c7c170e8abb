package soak_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// dispensable are the files and the tables that docs/architecture.md says may be lost:
// those whose last column begins with yes.
func dispensable(t *testing.T) (files, tables []string) {
	t.Helper()
	root, err := parts.Root()
	must(t, err)
	text, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	must(t, err)
	_, section, _ := strings.Cut(string(text), "## What lies on disk")
	section, _, _ = strings.Cut(section, "What grows")
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+) \\|[^|]+\\|[^|]+\\| yes[^|]*\\|$").FindAllStringSubmatch(section, -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			if strings.ContainsAny(name[1], "./") {
				files = append(files, name[1])
			} else {
				tables = append(tables, name[1])
			}
		}
	}
	if len(files) < 2 || len(tables) < 5 {
		t.Fatalf("docs/architecture.md gives up only %q and %q", files, tables)
	}
	return files, tables
}

func TestWhatTheManualGivesUpMayBeLost(t *testing.T) {
	t.Parallel()
	files, tables := dispensable(t)
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "Said before anything was deleted")
	s.Receives()

	// A file lies in the spool, and a key is missing.
	busy := s.Platform.Faults().FailCalls("ImportPush", 0, openctitest.ServerError)
	alice.Sends(room, people.Document("in-the-spool-when-it-goes.pdf", "spooled"), "")
	late := alice.SaysWithoutKey(room, s.Bot, "Said without its key, which comes later")
	w := newWatch(t, s.Env["MATRIX_STORE_PATH"])
	for _, sight := range []string{"a file is fetched", "an event cannot be read"} {
		if !w.sees(t.Context(), sights[sight], scene.Patience) {
			t.Fatalf("it never came to this: %s", sight)
		}
	}
	s.Kills()
	for _, name := range files {
		must(t, os.RemoveAll(filepath.Join(s.Env["MATRIX_STORE_PATH"], name)))
	}
	empties(t, filepath.Join(s.Env["MATRIX_STORE_PATH"], "matrix-connector.db"), tables)

	busy.Lift()
	s.Starts()
	late.Shares(s.Bot)
	alice.Says(room, "Said after all that was deleted")
	s.Receives()
}

// empties deletes all rows of tables, as a person with sqlite3 would.
func empties(t *testing.T, path string, tables []string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer func() { _ = db.Close() }()
	for _, table := range tables {
		_, err := db.ExecContext(context.Background(), "DELETE FROM "+table)
		must(t, err)
	}
}
