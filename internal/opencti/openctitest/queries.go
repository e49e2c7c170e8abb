package openctitest

import "slices"

func (p *Platform) version() string {
	switch {
	case p.cfg.Version != "":
		return p.cfg.Version
	case p.gen == Gen6:
		return "6.4.3"
	}
	return "7.260318.0"
}

// queries are the fields of Query for one user.
func (p *Platform) queries(a *account) map[string]any {
	one := func(match func(*entity) bool) resolver {
		return func(args map[string]any) (any, error) {
			id, _ := args["id"].(string)
			e := p.graph.find(id)
			if e == nil || !match(e) || !a.sees(e) {
				return nil, nil
			}
			return p.view(a, e), nil
		}
	}
	many := func(typ string, match func(*entity) bool) resolver {
		return func(args map[string]any) (any, error) {
			test, err := p.filter(typ, args["filters"])
			if err != nil {
				return nil, err
			}
			var out []*object
			for _, e := range p.graph.candidates(args["filters"]) {
				if match(e) && test(e) && a.sees(e) && meets(e, args) {
					out = append(out, p.view(a, e))
				}
			}
			return connection(typ, out, args), nil
		}
	}
	is := func(kinds ...*kind) func(*entity) bool {
		return func(e *entity) bool { return slices.Contains(kinds, e.kind) }
	}
	core := is(channelKind, individualKind, organizationKind, mediaKind)
	domain := is(channelKind, individualKind, organizationKind)
	anything := func(*entity) bool { return true }
	return map[string]any{
		"about": resolver(func(map[string]any) (any, error) {
			return &object{typ: "AppInfo", fields: map[string]any{"version": p.version()}}, nil
		}),
		"me":                            resolver(func(map[string]any) (any, error) { return p.meView(a), nil }),
		"connector":                     resolver(func(args map[string]any) (any, error) { return p.connectorView(p.connector(args["id"].(string))), nil }),
		"work":                          resolver(p.workByID),
		"isWorkAlive":                   resolver(func(args map[string]any) (any, error) { return p.accepts(args["id"].(string)), nil }),
		"markingDefinition":             resolver(func(args map[string]any) (any, error) { return p.markingByID(a, args["id"].(string)), nil }),
		"markingDefinitions":            many("MarkingDefinition", is(markingKind)),
		"labels":                        many("Label", is(labelKind)),
		"label":                         one(is(labelKind)),
		"externalReferences":            many("ExternalReference", is(referenceKind)),
		"stixCoreObject":                one(core),
		"stixObjectOrStixRelationship":  one(anything),
		"stixObjectOrStixRelationships": many("StixObjectOrStixRelationship", anything),
		"stixCyberObservable":           one(is(mediaKind)),
		"stixCyberObservables":          many("StixCyberObservable", is(mediaKind)),
		"stixDomainObject":              one(domain),
		"channel":                       one(is(channelKind)),
		"channels":                      many("Channel", is(channelKind)),
		"individual":                    one(is(individualKind)),
		"individuals":                   many("Individual", is(individualKind)),
		"identity":                      one(is(individualKind, organizationKind)),
		"identities":                    many("Identity", is(individualKind, organizationKind)),
		"stixCoreRelationship":          one(is(relationKind)),
		"stixCoreRelationships":         many("StixCoreRelationship", is(relationKind)),
		"deleteOperations":              resolver(p.trashView),
		"__type":                        resolver(p.typeByName),
	}
}

// meets applies the arguments beside the filters: ends by internal ids only, and
// relationship types.
func meets(e *entity, args map[string]any) bool {
	for arg, have := range map[string]string{"fromId": e.from, "toId": e.to, "relationship_type": e.relation} {
		if l := anyTexts(args[arg]); l != nil && !slices.Contains(l, have) {
			return false
		}
	}
	return true
}

func (p *Platform) markingByID(a *account, id string) any {
	if m := p.marking(id); m != nil {
		return p.view(a, m)
	}
	return nil
}

func (p *Platform) workByID(args map[string]any) (any, error) {
	w := p.works[args["id"].(string)]
	if w == nil {
		return nil, nil
	}
	return p.workView(w), nil
}

func (p *Platform) meView(a *account) *object {
	caps := make([]*object, 0, len(a.Capabilities))
	for _, c := range a.Capabilities {
		caps = append(caps, &object{typ: "Capability", fields: map[string]any{"name": c, "id": c, "entity_type": "Capability", "standard_id": c}})
	}
	return &object{typ: "MeUser", fields: map[string]any{
		"id": a.ID, "name": a.Name, "user_email": a.Name + "@connector.invalid", "capabilities": caps, "entity_type": "User", "standard_id": "user--" + a.ID,
		"allowed_marking":            p.markingViews(a, a.allowed),
		"effective_confidence_level": &object{typ: "EffectiveConfidenceLevel", fields: map[string]any{"max_confidence": a.MaxConfidence}},
	}}
}

// trashView lists the trash; it is searched by the internal id of the deleted
// object and by nothing else.
func (p *Platform) trashView(args map[string]any) (any, error) {
	group, _ := args["filters"].(map[string]any)
	list, _ := group["filters"].([]any)
	var only []string
	for _, f := range list {
		m, _ := f.(map[string]any)
		if k := anyTexts(m["key"]); len(k) != 1 || k[0] != "main_entity_id" {
			p.violate("deleteOperations", "the stand-in does not know the filter key %v", k)
			return nil, unsupported("Incorrect filter keys not existing in any schema definition", map[string]any{"keys": k})
		}
		only = append(only, anyTexts(m["values"])...)
	}
	var out []*object
	for _, t := range p.graph.trash {
		if list != nil && !slices.Contains(only, t.main.internal) {
			continue
		}
		out = append(out, &object{typ: "DeleteOperation", fields: map[string]any{
			"id": t.id, "main_entity_id": t.main.internal, "main_entity_type": t.main.entityType(), "main_entity_name": t.main.representative(),
			"created_at": stamp(t.main.updated), "entity_type": "DeleteOperation", "standard_id": "delete-operation--" + t.id,
		}})
	}
	return connection("DeleteOperation", out, args), nil
}
