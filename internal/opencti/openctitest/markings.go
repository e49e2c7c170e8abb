package openctitest

// builtin are the markings that every platform holds, with the orders that both
// generations were seen to have.
var builtin = []struct {
	id, kind, definition, color string
	order                       int
}{
	{"613f2e26-407d-48c7-9eca-b8e91df99dc9", "TLP", "TLP:CLEAR", "#ffffff", 1},
	{"34098fce-860f-48ae-8e50-ebd3cc5e41da", "TLP", "TLP:GREEN", "#2e7d32", 2},
	{"f88d31f6-486f-44da-b317-01333bde0b82", "TLP", "TLP:AMBER", "#d84315", 3},
	{"826578e1-40ad-459f-bc73-ede076f81f37", "TLP", "TLP:AMBER+STRICT", "#d84315", 4},
	{"5e57c739-391a-4eb3-b6be-7d15ca92d5ed", "TLP", "TLP:RED", "#c62828", 5},
	{"4cdff7eb-acb8-543f-8573-829eb9fe8b34", "PAP", "PAP:CLEAR", "#ffffff", 1},
	{"89484dde-e3d2-547f-a6c6-d14824429eb1", "PAP", "PAP:GREEN", "#2e7d32", 2},
	{"a6f20d4d-0360-59b6-ba22-3b48707828b1", "PAP", "PAP:AMBER", "#d84315", 3},
	{"4e4e3b84-de45-53df-9d9b-b21207699fd8", "PAP", "PAP:RED", "#c62828", 4},
}

func (p *Platform) addMarkings() []*entity {
	out := make([]*entity, 0, len(builtin))
	for _, m := range builtin {
		out = append(out, p.add(&entity{kind: markingKind, standard: "marking-definition--" + m.id, fields: map[string]any{
			"definition": m.definition, "definition_type": m.kind, "x_opencti_color": m.color, "x_opencti_order": m.order,
		}}))
	}
	return out
}

// marking finds a marking by any of its ids.
func (p *Platform) marking(id string) *entity {
	if e := p.graph.find(id); e != nil && e.kind == markingKind {
		return e
	}
	return nil
}

// resolveMarkings turns ids into internal ids. An unknown one is left out in
// silence, which is how a real worker ends up; one that the user may not use is
// a missing reference.
func (p *Platform) resolveMarkings(a *account, ids []string, strict bool) ([]string, error) {
	var out, missing []string
	for _, id := range ids {
		m := p.marking(id)
		switch {
		case m == nil && !strict:
		case m == nil || !a.uses(m.internal):
			missing = append(missing, id)
		default:
			out = addNew(out, m.internal)
		}
	}
	if missing != nil {
		return nil, missingReference(missing...)
	}
	return out, nil
}

// accumulate adds markings to those of an object: of one type the highest order
// stays.
func (p *Platform) accumulate(have, add []string) []string {
	out := append([]string(nil), have...)
	for _, id := range add {
		out = addNew(out, id)
	}
	var kept []string
	for _, id := range out {
		m := p.graph.entities[id]
		if !p.outranked(m, out) {
			kept = append(kept, id)
		}
	}
	return kept
}

func (p *Platform) outranked(m *entity, among []string) bool {
	for _, id := range among {
		o := p.graph.entities[id]
		if o.text("definition_type") == m.text("definition_type") && o.fields["x_opencti_order"].(int) > m.fields["x_opencti_order"].(int) {
			return true
		}
	}
	return false
}

// addNew appends what is not there yet.
func addNew(l []string, more ...string) []string {
	for _, s := range more {
		found := false
		for _, x := range l {
			found = found || x == s
		}
		if !found {
			l = append(l, s)
		}
	}
	return l
}
