package people

import (
	"encoding/json"
	"errors"

	"maunium.net/go/mautrix"
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

// Hides says something whose relation to other messages stands inside the ciphertext
// only, beside the one that everybody sees, if any.
func (p *Person) Hides(room id.RoomID, inside, outside map[string]any, said Said) Said {
	p.town.stage.Helper()
	content := map[string]any{
		"msgtype": "m.text", "body": said.Text, "m.relates_to": inside,
		"m.new_content": map[string]any{"msgtype": "m.text", "body": said.Text},
	}
	sealed, err := p.encrypt(room, event.EventMessage, content)
	if err != nil {
		p.fail("encrypt: %v", err)
		return Said{}
	}
	sealed.RelatesTo = nil
	raw, err := json.Marshal(sealed)
	if err != nil {
		p.fail("write a ciphertext: %v", err)
	}
	var shown map[string]any
	if err := json.Unmarshal(raw, &shown); err != nil {
		p.fail("write a ciphertext: %v", err)
	}
	if outside != nil {
		shown["m.relates_to"] = outside
	}
	said.Type, said.MsgType, said.Encrypted = event.EventMessage.Type, string(event.MsgText), true
	return p.send(room, event.EventEncrypted, shown, said)
}

// TriesToTakeBack redacts what one may not redact, in each way that a client has. The
// homeserver may refuse it.
func (p *Person) TriesToTakeBack(one Said) {
	p.town.stage.Helper()
	_, err := p.client.RedactEvent(p.ctx(), one.Room, one.Event)
	if err != nil && !errors.Is(err, mautrix.MForbidden) {
		p.fail("redact %s: %v", one.Event, err)
	}
	_, err = p.client.SendMessageEvent(p.ctx(), one.Room, event.EventRedaction, map[string]any{"redacts": one.Event})
	if err != nil && !errors.As(err, new(mautrix.HTTPError)) {
		p.fail("redact %s: %v", one.Event, err)
	}
}

// SetsRaw sends a state event of any type as it is given.
func (p *Person) SetsRaw(room id.RoomID, kind string, content map[string]any) {
	p.town.stage.Helper()
	if _, err := p.client.SendStateEvent(p.ctx(), room, event.Type{Type: kind, Class: event.StateEventType}, "", content); err != nil {
		p.fail("set %s: %v", kind, err)
	}
}
