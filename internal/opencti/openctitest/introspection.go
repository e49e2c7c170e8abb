package openctitest

import "github.com/vektah/gqlparser/v2/ast"

// typeByName answers __type, which platforms allow, in the depth that clients
// ask to learn which input fields there are. The whole of __schema is refused.
func (p *Platform) typeByName(args map[string]any) (any, error) {
	name, _ := args["name"].(string)
	def := p.schema.Types[name]
	if def == nil {
		return nil, nil
	}
	o := &object{typ: "__Type", fields: map[string]any{"kind": string(def.Kind), "name": def.Name, "description": nil, "fields": nil, "inputFields": nil, "enumValues": nil}}
	var fields []*object
	for _, f := range def.Fields {
		typ := "__Field"
		if def.Kind == ast.InputObject {
			typ = "__InputValue"
		}
		fields = append(fields, &object{typ: typ, fields: map[string]any{"name": f.Name, "description": nil}})
	}
	switch def.Kind {
	case ast.InputObject:
		o.fields["inputFields"] = fields
	case ast.Object, ast.Interface:
		o.fields["fields"] = resolver(func(map[string]any) (any, error) { return fields, nil })
	case ast.Enum:
		var vs []*object
		for _, v := range def.EnumValues {
			vs = append(vs, &object{typ: "__EnumValue", fields: map[string]any{"name": v.Name}})
		}
		o.fields["enumValues"] = resolver(func(map[string]any) (any, error) { return vs, nil })
	case ast.Scalar, ast.Union:
	}
	return o, nil
}

// asksSchema says whether the operation asks for the whole schema.
func asksSchema(op *ast.OperationDefinition) bool {
	for _, s := range op.SelectionSet {
		if f, ok := s.(*ast.Field); ok && f.Name == "__schema" {
			return true
		}
	}
	return false
}
