package people

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// old is how clients call what polls are made of until they use the stable names.
const old = "org.matrix.msc3381.poll."

// Asks starts a poll with one answer a person, as Element sends it. Answers are voted for
// by their text.
func (p *Person) Asks(room id.RoomID, question string, answers ...string) Said {
	p.town.stage.Helper()
	lines := append(make([]string, 0, 1+len(answers)), question)
	list := make([]any, len(answers))
	for i, a := range answers {
		lines = append(lines, fmt.Sprintf("%d. %s", i+1, a))
		list[i] = map[string]any{"id": a, "org.matrix.msc1767.text": a}
	}
	return p.SendsKind(room, old+"start", map[string]any{
		"org.matrix.msc1767.text": strings.Join(lines, "\n"),
		old + "start": map[string]any{
			"kind": old + "disclosed", "max_selections": 1, "answers": list,
			"question": map[string]any{"org.matrix.msc1767.text": question, "body": question, "msgtype": "m.text"},
		},
	}, question)
}

// Votes answers a poll.
func (p *Person) Votes(poll Said, answers ...string) id.EventID {
	p.town.stage.Helper()
	return p.Adds(poll.Room, old+"response", map[string]any{
		old + "response": map[string]any{"answers": answers}, "m.relates_to": map[string]any{"rel_type": "m.reference", "event_id": poll.Event},
	})
}

// Closes ends a poll, whoever may, and says a result of its own.
func (p *Person) Closes(poll Said) id.EventID {
	p.town.stage.Helper()
	return p.Adds(poll.Room, old+"end", map[string]any{
		old + "end": map[string]any{}, "org.matrix.msc1767.text": "The poll has ended", "m.poll.results": map[string]any{"nonsense": 1000},
		"m.relates_to": map[string]any{"rel_type": "m.reference", "event_id": poll.Event},
	})
}

// Reacts puts a sign under a message. Reactions are never encrypted.
func (p *Person) Reacts(to Said, key string) id.EventID {
	p.town.stage.Helper()
	return p.SendsRaw(to.Room, "m.reaction", map[string]any{
		"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": to.Event, "key": key},
	})
}

// TakesBack redacts an event.
func (p *Person) TakesBack(room id.RoomID, what id.EventID) id.EventID {
	p.town.stage.Helper()
	resp, err := p.client.RedactEvent(p.ctx(), room, what)
	if err != nil {
		p.fail("redact %s: %v", what, err)
		return ""
	}
	return resp.EventID
}

// SendsKind sends an event of any type that says a text, encrypted where the room is.
func (p *Person) SendsKind(room id.RoomID, kind string, content map[string]any, text string) Said {
	p.town.stage.Helper()
	msgType, _ := content["msgtype"].(string)
	return p.sends(room, event.NewEventType(kind), content, Said{Text: text, Type: kind, MsgType: msgType})
}

// Speaks sends a voice message.
func (p *Person) Speaks(room id.RoomID, file File, seconds int) Said {
	p.town.stage.Helper()
	content := file.message("")
	said := p.uploads(room, content, file)
	said.Text, said.Type, said.MsgType = fmt.Sprintf("[voice message %d s]", seconds), "m.room.message", "m.audio"
	return p.sends(room, event.EventMessage, p.with(content, map[string]any{
		"org.matrix.msc3245.voice": map[string]any{}, "org.matrix.msc1767.audio": map[string]any{"duration": seconds * 1000, "waveform": []int{1, 2, 3}},
	}), said)
}

// Shows sends a gallery.
func (p *Person) Shows(room id.RoomID, caption string, files ...File) Said {
	p.town.stage.Helper()
	said := Said{Text: caption, Type: "m.room.message", MsgType: "dm.filament.gallery"}
	items := make([]any, len(files))
	for i, file := range files {
		content := file.message("")
		sent := p.uploads(room, content, file)
		items[i] = p.with(content, map[string]any{"itemtype": content.MsgType})
		said.More = append(said.More, *sent.File)
	}
	return p.sends(room, event.EventMessage, map[string]any{"msgtype": said.MsgType, "body": caption, "itemtypes": items}, said)
}

// with adds fields to a message.
func (p *Person) with(content *event.MessageEventContent, more map[string]any) map[string]any {
	p.town.stage.Helper()
	raw, err := json.Marshal(content)
	if err != nil {
		p.fail("write a message: %v", err)
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		p.fail("write a message: %v", err)
	}
	maps.Copy(all, more)
	return all
}

// Adds sends what is no message, encrypted where the room is: the town does not remember
// it.
func (p *Person) Adds(room id.RoomID, kind string, content map[string]any) id.EventID {
	p.town.stage.Helper()
	encrypted, err := p.encrypts(room)
	if err != nil {
		p.fail("ask whether %s is encrypted: %v", room, err)
	}
	if !encrypted {
		return p.SendsRaw(room, kind, content)
	}
	sealed, err := p.encrypt(room, event.NewEventType(kind), content)
	if err != nil {
		p.fail("encrypt: %v", err)
	}
	resp, err := p.client.SendMessageEvent(p.ctx(), room, event.EventEncrypted, sealed)
	if err != nil {
		p.fail("send %s: %v", kind, err)
		return ""
	}
	return resp.EventID
}
