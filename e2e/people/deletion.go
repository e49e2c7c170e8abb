package people

import (
	"slices"

	"maunium.net/go/mautrix/id"
)

// Deletes redacts something one has said, and returns the redaction. The town remembers
// that nothing is left of it but a notice.
func (p *Person) Deletes(said Said) id.EventID {
	p.town.stage.Helper()
	redaction := p.TakesBack(said.Room, said.Event)
	p.town.mu.Lock()
	defer p.town.mu.Unlock()
	i := slices.IndexFunc(p.town.said, func(s Said) bool { return s.Event == said.Event })
	one := &p.town.said[i]
	one.Text, one.Former, one.File, one.More = "[deleted by "+p.ID.String(), nil, nil, nil
	return redaction
}
