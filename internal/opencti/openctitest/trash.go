package openctitest

import "fmt"

// trashed is a deleted object with its relations. Its files stay in storage
// until it is purged.
type trashed struct {
	id       string
	main     *entity
	entities []*entity
}

func (e *entity) representative() string {
	for _, k := range []string{"name", "content", "title", "url", "definition", "value"} {
		if s := e.text(k); s != "" {
			return s
		}
	}
	return e.relation
}

// remove moves an object and its relations to the trash.
func (p *Platform) remove(a *account, id string) error {
	e := p.graph.visible(a, id)
	if e == nil {
		if p.gen == Gen6 {
			return alreadyDeleted(map[string]any{"id": id})
		}
		return internal("Cannot read properties of undefined (reading 'entity_type')")
	}
	t := &trashed{id: p.newID(), main: e, entities: append([]*entity{e}, p.graph.links(e)...)}
	for _, x := range t.entities {
		delete(p.graph.entities, x.internal)
	}
	p.graph.trash = append(p.graph.trash, t)
	p.record(a, e, "delete", "", nil, nil)
	return nil
}

// purge empties one entry of the trash, files included. The history stays.
func (p *Platform) purge(id string) error {
	for i, t := range p.graph.trash {
		if t.id != id {
			continue
		}
		for _, f := range append([]*storedFile(nil), p.graph.owned[t.main.internal]...) {
			p.graph.drop(f.id)
		}
		p.graph.trash = append(p.graph.trash[:i], p.graph.trash[i+1:]...)
		return nil
	}
	return functional(fmt.Sprintf("Delete operation %s cannot be found", id), nil)
}
