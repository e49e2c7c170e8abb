package openctitest

import (
	"net/http"
	"slices"
	"sync"
)

// Match chooses items; nil means all.
type Match func(Item) bool

// Failure is a way in which an HTTP call fails.
type Failure int

const (
	// TooManyRequests answers 429.
	TooManyRequests Failure = iota + 1
	// ServerError answers 500 with a body that is not GraphQL.
	ServerError
	// BadGateway answers 502 with a page of HTML, as a proxy does.
	BadGateway
	// HTMLPage answers 200 with a page of HTML, as a login portal does.
	HTMLPage
	// Silence answers nothing until the client gives up or the platform closes.
	Silence
	// Disconnect closes the connection without an answer.
	Disconnect
)

// Faults make the platform misbehave, each a counted number of times, without
// clocks or chance. A fault with times 0 lasts until it is lifted.
type Faults struct {
	p       *Platform
	mu      sync.Mutex // guards all that follows
	calls   []*Fault
	items   []*Fault
	window  int // messages that the worker takes at once and imports backwards
	paused  bool
	stops   chan chan struct{} // of the worker that runs; nil while none does
	ended   chan struct{}      // closed when that worker has ended
	closing chan struct{}
	closed  bool
}

// Fault is one misbehaviour that has been asked for.
type Fault struct {
	f     *Faults
	names []string // of calls
	how   Failure
	after bool // the call is carried out, its answer is lost
	match Match
	kind  faultKind
	error ItemError
	left  int // -1 for ever
	hits  int
	held  [][]byte // envelopes; Platform.mu guards it
}

type faultKind int

const (
	refuseItem faultKind = iota + 1
	dropItem
	loseItem
	repeatItem
	reportTwice
	holdItem
)

// ItemError is an error that a work shows for an item.
type ItemError struct {
	Name, Message string // of the Python dict
	// Text replaces the dict where it is set.
	Text string
}

func (e ItemError) text() string {
	if e.Text != "" {
		return e.Text
	}
	return pythonDict(&platformError{code: e.Name, message: e.Message})
}

func newFaults(p *Platform) *Faults { return &Faults{p: p, closing: make(chan struct{})} }

func (f *Faults) add(to *[]*Fault, x *Fault, times int) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	x.f, x.left = f, times
	if times == 0 {
		x.left = -1
	}
	*to = append(*to, x)
	return x
}

// FailCalls lets the next calls fail before they are carried out. A call is
// named by its operation name, its top-level field ("workAdd") or the field of
// an edit ("workEdit.addExpectations"); "" is every call.
func (f *Faults) FailCalls(name string, times int, how Failure) *Fault {
	return f.add(&f.calls, &Fault{names: []string{name}, how: how}, times)
}

// LoseAnswers carries the next calls out and fails instead of answering.
func (f *Faults) LoseAnswers(name string, times int, how Failure) *Fault {
	return f.add(&f.calls, &Fault{names: []string{name}, how: how, after: true}, times)
}

// Refuse reports an error for items instead of importing them.
func (f *Faults) Refuse(m Match, times int, e ItemError) *Fault {
	return f.add(&f.items, &Fault{match: m, kind: refuseItem, error: e}, times)
}

// Drop acknowledges items to the broker and forgets them: neither imported nor
// reported.
func (f *Faults) Drop(m Match, times int) *Fault {
	return f.add(&f.items, &Fault{match: m, kind: dropItem}, times)
}

// Lose reports items as imported and forgets them.
func (f *Faults) Lose(m Match, times int) *Fault {
	return f.add(&f.items, &Fault{match: m, kind: loseItem}, times)
}

// Repeat imports and reports items twice, as after a redelivery.
func (f *Faults) Repeat(m Match, times int) *Fault {
	return f.add(&f.items, &Fault{match: m, kind: repeatItem}, times)
}

// ReportTwice imports items once and counts them twice.
func (f *Faults) ReportTwice(m Match, times int) *Fault {
	return f.add(&f.items, &Fault{match: m, kind: reportTwice}, times)
}

// Hold keeps items back until Release.
func (f *Faults) Hold(m Match, times int) *Fault {
	return f.add(&f.items, &Fault{match: m, kind: holdItem}, times)
}

// Reorder lets the worker take up to n waiting messages at once and import them
// backwards; 0 ends it.
func (f *Faults) Reorder(n int) {
	f.mu.Lock()
	f.window = n
	f.mu.Unlock()
	f.settle()
}

// PauseWorker stops the worker before its next message. What it was handed waits
// in the queue again when the call returns; no item's predicate may call it.
func (f *Faults) PauseWorker() { f.pause(true) }

// ResumeWorker lets it go on.
func (f *Faults) ResumeWorker() { f.pause(false) }

func (f *Faults) pause(on bool) {
	f.mu.Lock()
	f.paused = on
	f.mu.Unlock()
	if on {
		f.settle()
	}
}

// attend announces a worker, which listens on stops until it calls end.
func (f *Faults) attend() (stops chan chan struct{}, end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stops = make(chan chan struct{})
	ended := make(chan struct{})
	f.stops, f.ended = stops, ended
	return stops, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.stops = nil
		close(ended)
	}
}

// settle waits until the worker, if one runs, has handed back what it holds.
func (f *Faults) settle() {
	f.mu.Lock()
	stops, ended := f.stops, f.ended
	f.mu.Unlock()
	if stops == nil {
		return
	}
	done := make(chan struct{})
	select {
	case stops <- done:
		<-done
	case <-ended:
	}
}

// idle reports that no fault concerns items.
func (f *Faults) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.items) == 0
}

func (f *Faults) worker() (window int, paused bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.window, f.paused
}

// Hits is how often the fault has struck.
func (x *Fault) Hits() int {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	return x.hits
}

// Lift ends the fault. What it holds back stays held.
func (x *Fault) Lift() {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	x.left = 0
}

// Release ends the fault and imports what it has held back, in the order of
// arrival. It returns the number of messages.
func (x *Fault) Release() int {
	x.Lift()
	p := x.f.p
	p.mu.Lock()
	defer p.mu.Unlock()
	held := x.held
	x.held = nil
	for _, body := range held {
		if err := p.ingest(body, false); err != nil {
			p.violate("envelope", "held message: %v", err)
		}
	}
	p.touch()
	return len(held)
}

// Held is how many messages the fault holds back.
func (x *Fault) Held() int {
	x.f.p.mu.Lock()
	defer x.f.p.mu.Unlock()
	return len(x.held)
}

// held is how many messages all faults hold back; p.mu is held.
func (f *Faults) held() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, x := range f.items {
		n += len(x.held)
	}
	return n
}

// purge forgets what faults hold back: the queue that it waits in is emptied. p.mu is
// held.
func (f *Faults) purge() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.items {
		x.held = nil
	}
}

// strike takes one of the fault's times; f.mu is held.
func (x *Fault) strike() bool {
	if x.left == 0 {
		return false
	}
	if x.left > 0 {
		x.left--
	}
	x.hits++
	return true
}

// due finds what is to happen to a call: instead of it, or instead of its
// answer.
func (f *Faults) due(names []string) (before, after *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.calls {
		if x.names[0] != "" && !slices.Contains(names, x.names[0]) || !x.strike() {
			continue
		}
		if x.after {
			return nil, x
		}
		return x, nil
	}
	return nil, nil
}

// action is what faults do to one item.
type action struct {
	refuse        *ItemError
	drop, lose    bool
	repeat, twice int
	hold          *Fault
}

func (f *Faults) item(it Item) action {
	f.mu.Lock()
	defer f.mu.Unlock()
	var a action
	for _, x := range f.items {
		if x.match != nil && !x.match(it) || !x.strike() {
			continue
		}
		switch x.kind {
		case refuseItem:
			a.refuse = &x.error
		case dropItem:
			a.drop = true
		case loseItem:
			a.lose = true
		case repeatItem:
			a.repeat++
		case reportTwice:
			a.twice++
		case holdItem:
			a.hold = x
		}
	}
	return a
}

// serve fails one HTTP call.
func (x *Fault) serve(w http.ResponseWriter, r *http.Request) {
	page := "<html><head><title>error</title></head><body>not the answer</body></html>"
	switch x.how {
	case TooManyRequests:
		w.Header().Set("Retry-After", "1")
		send(w, http.StatusTooManyRequests, map[string]any{"message": "Too many requests, please try again later."})
	case ServerError:
		send(w, http.StatusInternalServerError, map[string]any{"status": "error", "error": "upstream failure"})
	case BadGateway, HTMLPage:
		w.Header().Set("Content-Type", "text/html")
		status := http.StatusOK
		if x.how == BadGateway {
			status = http.StatusBadGateway
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(page))
	case Silence:
		select {
		case <-r.Context().Done():
		case <-x.f.closing:
		}
		panic(http.ErrAbortHandler)
	case Disconnect:
		panic(http.ErrAbortHandler)
	}
}

// release lets silent calls end, for Close.
func (f *Faults) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.closing)
	}
}
