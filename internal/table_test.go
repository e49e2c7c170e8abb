package internal_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheManualTellsOfEveryTable: what is on disk, what of it is secret, and what is
// lost with it stands in docs/architecture.md.
func TestTheManualTellsOfEveryTable(t *testing.T) {
	_, text, ok := strings.Cut(read(t, "../docs/architecture.md"), "## What lies on disk")
	text, _, ok2 := strings.Cut(text, "\n## ")
	if !ok || !ok2 {
		t.Fatal("docs/architecture.md does not tell what lies on disk")
	}
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+) \\|[^|]+\\|[^|]+\\|[^|]+\\|$").FindAllStringSubmatch(text, -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			told[name[1]] = true
		}
	}
	made := map[string]bool{}
	create, drop := regexp.MustCompile(`(?i)CREATE TABLE (?:IF NOT EXISTS )?(\w+)`), regexp.MustCompile(`(?i)DROP TABLE (\w+)`)
	rename := regexp.MustCompile(`(?i)ALTER TABLE (\w+) RENAME TO (\w+)`)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".sql") && !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "test/") {
			return err
		}
		source := read(t, path)
		for _, m := range create.FindAllStringSubmatch(source, -1) {
			made[m[1]] = true
		}
		for _, m := range drop.FindAllStringSubmatch(source, -1) {
			delete(made, m[1])
		}
		for _, m := range rename.FindAllStringSubmatch(source, -1) {
			delete(made, m[1])
			made[m[2]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(made) < 15 {
		t.Fatalf("only the tables %v are found", made)
	}
	for table := range made {
		if !told[table] {
			t.Errorf("docs/architecture.md does not tell of the table %s", table)
		}
	}
	for table := range told {
		if strings.HasPrefix(table, "ledger_") || strings.HasPrefix(table, "matrix_") {
			if !made[table] {
				t.Errorf("docs/architecture.md tells of the table %s, which nothing makes", table)
			}
		}
	}
}
