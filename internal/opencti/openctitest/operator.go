package openctitest

// What an operator does on the platform's pages, and what its own managers do.

// ResetState resets the connector's state: the state is empty, the queues are
// purged, open works stay as they are.
func (p *Platform) ResetState(id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.touch()
	_, err := p.resetState(id)
	return err
}

// DeleteConnector deletes the connector with its queues and works. It is
// refused to register again for a while.
func (p *Platform) DeleteConnector(id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.touch()
	return p.deleteConnector(id)
}

// PurgeQueue empties the connector's queues.
func (p *Platform) PurgeQueue(id string) error { return p.broker.purge(id) }

// CloseWork closes a work by force.
func (p *Platform) CloseWork(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.touch()
	if w := p.works[id]; w != nil {
		p.forceClose(w)
	}
}

// CloseOlderWorks is one round of the connector manager: it closes by force the
// works that are older than the last one that was reported on, and returns
// their number.
func (p *Platform) CloseOlderWorks() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.touch()
	return p.closeOlder()
}

// DeleteWork deletes a work.
func (p *Platform) DeleteWork(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.touch()
	delete(p.works, id)
}

// Connector is a registration as a test sees it.
type Connector struct {
	ID, Name, Type, User string
	Scope                []string
	State                string
	// Buffering is what the last ping said.
	Buffering bool
}

// Connectors are the registered connectors.
func (p *Platform) Connectors() []Connector {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Connector
	for _, c := range p.connectors {
		if c.deleted != nil {
			continue
		}
		v := Connector{ID: c.id, Name: c.name, Type: c.kind, User: c.user, Scope: c.scope}
		if c.state != nil {
			v.State = *c.state
		}
		v.Buffering, _ = c.info["buffering"].(bool)
		out = append(out, v)
	}
	return out
}

// Patch changes fields of an object in the name of a user, as an analyst does
// on its page; an empty list of values clears the field.
func (p *Platform) Patch(user, id, key string, values ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.touch()
	a := p.accountByName(user)
	vs := make([]any, len(values))
	for i, v := range values {
		vs[i] = v
	}
	patch := p.patchDomain
	if e := p.graph.find(id); e != nil && e.kind.observable {
		patch = p.patchObservable
	}
	_, err := patch(a, id, []edit{{key: key, operation: "replace", values: vs}})
	return err
}

// Import imports objects, given as JSON, in the name of a user, as another
// connector of the platform does. Nothing is checked beyond what the platform
// checks.
func (p *Platform) Import(user string, objects ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.touch()
	a := p.accountByName(user)
	for _, text := range objects {
		v, err := parseOrdered([]byte(text))
		if err != nil {
			return err
		}
		if f := p.importItem(a, v.(*dict)); f != nil {
			return f
		}
	}
	return nil
}

// Delete moves an object to the trash in the name of a user.
func (p *Platform) Delete(user, id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.touch()
	return p.remove(p.accountByName(user), id)
}

// SetState has the platform keep a state for the connector, as after a ping of another
// process, or after a backup of the platform's database was restored.
func (p *Platform) SetState(id, state string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.touch()
	c := p.connector(id)
	if c == nil {
		return functional("No connector found with the specified ID", map[string]any{"id": id})
	}
	c.state = &state
	return nil
}
