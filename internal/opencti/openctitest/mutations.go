package openctitest

import (
	"maps"
	"time"
)

// mutations are the fields of Mutation for one user.
func (p *Platform) mutations(a *account) map[string]any {
	m := map[string]any{
		"registerConnector": resolver(func(args map[string]any) (any, error) {
			in, _ := args["input"].(map[string]any)
			c, err := p.register(a, in)
			return viewOr(p.connectorView, c, err)
		}),
		"pingConnector": resolver(func(args map[string]any) (any, error) {
			c, err := p.ping(args["id"].(string), args)
			return viewOr(p.connectorView, c, err)
		}),
		"resetStateConnector": resolver(func(args map[string]any) (any, error) {
			c, err := p.resetState(args["id"].(string))
			return viewOr(p.connectorView, c, err)
		}),
		"deleteConnector": resolver(func(args map[string]any) (any, error) {
			return args["id"], p.deleteConnector(args["id"].(string))
		}),
		"workAdd": resolver(func(args map[string]any) (any, error) {
			name, _ := args["friendlyName"].(string)
			w, err := p.workAdd(a, args["connectorId"].(string), name)
			return viewOr(p.workView, w, err)
		}),
		"workEdit": resolver(func(args map[string]any) (any, error) { return p.workEdit(args["id"].(string)), nil }),
		"stixCyberObservableEdit": resolver(func(args map[string]any) (any, error) {
			return p.objectEdit(a, args["id"].(string), "StixCyberObservableEditMutations", p.patchObservable), nil
		}),
		"stixDomainObjectEdit": resolver(func(args map[string]any) (any, error) {
			return p.objectEdit(a, args["id"].(string), "StixDomainObjectEditMutations", p.patchDomain), nil
		}),
		"stixCoreRelationshipEdit": resolver(func(args map[string]any) (any, error) {
			id := args["id"].(string)
			return &object{typ: "StixCoreRelationshipEditMutations", fields: map[string]any{
				"delete": resolver(func(map[string]any) (any, error) { return id, p.remove(a, id) }),
			}}, nil
		}),
		"deleteImport": resolver(func(args map[string]any) (any, error) {
			id, _ := args["fileName"].(string)
			return p.deleteImport(a, id)
		}),
		"deleteOperationConfirm": resolver(func(args map[string]any) (any, error) { return args["id"], p.purge(args["id"].(string)) }),
		"stixBundlePush":         resolver(func(args map[string]any) (any, error) { return p.bundlePush(a, args) }),
		"labelAdd": resolver(func(args map[string]any) (any, error) {
			in, _ := args["input"].(map[string]any)
			v, _ := in["value"].(string)
			value := p.label(a, v)
			for _, e := range p.graph.known("label " + value) {
				return p.view(a, e), nil
			}
			return nil, functional("Label is blank", nil)
		}),
	}
	maps.Copy(m, p.additions(a))
	return m
}

func viewOr[T any](view func(T) *object, v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return view(v), nil
}

func (p *Platform) workEdit(id string) *object {
	text := func(args map[string]any, k string) string { s, _ := args[k].(string); return s }
	return &object{typ: "WorkEditMutations", fields: map[string]any{
		"addExpectations": resolver(func(args map[string]any) (any, error) {
			n, _ := number(args["expectations"])
			return id, p.addExpectations(id, n)
		}),
		"reportExpectation": resolver(func(args map[string]any) (any, error) {
			var message, source *string
			if e, ok := args["error"].(map[string]any); ok {
				m, s := text(e, "error"), text(e, "source")
				message, source = &m, &s
			}
			p.report(id, message, source)
			return id, nil
		}),
		"toReceived": resolver(func(args map[string]any) (any, error) {
			if w := p.works[id]; w != nil {
				w.messages = append(w.messages, note{at: p.now(), message: text(args, "message")})
			}
			return id, nil
		}),
		"toProcessed": resolver(func(args map[string]any) (any, error) {
			inError, _ := args["inError"].(bool)
			return id, p.toProcessed(id, text(args, "message"), inError)
		}),
		"addDraftContext": resolver(func(map[string]any) (any, error) { return id, nil }),
		"ping":            id,
		"delete":          resolver(func(map[string]any) (any, error) { delete(p.works, id); return id, nil }),
	}}
}

func (p *Platform) objectEdit(a *account, id, typ string, patch func(*account, string, []edit) (*entity, error)) *object {
	return &object{typ: typ, fields: map[string]any{
		"delete": resolver(func(map[string]any) (any, error) { return id, p.remove(a, id) }),
		"fieldPatch": resolver(func(args map[string]any) (any, error) {
			e, err := patch(a, id, edits(args["input"]))
			if err != nil {
				return nil, err
			}
			return p.view(a, e), nil
		}),
		"importPush": resolver(func(args map[string]any) (any, error) {
			f, ok := args["file"].(*fileInput)
			if !ok {
				return nil, internal("File missing in the request.")
			}
			in := *f
			in.markings = anyTexts(args["fileMarkings"])
			in.noTrigger, _ = args["noTriggerImport"].(bool)
			if s, ok := args["version"].(string); ok {
				t, _ := parseStamp(s)
				in.version = &t
			}
			s, err := p.importPush(a, id, in)
			if err != nil {
				return nil, err
			}
			return p.fileView(a, s), nil
		}),
	}}
}

func edits(v any) []edit {
	l, _ := v.([]any)
	var out []edit
	for _, x := range l {
		m, ok := x.(map[string]any)
		if !ok {
			continue
		}
		e := edit{}
		e.key, _ = m["key"].(string)
		e.operation, _ = m["operation"].(string)
		e.values, _ = m["value"].([]any)
		out = append(out, e)
	}
	return out
}

// timeArg is a DateTime argument, nil when it is absent or empty.
func timeArg(v any) *time.Time {
	s, _ := v.(string)
	if t, ok := parseStamp(s); ok {
		return &t
	}
	return nil
}
