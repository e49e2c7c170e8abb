package openctitest_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/matrix-connector/matrix-connector/internal/opencti/graphql"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

var update = flag.Bool("update", false, "rewrite the small schemas from the full ones")

// generations are the schemas in this repository: what the connector uses, and
// with it what the vendor's importer uses.
var generations = []struct {
	name, full, small string
	importer          string // its documents
	text              string
	newest            bool
}{
	{"6.4", "schema-6.4.3.graphql", "../graphql/schema-6.4.graphql", "", graphql.Schema64, false},
	{"7", "schema-7.260318.0.graphql", "../graphql/schema-7.graphql", "", graphql.Schema7, true},
	{"6.4 with importer", "schema-6.4.3.graphql", "importer-6.4.graphql", "testdata/importer-6.4.3.graphql", openctitest.ImporterSchema(openctitest.Gen6), false},
	{"7 with importer", "schema-7.260318.0.graphql", "importer-7.graphql", "testdata/importer-7.260318.0.graphql", openctitest.ImporterSchema(openctitest.Gen7), true},
}

func fullSchema(t *testing.T, file string) *ast.Schema {
	t.Helper()
	dir := os.Getenv("OPENCTI_SCHEMAS") //nolint:forbidigo // a test has no settings
	if dir == "" {
		t.Skip("OPENCTI_SCHEMAS is not set: the vendor's full schemas are not part of this repository")
	}
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatalf("OPENCTI_SCHEMAS is set, but: %v", err)
	}
	return gqlparser.MustLoadSchema(&ast.Source{Name: file, Input: string(text)})
}

func TestSmallSchemasAreContainedInTheFullOnes(t *testing.T) {
	for _, g := range generations {
		t.Run(g.name, func(t *testing.T) {
			full := fullSchema(t, g.full)
			if *update {
				wanted, err := os.ReadFile("testdata/wanted.graphql")
				if err != nil {
					t.Fatal(err)
				}
				p := newPruning(full)
				p.add(wantedDocument(t, full, string(wanted), g.newest))
				if g.importer != "" {
					docs, err := os.ReadFile(g.importer)
					if err != nil {
						t.Fatal(err)
					}
					p.add(wantedDocument(t, full, string(docs), true))
				}
				p.close()
				g.text = p.String()
				if err := os.WriteFile(g.small, []byte(g.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			small := gqlparser.MustLoadSchema(&ast.Source{Name: g.small, Input: g.text})
			if len(small.Types) < 60 {
				t.Fatalf("only %d types", len(small.Types))
			}
			for name, def := range small.Types {
				if def.BuiltIn {
					continue
				}
				compare(t, full, name, def)
			}
		})
	}
}

func compare(t *testing.T, full *ast.Schema, name string, def *ast.Definition) {
	t.Helper()
	in := full.Types[name]
	if in == nil || in.Kind != def.Kind {
		t.Errorf("%s %s is not in the full schema", def.Kind, name)
		return
	}
	for _, v := range def.EnumValues {
		if in.EnumValues.ForName(v.Name) == nil {
			t.Errorf("%s.%s is not in the full schema", name, v.Name)
		}
	}
	for _, f := range def.Fields {
		if len(f.Name) > 1 && f.Name[:2] == "__" {
			continue
		}
		whole := in.Fields.ForName(f.Name)
		if whole == nil {
			t.Errorf("%s.%s is not in the full schema", name, f.Name)
			continue
		}
		if d := cmp.Diff(whole.Type.String(), f.Type.String()); d != "" {
			t.Errorf("%s.%s: type: %s", name, f.Name, d)
		}
		if d := cmp.Diff(auth(whole.Directives, map[string]bool{}), auth(f.Directives, map[string]bool{})); d != "" {
			t.Errorf("%s.%s: rights: %s", name, f.Name, d)
		}
		for _, a := range f.Arguments {
			wa := whole.Arguments.ForName(a.Name)
			if wa == nil || wa.Type.String() != a.Type.String() {
				t.Errorf("%s.%s(%s: %s) is not in the full schema", name, f.Name, a.Name, a.Type)
			}
		}
		for _, wa := range whole.Arguments {
			if wa.Type.NonNull && wa.DefaultValue == nil && f.Arguments.ForName(wa.Name) == nil {
				t.Errorf("%s.%s lacks the required argument %s", name, f.Name, wa.Name)
			}
		}
	}
	if def.Kind == ast.InputObject && len(in.Fields) != len(def.Fields) {
		t.Errorf("input %s has %d of %d fields", name, len(def.Fields), len(in.Fields))
	}
}
