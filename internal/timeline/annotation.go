package timeline

import "maunium.net/go/mautrix/id"

// annotate adds what others said about the post: reactions, and the votes and the end of
// a poll. Events that say nothing of the kind are passed over.
func (p *Post) annotate(original Event, events []Event, taken map[id.EventID]bool) {
	p.react(events, taken)
	if p.Poll != nil {
		p.Poll = p.Poll.count(original, p.Edited, events, taken)
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
	var copies map[id.EventID][]*Event // of each event; nearly always one
	for i := range events {
		r := &events[i]
		if r.Type != typeRedaction {
			continue
		}
		item, err := Parse(*r)
		if err != nil || item.Class != ClassRedaction {
			continue
		}
		if copies == nil {
			copies, taken = map[id.EventID][]*Event{}, map[id.EventID]bool{}
			for i := range events {
				copies[events[i].ID] = append(copies[events[i].ID], &events[i])
			}
		}
		for _, e := range copies[item.Target] {
			if mayRedact(r, e) {
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
