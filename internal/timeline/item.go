package timeline

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Class says what an event is to the message it belongs to (closed set).
type Class string

// The classes.
const (
	ClassMessage   Class = "message"   // says something of its own; a poll does too
	ClassEdit      Class = "edit"      // replaces the text of Target (m.replace)
	ClassReaction  Class = "reaction"  // annotates Target
	ClassRedaction Class = "redaction" // takes Target back
	ClassVote      Class = "vote"      // answers the poll Target
	ClassPollEnd   Class = "poll_end"  // closes the poll Target
	ClassState     Class = "state"     // a state event: belongs to the room
	ClassOther     Class = "other"     // kept, but says nothing about a message
)

// Item is an event read into plain values. Every field is a claim of the sender,
// bounded and of the right type.
type Item struct {
	Class Class
	// Target is the message that the event belongs to, as in [Event.Target].
	Target id.EventID
	// Reply and Thread are as in [Event]. They are never the event itself.
	Reply, Thread id.EventID
	// Redacted is set when the homeserver shows the event without its content.
	Redacted bool

	Key  string   // the sign of a reaction
	Vote []string // the answers that a vote names

	// What follows is set for ClassMessage only.

	Kind    Kind
	MsgType string
	Text    string
	HTML    string
	Body    string
	Geo     string
	Files   []File
	// MoreFiles counts files beyond [MaxFiles].
	MoreFiles int
	Poll      *Poll
	Claims    *Claims
}

// Annotates reports whether the event is what others say about its target, and says
// nothing without it: a reaction, a vote, the end of a poll.
func (i Item) Annotates() bool {
	return i.Class == ClassReaction || i.Class == ClassVote || i.Class == ClassPollEnd
}

// Errors of [Parse]. Neither holds text of the event.
var (
	errNoBody   = errors.New("message without a readable body")
	errNoTarget = errors.New("relation without a readable target")
)

// Event types without a constant in mautrix.
const (
	typeReaction       = "m.reaction"
	typeRedaction      = "m.room.redaction"
	typePollStart      = "m.poll.start"
	typePollResponse   = "m.poll.response"
	typePollEnd        = "m.poll.end"
	typePollStartOld   = "org.matrix.msc3381.poll.start"
	typePollAnswerOld  = "org.matrix.msc3381.poll.response"
	typePollEndOld     = "org.matrix.msc3381.poll.end"
	verificationPrefix = "m.key.verification."
)

// Parse reads one event. It trusts no field: what has the wrong type counts as
// absent. An error means that the event is unreadable: it is to be kept, and to
// be listed with the error as the reason, which never holds text of the event.
func Parse(e Event) (Item, error) {
	if e.StateKey != nil {
		return Item{Class: ClassState}, nil
	}
	content, err := readFields(e.Content)
	if err != nil {
		return Item{}, fmt.Errorf("parse event: %w", err)
	}
	var item Item
	switch e.Type {
	case event.EventMessage.Type, event.EventSticker.Type, event.EventEncrypted.Type, typePollStart, typePollStartOld:
		item, err = parseSaying(e, content)
	case typeReaction:
		item, err = parseAbout(e, content, ClassReaction, event.RelAnnotation)
	case typePollResponse, typePollAnswerOld:
		item, err = parseAbout(e, content, ClassVote, event.RelReference)
	case typePollEnd, typePollEndOld:
		item, err = parseAbout(e, content, ClassPollEnd, event.RelReference)
	case typeRedaction:
		item, err = parseRedaction(e, content)
	default:
		item, err = parseOther(e, content)
	}
	if err != nil {
		return Item{}, fmt.Errorf("parse event: %w", err)
	}
	return item, nil
}

// parseSaying reads what stands in the timeline as a message: text, media,
// sticker, poll, and edits of these.
func parseSaying(e Event, content fields) (Item, error) {
	if e.Erased || redacted(e, content) {
		relation := readRelation(e.ID, content)
		return Item{Class: ClassMessage, Target: e.ID, Reply: relation.reply, Thread: relation.thread, Redacted: true}, nil
	}
	if e.Type == event.EventEncrypted.Type {
		return Item{Class: ClassOther}, nil // its cleartext is what counts
	}
	relation := readRelation(e.ID, content)
	if relation.replaces != "" {
		return Item{Class: ClassEdit, Target: relation.replaces}, nil
	}
	item := Item{Target: e.ID, Reply: relation.reply, Thread: relation.thread}
	switch e.Type {
	case typePollStart, typePollStartOld:
		item.Class = ClassMessage
		if err := readPoll(&item, e, content); err != nil {
			return Item{}, err
		}
		return item, nil
	case event.EventSticker.Type:
		item.Class = ClassMessage
		readSticker(&item, content)
		return item, nil
	}
	if msgType, _ := content.text("msgtype"); strings.HasPrefix(msgType, verificationPrefix) {
		// A request to verify a device is addressed to one user, in any room.
		return Item{Class: ClassOther}, nil
	}
	item.Class = ClassMessage
	if err := readMessage(&item, e, content); err != nil {
		return Item{}, err
	}
	return item, nil
}

// parseOther reads an event of a type that is not known here: it says something when it
// carries a text of its own (MSC1767), and nothing otherwise.
func parseOther(e Event, content fields) (Item, error) {
	if redacted(e, content) {
		return Item{Class: ClassOther, Redacted: true}, nil
	}
	relation := readRelation(e.ID, content)
	item := Item{Class: ClassMessage, Target: e.ID, Reply: relation.reply, Thread: relation.thread}
	says, err := readExtensible(&item, e, content)
	switch {
	case err != nil:
		return Item{}, err
	case !says:
		return Item{Class: ClassOther}, nil
	case relation.replaces != "":
		return Item{Class: ClassEdit, Target: relation.replaces}, nil
	}
	return item, nil
}

// parseAbout reads an event that only says something about another one.
func parseAbout(e Event, content fields, class Class, want event.RelationType) (Item, error) {
	if redacted(e, content) {
		return Item{Class: ClassOther, Redacted: true}, nil
	}
	relation := content.object("m.relates_to")
	kind, _ := relation.text("rel_type")
	target := relation.event("event_id")
	if kind != string(want) || target == "" || target == e.ID {
		return Item{}, errNoTarget
	}
	item := Item{Class: class, Target: target}
	switch class { //nolint:exhaustive // the end of a poll says nothing more that counts
	case ClassReaction:
		item.Key = readReaction(content)
	case ClassVote:
		item.Vote = readVote(content)
	}
	return item, nil
}

// parseRedaction reads which event is taken back: the content names it from room
// version 11 on, the top level before. Either is accepted.
func parseRedaction(e Event, content fields) (Item, error) {
	target := content.event("redacts")
	if target == "" {
		raw, err := readFields(e.Raw)
		if err == nil {
			target = raw.event("redacts")
		}
	}
	if target == "" || target == e.ID {
		if redacted(e, content) {
			return Item{Class: ClassOther, Redacted: true}, nil
		}
		return Item{}, errNoTarget
	}
	return Item{Class: ClassRedaction, Target: target}, nil
}

// redacted reports whether the homeserver shows the event stripped of what it
// said. Redaction removes every key of a message's content in all room versions,
// and m.relates_to is not kept either.
func redacted(e Event, content fields) bool {
	if len(content) == 0 {
		return true
	}
	if !mayHold(e.Raw, "redacted_because") {
		return false
	}
	raw, err := readFields(e.Raw)
	return err == nil && raw.object("unsigned").has("redacted_because")
}

// mayHold reports whether a key may stand in an event. Nearly no event holds the word, or
// an escape that it could hide in; the others need not be read once more.
func mayHold(raw []byte, key string) bool {
	return bytes.Contains(raw, []byte(key)) || bytes.Contains(raw, []byte(`\u`))
}

// relation is m.relates_to as far as it is believed.
type relation struct {
	replaces, reply, thread id.EventID
}

// readRelation reads m.relates_to (Matrix C-S API, "Rich replies", "Threading",
// "Event replacements"). A relation to the event itself is none.
func readRelation(self id.EventID, content fields) relation {
	var r relation
	relates := content.object("m.relates_to")
	target := relates.event("event_id")
	kind, _ := relates.text("rel_type")
	reply := relates.object("m.in_reply_to").event("event_id")
	switch event.RelationType(kind) { //nolint:exhaustive // the others relate nothing that is read here
	case event.RelReplace:
		if target != self {
			r.replaces = target
		}
	case event.RelThread:
		r.thread = target
		if relates.flag("is_falling_back") {
			reply = "" // only there for clients that know no threads
		}
	}
	r.reply = reply
	if r.thread == self {
		r.thread = ""
	}
	if r.reply == self {
		r.reply = ""
	}
	return r
}
