// Package internal_test holds the rules that concern all packages at once.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/matrix-connector/matrix-connector/internal/"

// ours is which of our packages each package may import. Arrows point one way;
// internal/README.md draws them.
var ours = map[string][]string{
	"markup":              {},
	"timeline":            {"markup"},
	"stix":                {},
	"crash":               {},
	"store":               {"crash"},
	"sas":                 {},
	"config":              {},
	"telemetry":           {},
	"network":             {"config"},
	"status":              {},
	"control":             {},
	"matrix":              {"crash", "sas", "timeline", "store"},
	"ledger":              {"timeline", "store"},
	"request":             {"store"},
	"opencti":             {"crash", "stix", "opencti/graphql"},
	"mapping":             {"markup", "timeline", "stix"},
	"opencti/graphql":     {},
	"directory":           {"crash", "stix"},
	"connector":           {"config", "control", "directory", "ledger", "mapping", "matrix", "network", "opencti", "request", "sas", "stix", "store", "status", "telemetry", "timeline"},
	"check":               {"config", "connector", "ledger", "matrix", "network", "opencti", "stix", "store", "timeline"},
	"cli":                 {"check", "config", "connector", "control", "request", "status", "telemetry"},
	"matrix/matrixtest":   {"timeline", "store", "sas"},
	"opencti/openctitest": {"stix", "opencti/graphql"},
}

// homes is where a module of others may be imported: by the longest prefix.
var homes = map[string][]string{
	"maunium.net/go/mautrix": {"matrix", "matrix/matrixtest"},
	// The typed identifiers are words that all speak who speak of rooms and people.
	"maunium.net/go/mautrix/id":                    {"matrix", "matrix/matrixtest", "timeline", "ledger", "mapping", "config", "connector", "check", "sas", "cli"},
	"maunium.net/go/mautrix/event":                 {"matrix", "matrix/matrixtest", "timeline"},
	"go.mau.fi/util/dbutil":                        {"store", "ledger", "matrix", "request"},
	"modernc.org/sqlite":                           {"store"},
	"github.com/rabbitmq/amqp091-go":               {"opencti", "opencti/openctitest"},
	"github.com/vektah/gqlparser/v2":               {"opencti/openctitest", "opencti/graphql"},
	"github.com/alecthomas/kong":                   {"cli"},
	"golang.org/x/term":                            {"cli"},
	"github.com/rs/zerolog":                        {"matrix", "matrix/matrixtest"}, // the Matrix library is handed a silent one
	"github.com/prometheus/client_golang":          {"telemetry"},
	"gopkg.in/yaml.v3":                             {"config"},
	"github.com/gabriel-vasile/mimetype":           {"matrix"},
	"github.com/google/uuid":                       {"stix", "config", "directory", "opencti", "opencti/openctitest"},
	"golang.org/x/net/html":                        {"markup"},
	"golang.org/x/net/http/httpproxy":              {"network"},
	"github.com/youmark/pkcs8":                     {"network"},
	"golang.org/x/sync/errgroup":                   {"connector"},
	"golang.org/x/text":                            {"stix", "ledger", "mapping", "timeline", "opencti/openctitest"},
	"golang.org/x/time/rate":                       {"matrix"},
	"github.com/santhosh-tekuri/jsonschema/v6":     {},
	"github.com/google/go-cmp":                     {},
	"go.uber.org/goleak":                           {},
	"github.com/rogpeppe/go-internal":              {},
	"pgregory.net/rapid":                           {},
	"github.com/matrix-connector/matrix-connector": {}, // ours, see above
}

// pure packages give the same result for the same input: no network, no database,
// no file, no log, no clock, no chance.
var pure = []string{"markup", "timeline", "stix", "mapping", "sas"}

// chance is what may take chances all the same: keys are made of them.
var chance = []string{"sas"}

// impure are the imports, and the calls, that a pure package does without.
var (
	impure      = []string{"net", "database/sql", "os", "log", "math/rand", "crypto/rand", "runtime", "syscall", "io/ioutil"}
	pureParsing = []string{"net/url", "net/netip", "net/mail"}
	impureCalls = []string{"time.Now", "time.Since", "time.Until", "time.After", "time.Sleep", "time.NewTimer", "time.NewTicker", "uuid.New", "uuid.NewString"}
)

// file is a source file that is no test.
type file struct {
	name, in string // in is the package's folder below internal
	ast      *ast.File
	set      *token.FileSet
}

func sources(t *testing.T) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "testdata":
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, file{name: name, in: path.Dir(filepath.ToSlash(name)), ast: parsed, set: set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d source files found", len(files))
	}
	return files
}

func (f file) imports() []string {
	var list []string
	for _, i := range f.ast.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			list = append(list, p)
		}
	}
	return list
}

func TestImportsPointOneWay(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range sources(t) {
		seen[f.in] = true
		allowed, known := ours[f.in]
		if !known {
			t.Errorf("%s: the package %s has no rule here", f.name, f.in)
		}
		for _, p := range f.imports() {
			if to, is := strings.CutPrefix(p, module); is && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s, which %s must not know", f.name, to, f.in)
			}
		}
	}
	for p := range ours {
		if !seen[p] && !strings.HasSuffix(p, "test") {
			t.Errorf("there is a rule for %s, and no such package", p)
		}
	}
}

func TestModulesOfOthersHaveOneHome(t *testing.T) {
	for _, f := range sources(t) {
		for _, p := range f.imports() {
			if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") || strings.HasPrefix(p, module) {
				continue // the standard library's, or ours
			}
			home := ""
			for prefix := range homes {
				if (p == prefix || strings.HasPrefix(p, prefix+"/")) && len(prefix) > len(home) {
					home = prefix
				}
			}
			if home == "" {
				t.Errorf("%s imports %s, which has no home here: is it needed?", f.name, p)
			} else if !slices.Contains(homes[home], f.in) {
				t.Errorf("%s imports %s, which belongs to %v", f.name, p, homes[home])
			}
		}
	}
}

func TestFakesStayOutOfTheBinary(t *testing.T) {
	for _, f := range sources(t) {
		for _, p := range f.imports() {
			if strings.HasSuffix(p, "test") && strings.HasPrefix(p, module) {
				t.Errorf("%s imports the fake %s", f.name, p)
			}
			if p == "testing" {
				t.Errorf("%s imports testing outside of a test", f.name)
			}
		}
	}
}

func TestPurePackagesArePure(t *testing.T) {
	for _, f := range sources(t) {
		if !slices.Contains(pure, f.in) {
			continue
		}
		for _, p := range f.imports() {
			for _, no := range impure {
				if no == "crypto/rand" && slices.Contains(chance, f.in) {
					continue
				}
				if (p == no || strings.HasPrefix(p, no+"/")) && !slices.Contains(pureParsing, p) {
					t.Errorf("%s imports %s", f.name, p)
				}
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if of, ok := selector.X.(*ast.Ident); ok && slices.Contains(impureCalls, of.Name+"."+selector.Sel.Name) {
				t.Errorf("%s: %s.%s", f.set.Position(n.Pos()), of.Name, selector.Sel.Name)
			}
			return true
		})
	}
}

func TestPackagesTellWhatTheyPromise(t *testing.T) {
	told := map[string]bool{}
	for _, f := range sources(t) {
		told[f.in] = told[f.in] || f.ast.Doc != nil && len(f.ast.Doc.Text()) > 40
	}
	for p, ok := range told {
		if !ok {
			t.Errorf("the package %s has no comment", p)
		}
	}
}

func TestFilesAreAboutOneNoun(t *testing.T) {
	const most = 500
	for _, f := range sources(t) {
		text, err := os.ReadFile(f.name)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > most {
			t.Errorf("%s has %d lines: it holds two nouns", f.name, n)
		}
	}
}
