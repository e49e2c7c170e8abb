package openctitest

import (
	"slices"
	"strconv"
)

// additions are the mutations by which the vendor's importer writes objects.
func (p *Platform) additions(a *account) map[string]any {
	add := func(k *kind) resolver {
		return func(args map[string]any) (any, error) {
			in, _ := args["input"].(map[string]any)
			return p.addition(a, k, in, in, "$input")
		}
	}
	return map[string]any{
		"channelAdd":      add(channelKind),
		"individualAdd":   add(individualKind),
		"organizationAdd": add(organizationKind),
		"identityAdd": resolver(func(args map[string]any) (any, error) {
			in, _ := args["input"].(map[string]any)
			k := individualKind
			if in["type"] == "Organization" {
				k = organizationKind
			}
			return p.addition(a, k, in, in, "$input")
		}),
		"stixCoreRelationshipAdd": add(relationKind),
		"stixCyberObservableAdd": resolver(func(args map[string]any) (any, error) {
			if args["type"] != "Media-Content" {
				return nil, functional("Observable type is not supported.", map[string]any{"type": args["type"]})
			}
			own, _ := args["MediaContent"].(map[string]any)
			return p.addition(a, mediaKind, args, own, "$MediaContent")
		}),
		"externalReferenceAdd": resolver(func(args map[string]any) (any, error) {
			in, _ := args["input"].(map[string]any)
			return p.view(a, p.reference(in)), nil
		}),
		"stixEdit": resolver(func(args map[string]any) (any, error) {
			id, _ := args["id"].(string)
			return &object{typ: "StixEditMutations", fields: map[string]any{
				"delete": resolver(func(map[string]any) (any, error) { return id, p.remove(a, id) }),
			}}, nil
		}),
	}
}

// addition is one object of a mutation. common holds what all objects have; of
// an observable its own attributes stand apart.
func (p *Platform) addition(a *account, k *kind, common, own map[string]any, variable string) (any, error) {
	in := &input{kind: k, fields: map[string]any{}, variable: variable}
	in.given, _ = common["stix_id"].(string)
	in.stixIDs = anyTexts(common["x_opencti_stix_ids"])
	in.author, _ = common["createdBy"].(string)
	in.markings = anyTexts(common["objectMarking"])
	in.labels = anyTexts(common["objectLabel"])
	for _, id := range anyTexts(common["externalReferences"]) {
		if e := p.graph.find(id); e != nil {
			in.references = append(in.references, e.internal)
		}
	}
	if n, ok := number(common["confidence"]); ok {
		in.confidence = &n
	}
	// The worker retries; from the fourth attempt on unknown references are
	// left out instead.
	attempt, err := strconv.Atoi(p.retry)
	in.strict = err != nil || attempt < 3
	for _, f := range slices.Concat(k.texts, k.fixed) {
		for _, m := range []map[string]any{common, own} {
			if v, ok := m[f]; ok && v != nil {
				in.fields[f] = scalar(v)
			}
		}
	}
	for _, f := range k.lists {
		if v, ok := own[f]; ok && v != nil {
			in.fields[f] = anyTexts(v)
		}
	}
	if k == relationKind {
		in.relation, _ = own["relationship_type"].(string)
		in.from, _ = own["fromId"].(string)
		in.to, _ = own["toId"].(string)
		in.start, in.stop = timeArg(own["start_time"]), timeArg(own["stop_time"])
	}
	if k == individualKind || k == organizationKind {
		in.fields["identity_class"] = map[*kind]string{individualKind: "individual", organizationKind: "organization"}[k]
	}
	in.files = uploads(own)
	marks, err := p.inlineMarkings(a, in)
	if err != nil {
		return nil, err
	}
	e, err := p.upsert(a, in)
	if err != nil {
		return nil, err
	}
	for i, f := range in.files {
		p.storeInline(a, e, f, marks[i])
	}
	p.added++
	return p.view(a, e), nil
}

// uploads are the files that travel inside a mutation, which generation 7
// allows: lists side by side.
func uploads(own map[string]any) []fileInput {
	list, _ := own["files"].([]any)
	marks, _ := own["filesMarkings"].([]any)
	quiet, _ := own["noTriggerImport"].([]any)
	var out []fileInput
	for i, x := range list {
		f, ok := x.(*fileInput)
		if !ok {
			continue
		}
		c := *f
		if i < len(marks) && marks[i] != nil {
			c.markings = anyTexts(marks[i])
		}
		c.noTrigger = i < len(quiet) && quiet[i] == true
		out = append(out, c)
	}
	return out
}

// reference finds or makes an external reference.
func (p *Platform) reference(in map[string]any) *entity {
	text := func(k string) string { s, _ := in[k].(string); return s }
	id := standardID("external-reference", "url", text("url"))
	if text("url") == "" {
		id = standardID("external-reference", "external_id", text("external_id"), "source_name", text("source_name"))
	}
	if e := p.graph.find(id); e != nil {
		return e
	}
	return p.add(&entity{kind: referenceKind, standard: id, fields: map[string]any{
		"url": text("url"), "source_name": text("source_name"), "external_id": text("external_id"), "description": text("description"),
	}})
}

// Added is how many objects mutations of an importer have written.
func (p *Platform) Added() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.added
}
