package opencti_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/graphql"
)

// schemas are the small ones and, where OPENCTI_SCHEMAS points to them, the
// platform's own.
func schemas(t *testing.T) map[string]*ast.Schema {
	t.Helper()
	texts := map[string]string{"6.4, small": graphql.Schema64, "7, small": graphql.Schema7}
	dir := os.Getenv("OPENCTI_SCHEMAS") //nolint:forbidigo // a setting of the test, not of the connector
	if dir != "" {
		files, err := filepath.Glob(filepath.Join(dir, "schema-*.graphql"))
		if err != nil || len(files) < 2 {
			t.Fatalf("OPENCTI_SCHEMAS holds %d schemas, %v", len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.Base(file)] = string(text)
		}
	}
	loaded := map[string]*ast.Schema{}
	for name, text := range texts {
		schema, err := gqlparser.LoadSchema(&ast.Source{Name: name, Input: text})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		loaded[name] = schema
	}
	return loaded
}

func TestEveryDocumentIsValidInEveryGeneration(t *testing.T) {
	operations, _ := opencti.Operations()
	for name, schema := range schemas(t) {
		t.Run(name, func(t *testing.T) {
			for op, text := range operations {
				doc, err := parser.ParseQuery(&ast.Source{Name: op, Input: text})
				if err != nil {
					t.Errorf("%s: %v", op, err)
					continue
				}
				for _, e := range validator.ValidateWithRules(schema, doc, rules.NewDefaultRules()) {
					t.Errorf("%s: %v", op, e)
				}
			}
		})
	}
}

func TestEveryDocumentIsOneOperationUnderItsName(t *testing.T) {
	operations, file := opencti.Operations()
	all, err := parser.ParseQuery(&ast.Source{Input: file})
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Operations) != len(operations) {
		t.Errorf("%d operations in the file, %d were cut", len(all.Operations), len(operations))
	}
	for name, text := range operations {
		doc, err := parser.ParseQuery(&ast.Source{Input: text})
		if err != nil {
			t.Fatal(err)
		}
		if len(doc.Operations) != 1 || doc.Operations[0].Name != name {
			t.Errorf("%s holds %d operations", name, len(doc.Operations))
		}
	}
}

// The platform counts fields of one name in a document
// (app:graphql:batching_protection).
func TestNoDocumentAsksTooOften(t *testing.T) {
	_, file := opencti.Operations()
	all, err := parser.ParseQuery(&ast.Source{Input: file})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range all.Operations {
		most := 2
		if op.Operation == ast.Mutation {
			most = 1
		}
		seen := map[string]int{}
		for _, s := range op.SelectionSet {
			f, ok := s.(*ast.Field)
			if !ok {
				t.Fatalf("%s: %T at the top", op.Name, s)
			}
			if seen[f.Name]++; seen[f.Name] > most {
				t.Errorf("%s asks for %s more than %d times", op.Name, f.Name, most)
			}
		}
	}
}

func TestNoDocumentTouchesWhatOnlySomePlatformsHave(t *testing.T) {
	_, file := opencti.Operations()
	for _, word := range []string{"jwks", "s3 ", "isWorkAlive", "api_token", "dead_letter_routing", "addDraftContext", "forceDelete", "embedded"} {
		if strings.Contains(file, word) {
			t.Errorf("%s stands in the documents", word)
		}
	}
}
