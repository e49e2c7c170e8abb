package openctitest

import "errors"

// errHeld says that a fault holds the message back.
var errHeld = errors.New("held")

// Ingest takes one message of the push queue as the worker takes it from the
// broker, for tests without one. Faults apply.
func (p *Platform) Ingest(envelope []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.touch()
	return p.ingest(envelope, true)
}

// ingest imports and reports one message; p.mu is held. Faults that concern
// items apply where faulty is set.
func (p *Platform) ingest(body []byte, faulty bool) error {
	e, err := p.decode(body)
	if err != nil {
		p.violate("envelope", "%v", err)
		return err
	}
	a := p.accountByID(e.applicant)
	if a == nil {
		p.violate("envelope", "applicant_id %q is no user", e.applicant)
		a = p.workerAccount()
	}
	if w := p.works[e.work]; w != nil {
		if c := p.connectors[w.connector]; c != nil && c.user != e.applicant {
			p.violate("envelope", "applicant_id %q is not the connector's user %q", e.applicant, c.user)
		}
		if w.expected == nil && (!e.own || len(e.items) == 1) {
			p.violate("work", "an item arrived before it was expected")
		}
	}
	for i, item := range e.items {
		act := action{}
		if faulty && !p.faults.idle() {
			act = p.faults.item(newItem(item, e.work))
		}
		if act.hold != nil {
			act.hold.held = append(act.hold.held, body)
			return errHeld
		}
		if i == 0 && len(e.items) > 1 && e.work != "" {
			// The worker splits, and expects what it has split.
			if err := p.addExpectations(e.work, len(e.items)); err != nil {
				return err
			}
		}
		for range 1 + act.repeat {
			if !act.drop {
				p.workWith(a, e.work, item, act)
			}
		}
	}
	return nil
}

// workWith imports and reports one item. On generation 7 the items of a dead
// work are skipped in silence.
func (p *Platform) workWith(a *account, work string, item *dict, act action) {
	if !p.accepts(work) {
		p.skipped++
		return
	}
	var message, source *string
	switch {
	case act.refuse != nil:
		m, s := act.refuse.text(), p.source(item)
		message, source = &m, &s
	case act.lose:
	case known[item.text("type")] == nil:
		m := "Incompatible element in bundle"
		s := "Element " + item.text("id") + " is incompatible and couldn't be processed"
		message, source = &m, &s
	default:
		if f := p.importItem(a, item); f != nil {
			m, s := f.workText(), p.source(item)
			message, source = &m, &s
		}
		p.imported++
	}
	if work == "" {
		return
	}
	for range 1 + act.twice {
		p.report(work, message, source)
	}
}

// workerAccount is the user as whom items without an applicant are imported.
func (p *Platform) workerAccount() *account {
	for _, a := range p.accounts {
		if a.all {
			return a
		}
	}
	return p.accounts[0]
}

// Imported is how many items were imported, and how many were skipped because
// their work was dead.
func (p *Platform) Imported() (imported, skipped int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.imported, p.skipped
}
