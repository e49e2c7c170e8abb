package openctitest

import (
	_ "embed" // the schemas
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/matrix-connector/matrix-connector/internal/opencti/graphql"
)

//go:embed importer-6.4.graphql
var importer64 string

//go:embed importer-7.graphql
var importer7 string

// ImporterSchema is the part of the platform's schema that the connector and the
// vendor's importer use for the objects that the connector sends.
func ImporterSchema(g Generation) string {
	if g == Gen6 {
		return importer64
	}
	return importer7
}

func loadSchema(cfg Config) (*ast.Schema, error) {
	text := cfg.Schema
	switch {
	case text != "":
	case cfg.ForeignWorker:
		text = ImporterSchema(cfg.Generation)
	case cfg.Generation == Gen6:
		text = graphql.Schema64
	default:
		text = graphql.Schema7
	}
	if cfg.Generation == Gen6 && pushTakesWork(cfg.Version) {
		text = strings.Replace(text, oldPush, newPush, 1)
	}
	s, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: text})
	if err != nil {
		return nil, fmt.Errorf("load schema: %w", err)
	}
	return s, nil
}

// What 6.5.7 added to the schema of 6.4.3 and a connector may use.
const (
	oldPush = "stixBundlePush(connectorId: String!, bundle: String!)"
	newPush = "stixBundlePush(connectorId: String!, bundle: String!, work_id: String)"
)

// pushTakesWork reports whether a version of generation 6 is 6.5.7 or newer.
func pushTakesWork(version string) bool {
	var n [3]int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &n[0], &n[1], &n[2]); err != nil {
		return false
	}
	return slices.Compare(n[:], []int{6, 5, 7}) >= 0
}

// Documents are the distinct documents that clients have sent, in order.
func (p *Platform) Documents() []string {
	var out []string
	p.docs.Range(func(k, _ any) bool {
		out = append(out, k.(string))
		return true
	})
	slices.Sort(out)
	return out
}

// document is a parsed and validated query text.
type document struct {
	query *ast.QueryDocument
	fails []*platformError
}

// parse reads a query text, or says why the platform refuses it.
func (p *Platform) parse(text string) *document {
	if d, ok := p.docs.Load(text); ok {
		return d.(*document)
	}
	d := &document{}
	q, err := parser.ParseQuery(&ast.Source{Input: text})
	switch {
	case err != nil:
		f := &platformError{code: "GRAPHQL_PARSE_FAILED", message: "Syntax Error: " + err.Error()}
		if e, ok := asGraphQL(err); ok {
			f.message = "Syntax Error: " + e.Message + "."
			for _, l := range e.Locations {
				f.at = append(f.at, place{l.Line, l.Column})
			}
		}
		d.fails = []*platformError{f}
	default:
		d.query = q
		for _, e := range validator.ValidateWithRules(p.schema, q, rules.NewDefaultRules()) {
			f := &platformError{code: "GRAPHQL_VALIDATION_FAILED", message: e.Message}
			for _, l := range e.Locations {
				f.at = append(f.at, place{l.Line, l.Column})
			}
			if at, ok := unknownArgument(q, e); ok {
				f.at = []place{at}
			}
			d.fails = append(d.fails, f)
		}
		if d.fails == nil {
			d.fails = tooOften(q)
		}
	}
	p.docs.Store(text, d)
	return d
}

// unknownArgument finds the place of the argument that an error is about; the
// validator gives that of its field.
func unknownArgument(q *ast.QueryDocument, e *gqlerror.Error) (place, bool) {
	var found *ast.Argument
	var walk func(ast.SelectionSet)
	walk = func(set ast.SelectionSet) {
		for _, s := range set {
			switch s := s.(type) {
			case *ast.Field:
				for _, a := range s.Arguments {
					if s.Definition != nil && s.Definition.Arguments.ForName(a.Name) == nil && strings.HasPrefix(e.Message, `Unknown argument "`+a.Name+`"`) {
						found = a
					}
				}
				walk(s.SelectionSet)
			case *ast.InlineFragment:
				walk(s.SelectionSet)
			}
		}
	}
	for _, op := range q.Operations {
		walk(op.SelectionSet)
	}
	if found == nil {
		return place{}, false
	}
	return place{found.Position.Line, found.Position.Column}, true
}

// tooOften is the platform's batching protection: in one document a query may
// be asked twice and a mutation once.
func tooOften(q *ast.QueryDocument) []*platformError {
	for _, op := range q.Operations {
		most, root := 2, "Query"
		if op.Operation == ast.Mutation {
			most, root = 1, "Mutation"
		}
		count := map[string]int{}
		for _, s := range op.SelectionSet {
			f, ok := s.(*ast.Field)
			if !ok {
				continue
			}
			if count[f.Name]++; count[f.Name] > most {
				return []*platformError{{
					code: "GRAPHQL_VALIDATION_FAILED", at: []place{{f.Position.Line, f.Position.Column}},
					message: fmt.Sprintf("Allowed number of calls for %s->%s has been exceeded (max: %d)", root, f.Name, most),
				}}
			}
		}
	}
	return nil
}
