package timeline

import (
	"cmp"
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Redaction says who took a message back. Every field but By and At is zero where only
// the homeserver tells that somebody did.
type Redaction struct {
	By     id.UserID
	At     time.Time // as claimed
	Reason string    // in the words of By, may be empty; cut to [MaxReasonBytes]
}

// Mask is the post without anything that its author said: what is left of a message
// that was taken back, also where its content is gone. It answers what it answered. A
// post that was not taken back stays as it is.
func (p Post) Mask() Post {
	if p.Redaction == nil {
		return p
	}
	return Post{
		Room: p.Room, ID: p.ID, Sender: p.Sender, SenderName: p.SenderName, RoomName: p.RoomName, Sent: p.Sent,
		Reply: p.Reply, Thread: p.Thread, Redaction: p.Redaction, Masked: true,
	}
}

// redact notes the redaction of a message: of several valid ones that with the earliest
// time, of equal ones that with the smallest id.
func (p *Post) redact(original *Event, events []Event) {
	var first *Event
	for i := range events {
		r := &events[i]
		if r.Redacted(*original) && (first == nil || cmp.Or(r.Sent.Compare(first.Sent), order(r, first)) < 0) {
			first = r
		}
	}
	switch {
	case first != nil:
		p.Redaction = &Redaction{By: first.Sender, At: first.Sent, Reason: reasonOf(first.Content)}
	case original.Erased:
		p.Redaction = &Redaction{}
	}
}

func reasonOf(content json.RawMessage) string {
	said, err := readFields(content)
	if err != nil {
		return ""
	}
	reason, _ := said.text("reason")
	return clip(reason, MaxReasonBytes)
}

// Redacted reports whether the event is a valid redaction of another one, as far as that can
// be told without the state of the room: homeservers show no others.
func (e Event) Redacted(of Event) bool {
	if e.Type != typeRedaction || e.Room != of.Room {
		return false
	}
	item, err := Parse(e)
	return err == nil && item.Class == ClassRedaction && item.Target == of.ID && mayRedact(&e, &of)
}

// Because is the redaction that the homeserver shows with an event that was taken back
// (unsigned.redacted_because), as an event of its own; ok is false where there is none
// that can be read. That it stands there means that the homeserver found it valid.
func (e Event) Because() (redaction Event, ok bool) {
	if !mayHold(e.Raw, "redacted_because") {
		return Event{}, false
	}
	raw, err := readFields(e.Raw)
	if err != nil {
		return Event{}, false
	}
	because := raw.object("unsigned").object("redacted_because")
	kind, _ := because.text("type")
	sender, _ := because.text("sender")
	name := because.event("event_id")
	if kind != typeRedaction || name == "" || name == e.ID || sender == "" || len(sender) > MaxIDBytes {
		return Event{}, false
	}
	content := because.object("content")
	if content == nil {
		content = fields{}
	}
	// Which event it takes back is known here, wherever the homeserver says so.
	target, err := json.Marshal(e.ID)
	if err != nil {
		return Event{}, false
	}
	content["redacts"] = target
	said, err := json.Marshal(content)
	if err != nil {
		return Event{}, false
	}
	return Event{
		Room: e.Room, ID: name, Sender: id.UserID(sender), RoomName: e.RoomName, Type: typeRedaction,
		Sent: ClampTime(because.number("origin_server_ts")), Received: e.Received, Content: said, Raw: raw["unsigned"],
		Redacts: RightYes, Live: e.Live,
	}, true
}

// Alone reports whether an event that is still encrypted is a message of its own, as far
// as its relation shows, which is not encrypted: no edit, no vote.
func (e Event) Alone() bool {
	content, err := readFields(e.Content)
	if err != nil || e.StateKey != nil {
		return false
	}
	kind, _ := content.object("m.relates_to").text("rel_type")
	return e.Type == event.EventEncrypted.Type && (kind == "" || kind == string(event.RelThread))
}

// OnlyRelation is a content of which nothing is left but what the message answers.
func OnlyRelation(content json.RawMessage) json.RawMessage {
	said, err := readFields(content)
	if err != nil || !said.has("m.relates_to") {
		return json.RawMessage(`{}`)
	}
	left, err := json.Marshal(fields{"m.relates_to": said["m.relates_to"]})
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return left
}
