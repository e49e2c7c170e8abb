package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// skipsElsewhere are the files whose tests skip without a look at CI, and what makes
// up for it there.
var skipsElsewhere = map[string]string{
	"mapping/golden_test.go":             "loadSchemas fails before",
	"matrix/media_test.go":               "CI runs without -short",
	"opencti/broker_test.go":             "TestTheConnectorsBrokerTestsPassOnTheRealOne runs them",
	"opencti/openctitest/schema_test.go": "TestUnderCINothingIsMissing wants the schemas",
}

// A test that is skipped shows nothing. That is for those who have only Go: under CI
// a test fails where what it needs is missing.
func TestNoTestIsSkippedUnderCI(t *testing.T) {
	seen := map[string]bool{}
	for _, root := range []string{".", "../e2e"} {
		err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") {
				return err
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				return err
			}
			name = filepath.ToSlash(name)
			if !slices.ContainsFunc(parsed.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing"` }) {
				return nil // a Skip of another kind
			}
			for _, d := range parsed.Decls {
				skips, looks := skipping(d)
				if !skips {
					continue
				}
				seen[name] = true
				if skipsElsewhere[name] == "" && !looks {
					t.Errorf("%s skips, under CI too", name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range skipsElsewhere {
		if !seen[name] {
			t.Errorf("%s skips nothing, and is excused", name)
		}
	}
}

// skipping tells whether a declaration calls Skip, and whether it asks for CI.
func skipping(d ast.Decl) (skips, looks bool) {
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok {
				switch s.Sel.Name {
				case "Skip", "Skipf", "SkipNow":
					skips = true
				}
			}
		case *ast.BasicLit:
			looks = looks || n.Value == `"CI"`
		}
		return true
	})
	return skips, looks
}

func TestUnderCINothingIsMissing(t *testing.T) {
	if os.Getenv("CI") == "" { //nolint:forbidigo // a test has no settings
		return // those who have only Go are told by the tests that skip
	}
	for variable, inside := range map[string]string{
		"OPENCTI_SCHEMAS": "*.graphql",
		"STIX_SCHEMAS":    "", // either the folder of the schemas or the one above
	} {
		folder := os.Getenv(variable) //nolint:forbidigo // a test has no settings
		if folder == "" {
			t.Errorf("%s is not set", variable)
			continue
		}
		if found, err := filepath.Glob(filepath.Join(folder, inside)); err != nil || len(found) == 0 {
			t.Errorf("%s names %q, where nothing is (%v)", variable, folder, err)
		}
	}
}
