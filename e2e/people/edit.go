package people

import (
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Rewords edits a text of one's own (m.replace), and returns the edit's event. The town
// remembers what the message says from then on, and what it said before.
func (p *Person) Rewords(said Said, text string) id.EventID {
	p.town.stage.Helper()
	content := &event.MessageEventContent{MsgType: event.MsgText, Body: text}
	content.SetEdit(said.Event)
	encrypted, err := p.encrypts(said.Room)
	if err != nil {
		p.fail("ask whether %s is encrypted: %v", said.Room, err)
	}
	kind, sent := event.EventMessage, any(content)
	if encrypted {
		kind = event.EventEncrypted
		if sent, err = p.encrypt(said.Room, event.EventMessage, content); err != nil {
			p.fail("encrypt: %v", err)
		}
	}
	resp, err := p.client.SendMessageEvent(p.ctx(), said.Room, kind, sent)
	if err != nil {
		p.fail("edit %s: %v", said.Event, err)
		return ""
	}
	p.town.reword(said.Event, text)
	return resp.EventID
}

func (t *Town) reword(e id.EventID, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.said, func(s Said) bool { return s.Event == e })
	t.said[i].Former = append(slices.Clone(t.said[i].Former), t.said[i].Text)
	t.said[i].Text = text
}
