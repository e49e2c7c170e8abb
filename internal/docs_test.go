package internal_test

import (
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/mapping.md and its picture")

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pages are the documents of the repository.
func pages(t *testing.T) []string {
	t.Helper()
	list := []string{"../README.md", "README.md", "../CHANGELOG.md"}
	for _, pattern := range []string{"../docs/*.md", "../docs/decisions/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		list = append(list, found...)
	}
	return list
}

func TestTheManualNamesTestsThatExist(t *testing.T) {
	declared := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	for _, root := range []string{".", "../e2e"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && entry.Name() == "vendor" {
				return filepath.SkipDir
			}
			if strings.HasSuffix(path, "_test.go") {
				for _, m := range declaration.FindAllStringSubmatch(read(t, path), -1) {
					declared[m[1]] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := 0
	for _, page := range pages(t) {
		for _, name := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w+)`").FindAllStringSubmatch(read(t, page), -1) {
			named++
			if !declared[name[1]] {
				t.Errorf("%s names %s, which is no test", page, name[1])
			}
		}
	}
	if named < 30 {
		t.Errorf("only %d tests are named", named)
	}
}

func TestLinksInTheManualLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

func TestTheManualQuotesLogLinesThatExist(t *testing.T) {
	var code strings.Builder
	for _, f := range sources(t) {
		code.WriteString(read(t, f.name))
	}
	_, table, ok := strings.Cut(read(t, "../docs/operations.md"), "| line |")
	table, _, ok2 := strings.Cut(table, "\n\n")
	if !ok || !ok2 {
		t.Fatal("docs/operations.md has no table of log lines")
	}
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(table, -1)
	if len(rows) < 5 {
		t.Errorf("only %d log lines are explained", len(rows))
	}
	for _, row := range rows {
		if !strings.Contains(code.String(), `"`+row[1]) {
			t.Errorf("docs/operations.md explains %q, which nothing logs", row[1])
		}
	}
}

func TestTheNoticeNamesEveryModuleInTheBinary(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-tags=goolm", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./cmd/matrix-connector")
	list.Dir = ".."
	list.Env = append(os.Environ(), "CGO_ENABLED=0") // as the binary is built
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	notice := strings.Fields(read(t, "../NOTICE"))
	seen := map[string]bool{}
	for path := range strings.FieldsSeq(string(out)) {
		if seen[path] || strings.HasPrefix(module, path+"/") {
			continue
		}
		seen[path] = true
		if !slices.Contains(notice, path) {
			t.Errorf("NOTICE lacks %s", path)
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d modules found", len(seen))
	}
}
