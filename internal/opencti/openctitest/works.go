package openctitest

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// work is one batch of a connector. The platform keeps two sets of numbers: a
// document, and counters that live while items are awaited; most oddities of
// real works come from the two of them.
type work struct {
	id, connector, name string
	order               int
	user                string
	status              string // progress, complete
	timestamp           time.Time
	received            time.Time
	processed           *time.Time
	completed           *time.Time
	messages, errors    []note

	expected  *int      // of the document
	final     *int      // processed, stored at completion
	counters  *counters // nil when none are alive
	alive     bool      // generation 7: items are imported
	lag       bool      // complete, but one more poll says progress
	hidden    int       // errors that the lagging poll does not show
	reported  bool
	expecting int // calls of addExpectations
}

type counters struct{ expected, processed int }

type note struct {
	at      time.Time
	message string
	source  *string
}

func (p *Platform) workAdd(a *account, connectorID, name string) (*work, error) {
	if p.connector(connectorID) == nil {
		return nil, internal("Cannot read properties of null (reading 'id')")
	}
	now := p.now()
	id := fmt.Sprintf("work_%s_%s", connectorID, stamp(now))
	// The platform's ids have the resolution of a millisecond; two works of one
	// millisecond would be one.
	for later := time.Millisecond; p.works[id] != nil; later += time.Millisecond {
		id = fmt.Sprintf("work_%s_%s", connectorID, stamp(now.Add(later)))
	}
	p.workOrder++
	w := &work{id: id, connector: connectorID, name: name, order: p.workOrder, user: a.ID, status: "progress", timestamp: now, received: now, alive: true}
	p.works[id] = w
	return w, nil
}

func (p *Platform) addExpectations(id string, n int) error {
	w := p.works[id]
	if w == nil {
		if p.gen == Gen6 {
			return internal("Cannot read properties of undefined (reading '_index')")
		}
		return nil
	}
	if w.expecting++; w.expecting > 1 && w.status == "progress" {
		p.violate("work", "expectations were added %d times to one open work", w.expecting)
	}
	if w.expected == nil {
		w.expected = new(int)
	}
	*w.expected += n
	if w.counters == nil {
		w.counters = &counters{}
	}
	w.counters.expected += n
	return nil
}

// report counts one item as worked off, with its error if it has one.
func (p *Platform) report(id string, message, source *string) {
	w := p.works[id]
	if w == nil {
		return
	}
	w.reported = true
	now := p.now()
	if w.counters == nil {
		w.counters = &counters{}
	}
	w.counters.processed++
	if message != nil && len(w.errors) < 100 {
		w.errors = append(w.errors, note{at: now, message: *message, source: source})
		w.hidden++
	}
	if w.counters.processed == w.counters.expected {
		p.complete(w, now, !p.cfg.NoLag)
	}
	if !w.lag {
		w.hidden = 0
	}
}

func (p *Platform) complete(w *work, now time.Time, lag bool) {
	if w.counters != nil {
		n := w.counters.processed
		w.final = &n
	}
	w.lag = lag && w.status != "complete"
	w.status, w.completed, w.counters = "complete", &now, nil
	w.alive = w.final == nil
}

func (p *Platform) toProcessed(id, message string, inError bool) error {
	w := p.works[id]
	if w == nil {
		if p.gen == Gen6 {
			return internal("Cannot read properties of undefined (reading 'import_expected_number')")
		}
		return nil
	}
	now := p.now()
	w.processed = &now
	n := note{at: now, message: message}
	if inError {
		w.errors = append(w.errors, n)
	} else {
		w.messages = append(w.messages, n)
	}
	c := w.counters
	if c != nil && c.expected != 0 && c.processed != c.expected {
		return nil
	}
	if w.final == nil && w.expected == nil {
		// Closed empty: generation 7 says 1/1, generation 6 says 0.
		n := 0
		if p.gen == Gen7 {
			n = 1
			one := 1
			w.final = &one
		}
		w.expected = &n
		w.status, w.completed, w.counters = "complete", &now, nil
		return nil
	}
	alive := w.alive
	p.complete(w, now, false)
	w.alive = alive && w.alive
	return nil
}

// closeOlder is the connector manager's round: of each connector, the works
// older than the last one that a worker has reported on are closed by force.
func (p *Platform) closeOlder() int {
	closed := 0
	for id := range p.connectors {
		last := 0
		for _, w := range p.works {
			if w.connector == id && w.reported {
				last = max(last, w.order)
			}
		}
		for _, w := range p.works {
			if w.connector == id && w.order < last && w.status == "progress" {
				p.forceClose(w)
				closed++
			}
		}
	}
	return closed
}

func (p *Platform) forceClose(w *work) {
	now := p.now()
	if w.counters != nil && w.counters.processed > 0 {
		n := w.counters.processed
		w.final = &n
	}
	w.status, w.completed, w.counters, w.alive, w.lag, w.hidden = "complete", &now, nil, false, false, 0
}

// accepts says whether an item of the work is imported. Generation 6 imports
// whatever comes.
func (p *Platform) accepts(id string) bool {
	if id == "" || p.gen == Gen6 {
		return true
	}
	w := p.works[id]
	return w != nil && w.alive
}

// workView is a work as a poll shows it. One that has just been completed may
// say progress once more, with the last error not there yet.
func (p *Platform) workView(w *work) *object {
	status, completed, errs := w.status, w.completed, w.errors
	var done any
	switch {
	case w.counters != nil && w.status == "progress":
		if w.counters.processed > 0 {
			done = w.counters.processed
		}
	case w.final != nil:
		done = *w.final
	}
	if w.lag {
		status, completed = "progress", nil
		errs = errs[:len(errs)-min(w.hidden, len(errs))]
		w.lag, w.hidden = false, 0
	}
	var expected any
	if w.expected != nil {
		expected = *w.expected
	}
	return &object{typ: "Work", fields: map[string]any{
		"id": w.id, "name": w.name, "status": status, "timestamp": stamp(w.timestamp), "received_time": stamp(w.received),
		"processed_time": maybe(w.processed), "completed_time": maybe(completed), "completed_number": done,
		"tracking": &object{typ: "WorkTracking", fields: map[string]any{"import_expected_number": expected, "import_processed_number": done}},
		"messages": notes(w.messages), "errors": notes(errs),
	}}
}

func maybe(t *time.Time) any {
	if t == nil {
		return nil
	}
	return stamp(*t)
}

func notes(l []note) []*object {
	out := make([]*object, 0, len(l))
	for _, n := range l {
		f := map[string]any{"timestamp": stamp(n.at), "message": n.message, "source": nil, "sequence": nil}
		if n.source != nil {
			f["source"] = *n.source
		}
		out = append(out, &object{typ: "WorkMessage", fields: f})
	}
	return out
}

// Work is a work as a test sees it.
type Work struct {
	ID, Connector, Name string
	Status              string // "progress" or "complete"
	Expected, Processed int
	Errors              []string
}

// Works are the works that have not been deleted, oldest first.
func (p *Platform) Works() []Work {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.SortedFunc(maps.Values(p.works), func(a, b *work) int { return a.order - b.order })
	out := slices.Grow([]Work(nil), len(all))
	for _, w := range all {
		v := Work{ID: w.id, Connector: w.connector, Name: w.name, Status: w.status}
		if w.expected != nil {
			v.Expected = *w.expected
		}
		switch {
		case w.counters != nil:
			v.Processed = w.counters.processed
		case w.final != nil:
			v.Processed = *w.final
		}
		for _, e := range w.errors {
			v.Errors = append(v.Errors, e.message)
		}
		out = append(out, v)
	}
	return out
}
