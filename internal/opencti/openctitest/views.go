package openctitest

import (
	"maps"
	"slices"
	"strconv"
)

// view is an entity as a user sees it through GraphQL.
func (p *Platform) view(a *account, e *entity) *object {
	if e == nil {
		return nil
	}
	typ := e.kind.graphql
	f := map[string]any{
		"id": e.internal, "standard_id": e.standard, "entity_type": e.entityType(), "parent_types": e.kind.parents,
		"x_opencti_stix_ids": orEmpty(e.stixIDs), "created_at": stamp(e.created), "updated_at": stamp(e.updated),
		"spec_version": "2.1", "objectLabel": resolver(func(map[string]any) (any, error) { return p.labelViews(a, e), nil }),
		"representative": &object{typ: "Representative", fields: map[string]any{"main": e.representative()}},
		"objectMarking":  resolver(func(map[string]any) (any, error) { return p.markingViews(a, e.markings), nil }),
		"createdBy":      resolver(func(map[string]any) (any, error) { return p.authorView(a, e), nil }),
		"creators":       resolver(func(map[string]any) (any, error) { return p.creatorViews(e), nil }),
		"importFiles": resolver(func(args map[string]any) (any, error) {
			return connection("File", p.fileViews(a, e), args), nil
		}),
		"externalReferences": resolver(func(args map[string]any) (any, error) {
			l := make([]*object, 0, len(e.references))
			for _, id := range e.references {
				l = append(l, p.view(a, p.graph.entities[id]))
			}
			return connection("ExternalReference", l, args), nil
		}),
		"confidence": e.confidence, "observable_value": e.representative(),
	}
	if e.kind.observable {
		delete(f, "confidence")
	}
	for _, k := range slices.Concat(e.kind.texts, e.kind.fixed) {
		f[k] = nil
	}
	if _, ok := f["revoked"]; ok {
		f["revoked"], f["created"], f["modified"] = false, stamp(e.created), stamp(e.updated)
		f["lang"] = "en"
	}
	for _, k := range e.kind.lists {
		f[k] = orEmpty(e.list(k))
	}
	maps.Copy(f, e.fields)
	if e.kind == relationKind {
		p.relationFields(a, e, f)
	}
	return &object{typ: typ, fields: f}
}

func (p *Platform) relationFields(a *account, e *entity, f map[string]any) {
	from, to := p.graph.entities[e.from], p.graph.entities[e.to]
	f["relationship_type"] = e.relation
	f["start_time"], f["stop_time"] = stamp(e.start), stamp(e.stop)
	f["fromId"], f["toId"] = e.from, e.to
	f["fromType"], f["toType"] = "", ""
	if from != nil {
		f["fromType"] = from.kind.entity
	}
	if to != nil {
		f["toType"] = to.kind.entity
	}
	f["from"] = resolver(func(map[string]any) (any, error) { return p.seen(a, from), nil })
	f["to"] = resolver(func(map[string]any) (any, error) { return p.seen(a, to), nil })
}

// seen is the view of an entity, nil when the user may not see it.
func (p *Platform) seen(a *account, e *entity) any {
	if e == nil || !a.sees(e) {
		return nil
	}
	return p.view(a, e)
}

func (p *Platform) authorView(a *account, e *entity) any {
	if e.author == "" {
		return nil
	}
	return p.seen(a, p.graph.entities[e.author])
}

func (p *Platform) markingViews(a *account, ids []string) []*object {
	out := []*object{}
	for _, id := range ids {
		if m := p.graph.entities[id]; m != nil {
			out = append(out, p.view(a, m))
		}
	}
	return out
}

func (p *Platform) labelViews(a *account, e *entity) []*object {
	out := []*object{}
	for _, v := range e.labels {
		for _, l := range p.graph.known("label " + v) {
			out = append(out, p.view(a, l))
		}
	}
	return out
}

func (p *Platform) creatorViews(e *entity) []*object {
	out := []*object{}
	for _, id := range e.creators {
		if u := p.accountByID(id); u != nil {
			out = append(out, creatorView(u))
		}
	}
	return out
}

func creatorView(u *account) *object {
	return &object{typ: "Creator", fields: map[string]any{"id": u.ID, "name": u.Name, "entity_type": "User", "standard_id": "user--" + u.ID}}
}

func (p *Platform) fileViews(a *account, e *entity) []*object {
	files := p.filesOf(a, e)
	out := make([]*object, 0, len(files))
	for _, f := range files {
		out = append(out, p.fileView(a, f))
	}
	return out
}

func (p *Platform) fileView(a *account, f *storedFile) *object {
	// A file that came in an item without markings holds null.
	var marks any
	if f.markings != nil {
		marks = f.markings
	}
	return &object{typ: "File", fields: map[string]any{
		"id": f.id, "name": f.name, "size": int(f.size), "lastModified": stamp(f.stored), "uploadStatus": "complete", "entity_type": "InternalFile",
		"objectMarking": p.markingViews(a, f.markings),
		"metaData":      &object{typ: "FileMetadata", fields: map[string]any{"mimetype": f.mediaType, "version": stamp(f.version), "file_markings": marks}},
	}}
}

func orEmpty(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

// connection is a page of nodes; first and after are taken from the arguments.
func connection(typ string, nodes []*object, args map[string]any) *object {
	total := len(nodes)
	skip := 0
	if s, ok := args["after"].(string); ok {
		// A cursor that is not ours starts at the first node.
		skip, _ = strconv.Atoi(s)
	}
	nodes = nodes[min(skip, len(nodes)):]
	if n, ok := number(args["first"]); ok && n < len(nodes) {
		nodes = nodes[:n]
	}
	edges := make([]*object, 0, len(nodes))
	for i, n := range nodes {
		edges = append(edges, &object{typ: typ + "Edge", fields: map[string]any{"node": n, "cursor": strconv.Itoa(skip + i + 1)}})
	}
	last := skip + len(nodes)
	return &object{typ: typ + "Connection", fields: map[string]any{
		"edges": edges,
		"pageInfo": &object{typ: "PageInfo", fields: map[string]any{
			"startCursor": strconv.Itoa(min(skip+1, last)), "endCursor": strconv.Itoa(last), "hasNextPage": last < total, "hasPreviousPage": skip > 0, "globalCount": total,
		}},
	}}
}

func number(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case int64:
		return int(v), true
	}
	return 0, false
}
