package people

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// letter is an event that a client has read.
type letter struct {
	Event     id.EventID     `json:"id"`
	Room      id.RoomID      `json:"room"`
	Sender    id.UserID      `json:"sender"`
	Type      string         `json:"type"`
	Content   map[string]any `json:"content"`
	Encrypted bool           `json:"encrypted"`
}

// Dark is an event that a client cannot decrypt.
type Dark struct {
	Event  id.EventID `json:"id"`
	Room   id.RoomID  `json:"room"`
	Sender id.UserID  `json:"sender"`
	// Code is why not, in the SDK's words, such as MEGOLM_UNKNOWN_INBOUND_SESSION_ID
	// or MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE (its DecryptionFailureCode).
	Code string `json:"code"`
}

// Invites asks somebody into a room, and gives them the keys of what was said there
// before, as Element does where the history is shared (MSC4268). That wants a signed
// device on both sides; without one it is a bare invite.
func (e *Element) Invites(room id.RoomID, who id.UserID) {
	e.town.stage.Helper()
	e.asks("invite", map[string]any{"room": room, "user": who}, nil)
}

// InvitesWithoutHistory asks somebody into a room without the keys of what was said.
func (e *Element) InvitesWithoutHistory(room id.RoomID, who id.UserID) {
	e.town.stage.Helper()
	e.account.Invites(room, who)
}

// Joins enters a room and takes the keys that came with the invite.
func (e *Element) Joins(room id.RoomID) {
	e.town.stage.Helper()
	e.asks("join", map[string]any{"room": room}, nil)
}

// Sees waits until the client knows that somebody has joined a room, so that it
// encrypts for them.
func (e *Element) Sees(room id.RoomID, who id.UserID) {
	e.town.stage.Helper()
	e.asks("sees", map[string]any{"room": room, "user": who}, nil)
}

// ScrollsUp loads older messages of a room, newest first.
func (e *Element) ScrollsUp(room id.RoomID, events int) {
	e.town.stage.Helper()
	e.asks("scroll", map[string]any{"room": room, "events": events}, nil)
}

// Says sends a text.
func (e *Element) Says(room id.RoomID, text string, options ...Option) Said {
	e.town.stage.Helper()
	return e.message(room, &event.MessageEventContent{MsgType: event.MsgText, Body: text}, Said{Text: text}, options)
}

// Sends sends a file, encrypted where the room is.
func (e *Element) Sends(room id.RoomID, file File, caption string, options ...Option) Said {
	e.town.stage.Helper()
	var sealed struct {
		Encrypted bool `json:"encrypted"`
	}
	e.asks("room", map[string]any{"room": room}, &sealed)
	content := file.message(caption)
	said := e.upload(sealed.Encrypted, content, file)
	said.Text = caption
	return e.message(room, content, said, options)
}

// message sends a message as Element does: always with what it mentions (spec v1.7,
// "User and room mentions"), which may be nothing.
func (e *Element) message(room id.RoomID, content *event.MessageEventContent, said Said, options []Option) Said {
	e.town.stage.Helper()
	content.Mentions = &event.Mentions{}
	for _, o := range options {
		o(content, &said)
	}
	said.Type, said.MsgType = event.EventMessage.Type, string(content.MsgType)
	var sealed bool
	said.Event, sealed = e.sends(room, event.EventMessage.Type, content)
	said.Encrypted = sealed
	return e.said(room, said.Event, said)
}

// Edits replaces the text of a message of one's own, and returns the edit's event.
// The town goes on remembering the message as it was said.
func (e *Element) Edits(said Said, text string) id.EventID {
	e.town.stage.Helper()
	fresh := map[string]any{"msgtype": "m.text", "body": text, "m.mentions": map[string]any{}}
	edit, _ := e.sends(said.Room, event.EventMessage.Type, map[string]any{
		"msgtype": "m.text", "body": "* " + text, "m.mentions": map[string]any{}, "m.new_content": fresh,
		"m.relates_to": map[string]any{"rel_type": "m.replace", "event_id": said.Event},
	})
	return edit
}

// Reacts puts a reaction under a message, and returns its event.
func (e *Element) Reacts(room id.RoomID, to id.EventID, key string) id.EventID {
	e.town.stage.Helper()
	reaction, _ := e.sends(room, event.EventReaction.Type, map[string]any{
		"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": to, "key": key},
	})
	return reaction
}

// Redacts takes an event back, and returns the redaction's event.
func (e *Element) Redacts(room id.RoomID, what id.EventID) id.EventID {
	e.town.stage.Helper()
	var sent struct {
		Event id.EventID `json:"event"`
	}
	e.asks("redact", map[string]any{"room": room, "event": what}, &sent)
	return sent.Event
}

// SendsRaw sends an event as it is given, encrypted where Element would, and does
// not count it as something said.
func (e *Element) SendsRaw(room id.RoomID, kind string, content map[string]any) id.EventID {
	e.town.stage.Helper()
	sent, _ := e.sends(room, kind, content)
	return sent
}

func (e *Element) sends(room id.RoomID, kind string, content any) (sent id.EventID, encrypted bool) {
	e.town.stage.Helper()
	var got struct {
		Event     id.EventID `json:"event"`
		Encrypted bool       `json:"encrypted"`
	}
	e.asks("send", map[string]any{"room": room, "type": kind, "content": content}, &got)
	return got.Event, got.Encrypted
}

// Hears waits until the client has received, and where need be decrypted, an event,
// and returns its body.
func (e *Element) Hears(what id.EventID) string {
	e.town.stage.Helper()
	body, _ := e.hears(what).Content["body"].(string)
	return body
}

func (e *Element) hears(what id.EventID) letter {
	e.town.stage.Helper()
	var l letter
	if err := e.await(func() (ok bool) { l, ok = e.heard[what]; return ok }); err != nil {
		dark, _ := json.Marshal(e.Dark())
		e.stops("hear %s: %v; dark are %s", what, err, dark)
	}
	return l
}

// CannotRead waits until the client has received an event that it cannot decrypt,
// and returns the code of why not. A key that comes later makes it readable.
func (e *Element) CannotRead(what id.EventID) string {
	e.town.stage.Helper()
	var d Dark
	if err := e.await(func() (ok bool) { d, ok = e.dark[what]; return ok }); err != nil {
		e.stops("meet %s, undecrypted: %v", what, err)
	}
	return d.Code
}

// Dark are the events that the client has received and cannot decrypt, by room and
// event.
func (e *Element) Dark() []Dark {
	e.news.mu.Lock()
	defer e.news.mu.Unlock()
	return slices.SortedFunc(maps.Values(e.dark), func(a, b Dark) int {
		return cmp.Or(cmp.Compare(a.Room, b.Room), cmp.Compare(a.Event, b.Event))
	})
}
