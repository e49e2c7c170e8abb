package openctitest

import "fmt"

// Violation is a misuse of the platform by its client: a document that the
// schema refuses, an envelope that the worker does not know, an order of calls
// that loses data on a real platform.
type Violation struct {
	Where  string // operation, or "envelope", "item", "work"
	Detail string
}

func (v Violation) String() string { return v.Where + ": " + v.Detail }

// Violations returns what the client has done wrong up to now. A harness that
// expects none checks this at the end of each test.
func (p *Platform) Violations() []Violation {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Violation(nil), p.violations...)
}

// TakeViolations returns the violations and forgets them: for a test that
// misuses the platform on purpose.
func (p *Platform) TakeViolations() []Violation {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.violations
	p.violations = nil
	return v
}

// violate records a misuse; p.mu is held.
func (p *Platform) violate(where, format string, args ...any) {
	if len(p.violations) < 1000 {
		p.violations = append(p.violations, Violation{Where: where, Detail: fmt.Sprintf(format, args...)})
	}
}
