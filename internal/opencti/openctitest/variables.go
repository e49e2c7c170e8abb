package openctitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

func asGraphQL(err error) (*gqlerror.Error, bool) { return errors.AsType[*gqlerror.Error](err) }

// coercion turns the variables of a request into values of the declared types,
// or says what is wrong in the platform's words.
type coercion struct {
	schema *ast.Schema
	fails  []*platformError
	// the variable at hand
	name  string
	whole any
	at    place
}

func (p *Platform) coerce(op *ast.OperationDefinition, given *dict) (map[string]any, []*platformError) {
	c := &coercion{schema: p.schema}
	out := map[string]any{}
	for _, v := range op.VariableDefinitions {
		c.name, c.at = "$"+v.Variable, place{v.Position.Line, v.Position.Column}
		val, ok := given.values[v.Variable]
		if !ok {
			switch {
			case v.DefaultValue != nil:
				d, err := v.DefaultValue.Value(nil)
				if err == nil {
					out[v.Variable] = d
				}
			case v.Type.NonNull:
				c.fail(`Variable "%s" of required type "%s" was not provided.`, c.name, v.Type)
			}
			continue
		}
		if val == nil && v.Type.NonNull {
			c.fail(`Variable "%s" of non-null type "%s" must not be null.`, c.name, v.Type)
			continue
		}
		c.whole = val
		out[v.Variable] = c.value(v.Type, val, nil)
	}
	return out, c.fails
}

func (c *coercion) fail(format string, args ...any) {
	c.fails = append(c.fails, &platformError{code: "BAD_USER_INPUT", message: fmt.Sprintf(format, args...), at: []place{c.at}})
}

// invalid reports the value v at the path inside the variable.
func (c *coercion) invalid(v any, path []string, detail string) {
	at := ""
	if len(path) > 0 {
		at = fmt.Sprintf(` at "%s%s"`, strings.TrimPrefix(c.name, "$"), strings.Join(path, ""))
	}
	c.fail(`Variable "%s" got invalid value %s%s; %s`, c.name, inspected(v), at, detail)
}

func (c *coercion) value(t *ast.Type, v any, path []string) any {
	if v == nil {
		if t.NonNull {
			c.invalid(v, path, fmt.Sprintf(`Expected non-nullable type "%s" not to be null.`, t))
		}
		return nil
	}
	if t.Elem != nil {
		l, ok := v.([]any)
		if !ok {
			return []any{c.value(t.Elem, v, path)}
		}
		out := make([]any, len(l))
		for i, x := range l {
			out[i] = c.value(t.Elem, x, append(slices.Clip(path), fmt.Sprintf("[%d]", i)))
		}
		return out
	}
	switch def := c.schema.Types[t.NamedType]; def.Kind {
	case ast.InputObject:
		return c.object(def, v, path)
	case ast.Enum:
		s, ok := v.(string)
		if !ok || def.EnumValues.ForName(s) == nil {
			c.invalid(v, path, fmt.Sprintf(`Value %s does not exist in "%s" enum.`, inspected(v), def.Name))
		}
		return s
	default:
		return c.scalar(def.Name, v, path)
	}
}

func (c *coercion) object(def *ast.Definition, v any, path []string) any {
	d, ok := v.(*dict)
	if !ok {
		c.invalid(v, path, fmt.Sprintf(`Expected type "%s" to be an object.`, def.Name))
		return nil
	}
	out := map[string]any{}
	for _, f := range def.Fields {
		x, ok := d.values[f.Name]
		if !ok {
			switch {
			case f.DefaultValue != nil:
				if dv, err := f.DefaultValue.Value(nil); err == nil {
					out[f.Name] = dv
				}
			case f.Type.NonNull:
				c.invalid(v, path, fmt.Sprintf(`Field "%s" of required type "%s" was not provided.`, f.Name, f.Type))
			}
			continue
		}
		at := append(slices.Clip(path), "."+f.Name)
		out[f.Name] = c.value(f.Type, x, at)
		c.constrain(f, x, at)
	}
	for _, k := range d.keys {
		if def.Fields.ForName(k) == nil {
			c.invalid(v, path, fmt.Sprintf(`Field "%s" is not defined by type "%s".`, k, def.Name))
		}
	}
	return out
}

// constrain applies @constraint as the platform's library does.
func (c *coercion) constrain(f *ast.FieldDefinition, v any, path []string) {
	d := f.Directives.ForName("constraint")
	s, ok := v.(string)
	if d == nil || !ok {
		return
	}
	field := strings.TrimPrefix(c.name, "$") + strings.Join(path, "")
	report := func(arg string, value any, text string) {
		c.fails = append(c.fails, &platformError{
			code: "BAD_USER_INPUT", message: fmt.Sprintf(`Variable "%s" got invalid value %s at "%s". %s`, c.name, inspected(v), field, text),
			more: map[string]any{"field": field, "context": []any{map[string]any{"arg": arg, "value": value}}},
		})
	}
	if a := d.Arguments.ForName("minLength"); a != nil {
		n := json.Number(a.Value.Raw)
		if least, err := n.Int64(); err == nil && int64(len(utf16.Encode([]rune(s)))) < least {
			report("minLength", n, fmt.Sprintf("Must be at least %s characters in length", n))
			return
		}
	}
	if a := d.Arguments.ForName("format"); a != nil && a.Value.Raw == "not-blank" && strings.TrimSpace(s) == "" {
		report("format", "not-blank", "Must not be blank")
	}
}

func (c *coercion) scalar(name string, v any, path []string) any {
	switch name {
	case "Int":
		n, ok := v.(json.Number)
		i, err := n.Int64()
		if !ok || err != nil {
			c.invalid(v, path, "Int cannot represent non-integer value: "+inspected(v))
		}
		return int(i)
	case "Float":
		n, ok := v.(json.Number)
		f, err := n.Float64()
		if !ok || err != nil {
			c.invalid(v, path, "Float cannot represent non numeric value: "+inspected(v))
		}
		return f
	case "Boolean":
		b, ok := v.(bool)
		if !ok {
			c.invalid(v, path, "Boolean cannot represent a non boolean value: "+inspected(v))
		}
		return b
	case "String", "StixId", "StixRef":
		s, ok := v.(string)
		if !ok {
			c.invalid(v, path, name+" cannot represent a non string value: "+inspected(v))
		}
		return s
	case "ID":
		if n, ok := v.(json.Number); ok {
			return n.String()
		}
		s, ok := v.(string)
		if !ok {
			c.invalid(v, path, "ID cannot represent value: "+inspected(v))
		}
		return s
	case "DateTime":
		s, ok := v.(string)
		if _, valid := parseStamp(s); !ok || !valid {
			c.invalid(v, path, fmt.Sprintf("DateTime cannot represent an invalid date-time-string %v.", v))
		}
		return s
	case "Upload":
		if _, ok := v.(*fileInput); !ok {
			c.invalid(v, path, "Upload value invalid.")
		}
		return v
	}
	return plain(v)
}
