package openctitest_test

import (
	"encoding/json"
	"maps"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

func TestAnAnswerIsTheProjectionOfWhatWasAskedFor(t *testing.T) {
	p := newPlatform(t, openctitest.Config{})
	if err := p.Import("connector",
		`{"type":"identity","identity_class":"individual","name":"@alice:example.org"}`,
		`{"type":"media-content","id":"`+messageID+`","url":"$evt1","content":"hello","x_opencti_created_by_ref":"identity--bd8fb8c6-5018-5038-82ea-d44abb1380ac"}`,
	); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		query, want string
		vars        map[string]any
	}{
		"aliases and type conditions": {
			`query($id: String!) { it: stixCoreObject(id: $id) { kind: __typename ... on MediaContent { body: content } ... on Channel { name } } }`,
			`{"it":{"kind":"MediaContent","body":"hello"}}`, nil,
		},
		"fragments merged with fields": {
			`query($id: String!) { stixCoreObject(id: $id) { ...A ... on StixCyberObservable { createdBy { entity_type } } } } fragment A on MediaContent { createdBy { ... on Individual { name } } }`,
			`{"stixCoreObject":{"createdBy":{"name":"@alice:example.org","entity_type":"Individual"}}}`, nil,
		},
		"what is skipped or included": {
			`query($id: String!, $no: Boolean!) { stixCoreObject(id: $id) { entity_type @include(if: $no) ... on MediaContent @skip(if: $no) { url } } }`,
			`{"stixCoreObject":{"url":"$evt1"}}`,
			map[string]any{"no": false},
		},
		"an object that is not there": {
			`query($id: String!) { a: stixCoreObject(id: "media-content--00000000-0000-4000-8000-000000000000") { id } b: stixCoreObject(id: $id) { entity_type } }`,
			`{"a":null,"b":{"entity_type":"Media-Content"}}`, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			vars := map[string]any{"id": messageID}
			maps.Copy(vars, c.vars)
			got := ask(t, p, c.query, vars)
			var want any
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got["data"]); d != "" || got["errors"] != nil {
				t.Errorf("%s %v", d, got["errors"])
			}
		})
	}
	if v := p.Violations(); len(v) > 0 {
		t.Errorf("violations: %v", v)
	}
}

// Where the vendor's importer drains the queue, the connector asks the same
// platform.
func TestTheConnectorsOperationsAreValidBesideTheImporters(t *testing.T) {
	text, err := os.ReadFile("../graphql/operations.graphql")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range generations {
		t.Run(g.name, func(t *testing.T) {
			schema := gqlparser.MustLoadSchema(&ast.Source{Name: g.small, Input: g.text})
			doc, errs := gqlparser.LoadQueryWithRules(schema, string(text), rules.NewDefaultRules())
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if len(doc.Operations) < 10 {
				t.Errorf("only %d operations", len(doc.Operations))
			}
		})
	}
}
