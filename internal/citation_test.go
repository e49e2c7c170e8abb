package internal_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The notes that comments cite are no part of the repository, so a page of it says
// what stands there.
func TestEachCitedNoteIsExplained(t *testing.T) {
	page := read(t, "../docs/references.md")
	citation := regexp.MustCompile(`\b(opencti|matrix|style|libraries|design)\.md\b((?:,? §[0-9]+(?:\.[0-9]+)*)*)`)
	section := regexp.MustCompile(`§[0-9.]*[0-9]`)
	cited := map[string]bool{}
	for _, root := range []string{".", "../cmd", "../e2e"} {
		err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "citation_test.go") {
				return err
			}
			for _, m := range citation.FindAllStringSubmatch(read(t, name), -1) {
				rows := section.FindAllString(m[2], -1)
				for i, s := range rows {
					rows[i] = "| `" + m[1] + ".md` " + s + " |"
				}
				if len(rows) == 0 {
					rows = []string{"| `" + m[1] + ".md` |"}
				}
				for _, row := range rows {
					cited[row] = true
					if !strings.Contains(page, "\n"+row) {
						t.Errorf("%s cites %s, which docs/references.md does not explain", name, strings.Trim(row, "| "))
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(cited) < 10 {
		t.Errorf("only %d citations were found", len(cited))
	}
	for _, m := range regexp.MustCompile("(?m)^(\\| `[a-z]+\\.md`(?: §[0-9.]+)? \\|)").FindAllStringSubmatch(page, -1) {
		if !cited[m[1]] {
			t.Errorf("docs/references.md explains %s, which nothing cites", strings.Trim(m[1], "| "))
		}
	}
}
