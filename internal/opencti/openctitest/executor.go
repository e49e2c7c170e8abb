package openctitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// object is a value of a composite GraphQL type. A field is a plain value, an
// *object, a list of them, or a resolver.
type object struct {
	typ    string
	fields map[string]any
}

// resolver computes a field when it is asked for.
type resolver func(args map[string]any) (any, error)

// execution answers one operation: a projection of objects on a selection.
type execution struct {
	p       *Platform
	account *account
	vars    map[string]any
	errors  []map[string]any
	op      string
}

// record is an answer object with its keys in the order of the selection.
type record struct {
	keys   []string
	values map[string]any
}

// MarshalJSON writes the keys in their order.
func (r *record) MarshalJSON() ([]byte, error) { return appendJSON(nil, r) }

// appendJSON writes an answer, or a part of one, in one go: the library would copy
// every level of it once more.
func appendJSON(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case *record:
		b = append(b, '{')
		for i, k := range v.keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(strconv.AppendQuote(b, k), ':')
			if b, err = appendJSON(b, v.values[k]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case []any:
		b = append(b, '[')
		for i, x := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, x); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case string:
		if simple(v) {
			return append(append(append(b, '"'), v...), '"'), nil
		}
	case nil:
		return append(b, "null"...), nil
	}
	text, err := json.Marshal(v)
	return append(b, text...), err
}

// simple reports text that stands for itself in JSON, also inside HTML.
func simple(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// errBubble says that a non-null field failed, so that its parent is null.
var errBubble = errors.New("null for a non-null field")

// group is the fields of a selection that share a response key.
type group struct {
	key    string
	fields []*ast.Field
}

func (x *execution) collect(set ast.SelectionSet, typ string, groups []*group) []*group {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			if !x.included(s.Directives) {
				continue
			}
			i := slices.IndexFunc(groups, func(g *group) bool { return g.key == s.Alias })
			if i < 0 {
				groups = append(groups, &group{key: s.Alias})
				i = len(groups) - 1
			}
			groups[i].fields = append(groups[i].fields, s)
		case *ast.InlineFragment:
			if x.included(s.Directives) && x.is(typ, s.TypeCondition) {
				groups = x.collect(s.SelectionSet, typ, groups)
			}
		case *ast.FragmentSpread:
			if x.included(s.Directives) && x.is(typ, s.Definition.TypeCondition) {
				groups = x.collect(s.Definition.SelectionSet, typ, groups)
			}
		}
	}
	return groups
}

func (x *execution) included(ds ast.DirectiveList) bool {
	if d := ds.ForName("skip"); d != nil && d.ArgumentMap(x.vars)["if"] == true {
		return false
	}
	d := ds.ForName("include")
	return d == nil || d.ArgumentMap(x.vars)["if"] == true
}

// is says whether the concrete type meets a type condition.
func (x *execution) is(typ, condition string) bool {
	if condition == "" || condition == typ {
		return true
	}
	def := x.p.schema.Types[condition]
	return slices.ContainsFunc(x.p.schema.GetPossibleTypes(def), func(d *ast.Definition) bool { return d.Name == typ })
}

func (x *execution) object(o *object, set ast.SelectionSet, path []any) (*record, error) {
	def := x.p.schema.Types[o.typ]
	if def == nil {
		return nil, fmt.Errorf("type %s is not in the schema", o.typ)
	}
	r := &record{values: map[string]any{}}
	for _, g := range x.collect(set, o.typ, nil) {
		f := g.fields[0]
		at := append(slices.Clip(path), g.key)
		if f.Name == "__typename" {
			r.keys = append(r.keys, g.key)
			r.values[g.key] = o.typ
			continue
		}
		v, err := x.field(o, def, g, at)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, g.key)
		r.values[g.key] = v
	}
	return r, nil
}

func (x *execution) field(o *object, def *ast.Definition, g *group, path []any) (any, error) {
	f := g.fields[0]
	fd := def.Fields.ForName(f.Name)
	v, err := x.resolve(o, def, fd, f)
	if err == nil {
		var sub ast.SelectionSet
		for _, s := range g.fields {
			sub = append(sub, s.SelectionSet...)
		}
		v, err = x.complete(fd.Type, v, sub, path, f)
	}
	if err == nil {
		return v, nil
	}
	if !errors.Is(err, errBubble) {
		x.report(err, f, path)
	}
	if fd.Type.NonNull {
		return nil, errBubble
	}
	return nil, nil
}

func (x *execution) report(err error, f *ast.Field, path []any) {
	fail, ok := errors.AsType[*platformError](err)
	if !ok {
		fail = internal("%s", err.Error())
	}
	fail.at = []place{{f.Position.Line, f.Position.Column}}
	x.errors = append(x.errors, fail.entry(path))
}

func (x *execution) resolve(o *object, def *ast.Definition, fd *ast.FieldDefinition, f *ast.Field) (any, error) {
	if err := x.authorize(def, fd); err != nil {
		return nil, err
	}
	v, ok := o.fields[f.Name]
	if !ok {
		return x.absent(o, fd)
	}
	if r, ok := v.(resolver); ok {
		return r(f.ArgumentMap(x.vars))
	}
	return v, nil
}

// authorize applies @auth of the field, else of its type. A right is granted
// when it is part of the name of one of the user's capabilities.
func (x *execution) authorize(def *ast.Definition, fd *ast.FieldDefinition) error {
	d := fd.Directives.ForName("auth")
	if d == nil {
		d = def.Directives.ForName("auth")
	}
	if d == nil || strings.HasPrefix(fd.Name, "__") {
		return nil
	}
	if x.account == nil {
		return authRequired()
	}
	a := d.Arguments.ForName("for")
	if a == nil || len(a.Value.Children) == 0 {
		return nil
	}
	all := d.Arguments.ForName("and") != nil && d.Arguments.ForName("and").Value.Raw == "true"
	granted := 0
	for _, c := range a.Value.Children {
		if x.account.may(c.Value.Raw) {
			granted++
		}
	}
	if granted == 0 || all && granted < len(a.Value.Children) {
		return forbidden()
	}
	return nil
}

// absent is the value of a field that the stand-in does not keep. In the small
// schema there is none, so a client that asks for one has found a hole in it.
func (x *execution) absent(o *object, fd *ast.FieldDefinition) (any, error) {
	if x.p.small {
		x.p.violate(x.op, "the stand-in has no value for %s.%s", o.typ, fd.Name)
	}
	if !fd.Type.NonNull {
		return nil, nil
	}
	if fd.Type.Elem != nil {
		return []any{}, nil
	}
	switch def := x.p.schema.Types[fd.Type.NamedType]; {
	case def.Kind == ast.Enum:
		return def.EnumValues[0].Name, nil
	case def.Kind == ast.Object:
		return &object{typ: def.Name}, nil
	case def.Name == "Boolean":
		return false, nil
	case def.Name == "Int" || def.Name == "Float":
		return 0, nil
	case def.Name == "DateTime":
		return stamp(x.p.now()), nil
	}
	return "", nil
}

func (x *execution) complete(t *ast.Type, v any, set ast.SelectionSet, path []any, f *ast.Field) (any, error) {
	if v == nil || v == (*object)(nil) {
		if t.NonNull {
			return nil, internal("Cannot return null for non-nullable field %s.%s.", f.ObjectDefinition.Name, f.Name)
		}
		return nil, nil
	}
	if t.Elem != nil {
		return x.list(t, v, set, path, f)
	}
	if o, ok := v.(*object); ok {
		r, err := x.object(o, set, path)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	return v, nil
}

func (x *execution) list(t *ast.Type, v any, set ast.SelectionSet, path []any, f *ast.Field) (any, error) {
	var items []any
	switch v := v.(type) {
	case []any:
		items = v
	case []string:
		for _, s := range v {
			items = append(items, s)
		}
	case []*object:
		for _, o := range v {
			items = append(items, o)
		}
	default:
		return nil, internal("Expected Iterable, but did not find one for field %q.", f.ObjectDefinition.Name+"."+f.Name)
	}
	out := make([]any, len(items))
	for i, it := range items {
		c, err := x.complete(t.Elem, it, set, append(slices.Clip(path), i), f)
		if err != nil {
			if t.Elem.NonNull {
				return nil, err
			}
			if !errors.Is(err, errBubble) {
				x.report(err, f, append(slices.Clip(path), i))
			}
			continue
		}
		out[i] = c
	}
	return out, nil
}

// run executes the operation and returns the body of the answer. Platform.mu is
// held.
func (x *execution) run(op *ast.OperationDefinition) map[string]any {
	root := &object{typ: "Query", fields: x.p.queries(x.account)}
	if op.Operation == ast.Mutation {
		root = &object{typ: "Mutation", fields: x.p.mutations(x.account)}
	}
	body := map[string]any{}
	r, err := x.object(root, op.SelectionSet, nil)
	switch {
	case err != nil:
		body["data"] = nil
	default:
		body["data"] = r
	}
	if len(x.errors) > 0 {
		body["errors"] = x.errors
	}
	return body
}
