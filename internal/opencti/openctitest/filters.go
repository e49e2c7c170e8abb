package openctitest

import (
	"fmt"
	"slices"
)

// filter turns a FilterGroup into a test on entities. A key that the stand-in
// does not know is the client's violation: on a platform it would select
// something.
func (p *Platform) filter(op string, v any) (func(*entity) bool, error) {
	group, _ := v.(map[string]any)
	list, _ := group["filters"].([]any)
	var tests []func(*entity) bool
	for _, f := range list {
		m, _ := f.(map[string]any)
		keys := anyTexts(m["key"])
		values := anyTexts(m["values"])
		if len(keys) != 1 {
			return nil, unsupported("Invalid filter configuration", map[string]any{"key": keys})
		}
		if len(values) == 0 {
			return nil, unsupported("Invalid filter configuration", map[string]any{
				"key": p.filterKeys(keys[0]), "values": []any{}, "operator": orElse(m["operator"], "eq"), "mode": orElse(m["mode"], "or"),
			})
		}
		t := p.test(keys[0], values)
		if t == nil {
			p.violate(op, "the stand-in does not know the filter key %q", keys[0])
			return nil, unsupported("Incorrect filter keys not existing in any schema definition", map[string]any{"keys": keys})
		}
		tests = append(tests, t)
	}
	groups, _ := group["filterGroups"].([]any)
	for _, g := range groups {
		t, err := p.filter(op, g)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	anyOf := group["mode"] == "or"
	return func(e *entity) bool {
		for _, t := range tests {
			if t(e) == anyOf {
				return anyOf
			}
		}
		return !anyOf || len(tests) == 0
	}, nil
}

// candidates are the entities that a filter can let through: those that its ids
// name where it names any, else all.
func (g *graph) candidates(v any) []*entity {
	group, _ := v.(map[string]any)
	list, _ := group["filters"].([]any)
	if group["mode"] != "or" {
		for _, f := range list {
			m, _ := f.(map[string]any)
			if k := anyTexts(m["key"]); len(k) != 1 || k[0] != "ids" {
				continue
			}
			var out []*entity
			there := map[*entity]bool{}
			for _, id := range anyTexts(m["values"]) {
				for _, e := range g.known(id) {
					if !there[e] {
						there[e] = true
						out = append(out, e)
					}
				}
			}
			return ordered(out)
		}
	}
	return g.all(func(*entity) bool { return true })
}

// filterKeys are the stored keys that a filter key stands for.
func (p *Platform) filterKeys(key string) []string {
	switch {
	case key != "ids":
		return []string{key}
	case p.gen == Gen6:
		return []string{"ids", "internal_id", "standard_id", "x_opencti_stix_ids"}
	}
	return []string{"internal_id", "standard_id", "x_opencti_stix_ids", "i_aliases_ids"}
}

func (p *Platform) test(key string, values []string) func(*entity) bool {
	switch key {
	case "ids":
		// Generation 6 does not look at the ids of aliases here, though
		// stixCoreObject(id) and the importer do: a Channel whose id is that of
		// its alias is there and not found.
		wanted := make(map[string]bool, len(values))
		for _, id := range values {
			wanted[id] = true
		}
		among := func(id string) bool { return wanted[id] }
		return func(e *entity) bool {
			return wanted[e.internal] || wanted[e.standard] || slices.ContainsFunc(e.stixIDs, among) ||
				p.gen == Gen7 && slices.ContainsFunc(e.aliasIDs, among)
		}
	case "id", "internal_id":
		return func(e *entity) bool { return slices.Contains(values, e.internal) }
	case "standard_id":
		// Relations are not found by this key.
		return func(e *entity) bool { return e.kind != relationKind && slices.Contains(values, e.standard) }
	case "entity_type":
		return func(e *entity) bool { return slices.Contains(values, e.entityType()) }
	case "name", "value", "definition", "definition_type", "url", "source_name", "external_id":
		return func(e *entity) bool { return slices.Contains(values, e.text(key)) }
	}
	return nil
}

func anyTexts(v any) []string {
	l, ok := v.([]any)
	if !ok {
		if v == nil {
			return nil
		}
		l = []any{v}
	}
	var out []string
	for _, x := range l {
		out = append(out, fmt.Sprint(x))
	}
	return out
}

func orElse(v, other any) any {
	if v == nil {
		return other
	}
	return v
}
