package people

import (
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// SaysInTheClear says something without encryption, whatever the room wants of its members.
func (p *Person) SaysInTheClear(room id.RoomID, text string) Said {
	p.town.stage.Helper()
	content := &event.MessageEventContent{MsgType: event.MsgText, Body: text}
	return p.send(room, event.EventMessage, content, Said{Type: event.EventMessage.Type, MsgType: string(content.MsgType), Text: text})
}

// ShowsAsOwn sends the ciphertext of somebody's message once more, as whoever is in the room
// can who knows nothing of its key.
func (p *Person) ShowsAsOwn(one Said) Said {
	p.town.stage.Helper()
	evt, err := p.client.GetEvent(p.ctx(), one.Room, one.Event)
	if err != nil {
		p.fail("fetch %s: %v", one.Event, err)
		return Said{}
	}
	return p.send(one.Room, event.EventEncrypted, evt.Content.VeryRaw,
		Said{Type: one.Type, MsgType: one.MsgType, Text: one.Text, Encrypted: true})
}
