package openctitest_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// pruning collects what a set of operations uses of a schema.
type pruning struct {
	full   *ast.Schema
	fields map[string]map[string]bool // type to field
	args   map[string]map[string]bool // type.field to argument
	types  map[string]bool
	values map[string]map[string]bool // enum to value, for large enums
}

func newPruning(full *ast.Schema) *pruning {
	return &pruning{full: full, fields: map[string]map[string]bool{}, args: map[string]map[string]bool{}, types: map[string]bool{}, values: map[string]map[string]bool{}}
}

// add marks everything that the operations of doc use; doc has been validated
// against the full schema, so its definitions are filled in.
func (p *pruning) add(doc *ast.QueryDocument) {
	for _, op := range doc.Operations {
		root := p.full.Query
		if op.Operation == ast.Mutation {
			root = p.full.Mutation
		}
		for _, v := range op.VariableDefinitions {
			p.input(v.Type.Name())
		}
		p.selection(root, op.SelectionSet)
	}
}

func (p *pruning) selection(parent *ast.Definition, set ast.SelectionSet) {
	p.types[parent.Name] = true
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			if strings.HasPrefix(s.Name, "__") {
				continue
			}
			p.field(parent, s)
		case *ast.InlineFragment:
			on := parent
			if s.TypeCondition != "" {
				on = p.full.Types[s.TypeCondition]
			}
			p.selection(on, s.SelectionSet)
		case *ast.FragmentSpread:
			p.selection(p.full.Types[s.Definition.TypeCondition], s.Definition.SelectionSet)
		}
	}
}

func (p *pruning) field(parent *ast.Definition, f *ast.Field) {
	def := parent.Fields.ForName(f.Name)
	mark(p.fields, parent.Name, f.Name)
	for _, a := range def.Arguments {
		if f.Arguments.ForName(a.Name) != nil || a.Type.NonNull && a.DefaultValue == nil {
			mark(p.args, parent.Name+"."+f.Name, a.Name)
			p.input(a.Type.Name())
		}
	}
	to := p.full.Types[def.Type.Name()]
	p.types[to.Name] = true
	if to.IsCompositeType() {
		p.selection(to, f.SelectionSet)
	}
}

// input marks an input type with all its fields, as a client may send any.
func (p *pruning) input(name string) {
	def := p.full.Types[name]
	if p.types[name] {
		return
	}
	p.types[name] = true
	if def.Kind == ast.InputObject {
		for _, f := range def.Fields {
			mark(p.fields, name, f.Name)
			p.input(f.Type.Name())
		}
	}
}

func mark(m map[string]map[string]bool, a, b string) {
	if m[a] == nil {
		m[a] = map[string]bool{}
	}
	m[a][b] = true
}

// close adds what makes the pruned schema valid: the interfaces of each object
// with the fields in use on any of them, and the possible types of a union or
// interface in use.
func (p *pruning) close() {
	for changed := true; changed; {
		changed = false
		for name := range p.types {
			def := p.full.Types[name]
			if def.Kind == ast.Interface || def.Kind == ast.Union {
				continue
			}
			for _, i := range def.Interfaces {
				for f := range p.fields[i] {
					if def.Kind == ast.Object && !p.fields[name][f] {
						mark(p.fields, name, f)
						for a := range p.args[i+"."+f] {
							mark(p.args, name+"."+f, a)
						}
						p.types[def.Fields.ForName(f).Type.Name()] = true
						changed = true
					}
				}
			}
		}
		for name := range p.types {
			def := p.full.Types[name]
			if def.Kind != ast.Object {
				continue
			}
			for f := range p.fields[name] {
				for _, i := range def.Interfaces {
					idef := p.full.Types[i]
					fd := idef.Fields.ForName(f)
					if fd == nil || !p.types[i] {
						continue
					}
					for a := range p.args[i+"."+f] {
						if !p.args[name+"."+f][a] {
							mark(p.args, name+"."+f, a)
							changed = true
						}
					}
				}
			}
		}
	}
}

// String is the pruned schema; types that implement an interface in use, but are
// not in use themselves, are left out.
func (p *pruning) String() string {
	var b strings.Builder
	b.WriteString("directive @auth(for: [Capabilities] = [], and: Boolean = false) on OBJECT | FIELD_DEFINITION\n")
	b.WriteString("directive @constraint(minLength: Int, format: String) on INPUT_FIELD_DEFINITION\n\n")
	names := make([]string, 0, len(p.types))
	caps := map[string]bool{}
	for n := range p.types {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		def := p.full.Types[n]
		if def.BuiltIn || n == "Capabilities" {
			continue
		}
		switch def.Kind {
		case ast.Scalar:
			fmt.Fprintf(&b, "scalar %s\n\n", n)
		case ast.Enum:
			fmt.Fprintf(&b, "enum %s {\n", n)
			for _, v := range def.EnumValues {
				fmt.Fprintf(&b, "  %s\n", v.Name)
			}
			b.WriteString("}\n\n")
		case ast.Union:
			var in []string
			for _, t := range def.Types {
				if p.types[t] {
					in = append(in, t)
				}
			}
			fmt.Fprintf(&b, "union %s = %s\n\n", n, strings.Join(in, " | "))
		case ast.Object, ast.Interface, ast.InputObject:
			p.composite(&b, def, caps)
		}
	}
	b.WriteString("enum Capabilities {\n")
	var cs []string
	for c := range caps {
		cs = append(cs, c)
	}
	sort.Strings(cs)
	for _, c := range cs {
		b.WriteString("  " + c + "\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func (p *pruning) composite(b *strings.Builder, def *ast.Definition, caps map[string]bool) {
	word := map[ast.DefinitionKind]string{ast.Object: "type", ast.Interface: "interface", ast.InputObject: "input"}[def.Kind]
	b.WriteString(word + " " + def.Name)
	var impl []string
	for _, i := range def.Interfaces {
		if p.types[i] {
			impl = append(impl, i)
		}
	}
	if len(impl) > 0 && def.Kind != ast.InputObject {
		b.WriteString(" implements " + strings.Join(impl, " & "))
	}
	b.WriteString(auth(def.Directives, caps) + " {\n")
	for _, f := range def.Fields {
		if !p.fields[def.Name][f.Name] {
			continue
		}
		b.WriteString("  " + f.Name)
		var as []string
		for _, a := range f.Arguments {
			if p.args[def.Name+"."+f.Name][a.Name] {
				s := a.Name + ": " + a.Type.String()
				if a.DefaultValue != nil {
					s += " = " + a.DefaultValue.String()
				}
				as = append(as, s)
			}
		}
		if len(as) > 0 {
			b.WriteString("(" + strings.Join(as, ", ") + ")")
		}
		b.WriteString(": " + f.Type.String())
		if f.DefaultValue != nil {
			b.WriteString(" = " + f.DefaultValue.String())
		}
		if c := f.Directives.ForName("constraint"); c != nil {
			var as []string
			for _, a := range c.Arguments {
				if a.Name == "minLength" || a.Name == "format" {
					as = append(as, a.Name+": "+a.Value.String())
				}
			}
			if len(as) > 0 {
				b.WriteString(" @constraint(" + strings.Join(as, ", ") + ")")
			}
		}
		b.WriteString(auth(f.Directives, caps) + "\n")
	}
	b.WriteString("}\n\n")
}

func auth(ds ast.DirectiveList, caps map[string]bool) string {
	d := ds.ForName("auth")
	if d == nil {
		return ""
	}
	var as []string
	for _, a := range d.Arguments {
		if a.Name != "for" && a.Name != "and" {
			continue
		}
		for _, c := range a.Value.Children {
			caps[c.Value.Raw] = true
		}
		as = append(as, a.Name+": "+a.Value.String())
	}
	if len(as) == 0 {
		return " @auth"
	}
	return " @auth(" + strings.Join(as, ", ") + ")"
}

// wantedDocument is the part of the wanted operations that generation 6 or 7
// knows.
func wantedDocument(t *testing.T, full *ast.Schema, text string, newest bool) *ast.QueryDocument {
	t.Helper()
	doc, err := parser.ParseQuery(&ast.Source{Input: text})
	if err != nil {
		t.Fatal(err)
	}
	if !newest {
		var ops ast.OperationList
		for _, op := range doc.Operations {
			if !strings.HasSuffix(op.Name, "_7") {
				ops = append(ops, op)
			}
		}
		doc.Operations = ops
	}
	if errs := validator.ValidateWithRules(full, doc, rules.NewDefaultRules()); len(errs) > 0 {
		for _, e := range errs {
			t.Error(e)
		}
		t.FailNow()
	}
	return doc
}
