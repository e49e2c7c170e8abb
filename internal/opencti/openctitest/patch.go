package openctitest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// edit is one change of a fieldPatch.
type edit struct {
	key, operation string
	values         []any
}

// patchObservable changes an observable, whatever its hidden confidence is.
func (p *Platform) patchObservable(a *account, id string, edits []edit) (*entity, error) {
	e := p.graph.visible(a, id)
	if e == nil || !e.kind.observable {
		return nil, internal("Cannot read properties of undefined (reading 'payload_bin')")
	}
	return e, p.patch(a, e, edits)
}

// patchDomain changes a domain object of no higher confidence than the user's.
func (p *Platform) patchDomain(a *account, id string, edits []edit) (*entity, error) {
	e := p.graph.visible(a, id)
	if e == nil || e.kind.observable || e.kind == relationKind {
		return nil, functional("Cannot edit the field, Stix-Domain-Object cannot be found.", p.detail("stixObjectId", id))
	}
	if a.MaxConfidence < e.confidence {
		return nil, functional("User effective max confidence level is insufficient to update this element",
			map[string]any{"user_id": a.ID, "element_id": e.internal, "doc_code": "INSUFFICIENT_CONFIDENCE_LEVEL"})
	}
	return e, p.patch(a, e, edits)
}

func (p *Platform) patch(a *account, e *entity, edits []edit) error {
	changed := false
	for _, ed := range edits {
		c, err := p.patchOne(a, e, ed)
		if err != nil {
			return err
		}
		changed = changed || c
	}
	if changed {
		e.updated = p.now()
		p.graph.note(e)
	}
	return nil
}

func (p *Platform) patchOne(a *account, e *entity, ed edit) (bool, error) {
	switch ed.key {
	case "objectLabel":
		return p.patchLabels(a, e, ed)
	case "objectMarking":
		marks, err := p.resolveMarkings(a, texts(ed.values), true)
		if err != nil {
			return false, err
		}
		old := e.markings
		e.markings = combine(ed.operation, old, marks)
		return !slices.Equal(old, e.markings), nil
	case "createdBy":
		to := ""
		if len(ed.values) > 0 {
			by := p.graph.visible(a, fmt.Sprint(ed.values[0]))
			if by == nil {
				return false, missingReference(fmt.Sprint(ed.values[0]))
			}
			to = by.internal
		}
		changed := e.author != to
		e.author = to
		return changed, nil
	}
	if !e.kind.has(ed.key) {
		return false, business("VALIDATION_ERROR", "You cannot update incompatible attribute", 500, map[string]any{"field": ed.key})
	}
	if slices.Contains(e.kind.lists, ed.key) {
		return p.patchList(a, e, ed)
	}
	return p.patchText(a, e, ed)
}

func (p *Platform) patchText(a *account, e *entity, ed edit) (bool, error) {
	var v any
	if len(ed.values) > 0 && ed.values[0] != nil && ed.values[0] != "" {
		v = scalar(ed.values[0])
	}
	if s, ok := v.(string); ok && slices.Contains(e.kind.dates, ed.key) {
		t, ok := parseStamp(s)
		if !ok {
			return false, functional(fmt.Sprintf("Validation against schema failed on attribute [%s]: this date field is not in a valid format", ed.key), nil)
		}
		v = stamp(t)
	}
	old := e.fields[ed.key]
	if old == v {
		return false, nil
	}
	p.record(a, e, "update", ed.key, old, v)
	if v == nil {
		delete(e.fields, ed.key)
	} else {
		e.fields[ed.key] = v
	}
	// The standard id follows its key; the former one no longer resolves.
	if ed.key == "name" || ed.key == "url" {
		in := &input{kind: e.kind, fields: e.fields}
		e.standard = in.standard()
		e.stixIDs = slices.DeleteFunc(e.stixIDs, func(id string) bool { return id == e.standard })
	}
	return true, nil
}

func (p *Platform) patchList(a *account, e *entity, ed edit) (bool, error) {
	old := e.list(ed.key)
	next := combine(ed.operation, old, texts(ed.values))
	if slices.Equal(old, next) {
		return false, nil
	}
	p.record(a, e, "update", ed.key, old, next)
	if ed.key == e.kind.aliases {
		e.setAliases(p.unowned(e.kind, next, e))
	} else {
		e.fields[ed.key] = next
	}
	return true, nil
}

func (p *Platform) patchLabels(a *account, e *entity, ed edit) (bool, error) {
	var vs []string
	for _, s := range texts(ed.values) {
		if v := p.label(a, s); v != "" {
			vs = append(vs, v)
		}
	}
	old := e.labels
	e.labels = combine(ed.operation, old, vs)
	return !slices.Equal(old, e.labels), nil
}

// combine applies an edit operation to a list; replace is the default.
func combine(operation string, old, values []string) []string {
	switch operation {
	case "add":
		return addNew(append([]string(nil), old...), values...)
	case "remove":
		return slices.DeleteFunc(append([]string(nil), old...), func(s string) bool { return slices.Contains(values, s) })
	}
	return addNew(nil, values...)
}

func texts(values []any) []string {
	var out []string
	for _, v := range values {
		if v != nil {
			out = append(out, fmt.Sprint(v))
		}
	}
	return out
}

// scalar is a value in the form in which fields hold it.
func scalar(v any) any {
	if n, ok := v.(json.Number); ok {
		if i, err := n.Int64(); err == nil {
			return int(i)
		}
	}
	if i, ok := v.(int64); ok {
		return int(i)
	}
	if s, ok := v.(string); ok {
		return strings.Clone(s)
	}
	return v
}
