package people

import (
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Option shapes a message.
type Option func(*event.MessageEventContent, *Said)

// ReplyTo makes a message a reply.
func ReplyTo(to id.EventID) Option {
	return func(c *event.MessageEventContent, s *Said) {
		c.RelatesTo = new(event.RelatesTo).SetReplyTo(to)
		s.ReplyTo = to
	}
}

// InThread puts a message into the thread that starts at root. Its fall-back
// reply, for clients without threads, points at the newest message of the thread.
func InThread(root, newest id.EventID) Option {
	return func(c *event.MessageEventContent, s *Said) {
		c.RelatesTo = new(event.RelatesTo).SetThread(root, newest)
		s.Thread = root
	}
}

// Formatted adds an HTML body.
func Formatted(html string) Option {
	return func(c *event.MessageEventContent, _ *Said) {
		c.Format, c.FormattedBody = event.FormatHTML, html
	}
}

// Says sends a text.
func (p *Person) Says(room id.RoomID, text string, options ...Option) Said {
	p.town.stage.Helper()
	return p.message(room, &event.MessageEventContent{MsgType: event.MsgText, Body: text}, Said{Text: text}, options)
}

// Notes sends a notice.
func (p *Person) Notes(room id.RoomID, text string, options ...Option) Said {
	p.town.stage.Helper()
	return p.message(room, &event.MessageEventContent{MsgType: event.MsgNotice, Body: text}, Said{Text: text}, options)
}

// Emotes sends an emote, which clients show after the sender's name.
func (p *Person) Emotes(room id.RoomID, text string, options ...Option) Said {
	p.town.stage.Helper()
	return p.message(room, &event.MessageEventContent{MsgType: event.MsgEmote, Body: text}, Said{Text: text}, options)
}

// Locates sends a place.
func (p *Person) Locates(room id.RoomID, text, geo string, options ...Option) Said {
	p.town.stage.Helper()
	return p.message(room, &event.MessageEventContent{MsgType: event.MsgLocation, Body: text, GeoURI: geo}, Said{Text: text}, options)
}

// SendsRaw sends an event as it is given, so that it need not make sense, and
// does not count it as something said.
func (p *Person) SendsRaw(room id.RoomID, kind string, content map[string]any) id.EventID {
	p.town.stage.Helper()
	resp, err := p.client.SendMessageEvent(p.ctx(), room, event.NewEventType(kind), content)
	if err != nil {
		p.fail("send %s: %v", kind, err)
		return ""
	}
	return resp.EventID
}

func (p *Person) message(room id.RoomID, content *event.MessageEventContent, said Said, options []Option) Said {
	p.town.stage.Helper()
	for _, o := range options {
		o(content, &said)
	}
	said.Type, said.MsgType = event.EventMessage.Type, string(content.MsgType)
	return p.sends(room, event.EventMessage, content, said)
}

// sends encrypts where the room is, sends and remembers.
func (p *Person) sends(room id.RoomID, kind event.Type, content any, said Said) Said {
	p.town.stage.Helper()
	encrypted, err := p.encrypts(room)
	if err != nil {
		p.fail("ask whether %s is encrypted: %v", room, err)
	}
	if !encrypted {
		return p.send(room, kind, content, said)
	}
	sealed, err := p.encrypt(room, kind, content)
	if err != nil {
		p.fail("encrypt: %v", err)
	}
	said.Encrypted = true
	return p.send(room, event.EventEncrypted, sealed, said)
}

// encrypts reports whether the room is encrypted. Whoever did not create it
// learns it from the server once, so that no message slips out in the clear
// because the client has not synced yet.
func (p *Person) encrypts(room id.RoomID) (bool, error) {
	if _, ok := p.members[room]; !ok {
		if err := p.learn(room); err != nil {
			return false, err
		}
		p.members[room] = nil
	}
	return p.client.StateStore.IsEncrypted(p.ctx(), room)
}

// learn stores the room's state, its encryption among it, as the server tells it.
func (p *Person) learn(room id.RoomID) error {
	_, err := p.client.State(p.ctx(), room)
	return err
}

func (p *Person) send(room id.RoomID, kind event.Type, content any, said Said) Said {
	p.town.stage.Helper()
	resp, err := p.client.SendMessageEvent(p.ctx(), room, kind, content)
	if err != nil {
		p.fail("send: %v", err)
		return said
	}
	return p.said(room, resp.EventID, said)
}
