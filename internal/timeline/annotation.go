package timeline

import "maunium.net/go/mautrix/id"

// annotate adds what others said about the post: reactions, and the votes and the end of
// a poll. Events that say nothing of the kind are passed over.
func (p *Post) annotate(original Event, events []Event, taken map[id.EventID]bool) {
	p.react(events, taken)
	if p.Poll != nil {
		p.Poll = p.Poll.count(original, events, taken)
	}
}

// Unannotated is the post as it says itself, without reactions and votes: where two
// posts differ in nothing else, there is no hurry.
func (p Post) Unannotated() Post {
	p.Reactions = nil
	if p.Poll != nil {
		p.Poll = p.Poll.empty()
	}
	return p
}

// takenBack lists the events among these that a redaction among them takes back.
func takenBack(events []Event) map[id.EventID]bool {
	var taken map[id.EventID]bool
	for _, r := range events {
		if r.Type != typeRedaction {
			continue
		}
		item, err := Parse(r)
		if err != nil || item.Class != ClassRedaction {
			continue
		}
		for i := range events {
			if e := &events[i]; e.ID == item.Target && mayRedact(&r, e) {
				if taken == nil {
					taken = map[id.EventID]bool{}
				}
				taken[e.ID] = true
			}
		}
	}
	return taken
}

// mayRedact reports whether a redaction of an event is valid: its own sender's, that of
// somebody of the same homeserver, which can do so in its users' names, or that of
// somebody with the power to. The homeserver shows no others (room versions, "Handling
// redactions"); so it is believed where the power of the sender is not known.
func mayRedact(redaction, of *Event) bool {
	return redaction.Sender == of.Sender || redaction.Redacts != RightNo || redaction.Sender.Homeserver() == of.Sender.Homeserver()
}
