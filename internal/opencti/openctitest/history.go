package openctitest

import "time"

// Change is one record of the platform's history, which keeps what text was,
// whatever happens to the object afterwards.
type Change struct {
	At     time.Time
	User   string // name
	Object string // internal id
	Event  string // create, update, delete
	Field  string // of an update
	Before any
	After  any // of a creation: the content
}

func (p *Platform) record(a *account, e *entity, event, field string, before, after any) {
	p.graph.history = append(p.graph.history, Change{At: p.now(), User: a.Name, Object: e.internal, Event: event, Field: field, Before: before, After: after})
}

// History returns the records of the object, or of all objects for an empty
// internal id, oldest first.
func (p *Platform) History(internal string) []Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Change
	for _, c := range p.graph.history {
		if internal == "" || c.Object == internal {
			out = append(out, c)
		}
	}
	return out
}
