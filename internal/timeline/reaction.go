package timeline

import (
	"cmp"
	"slices"

	"maunium.net/go/mautrix/id"
)

// Reaction is one sign that people put under a message (Matrix C-S API, "Event
// annotations and reactions"). Reactions are never encrypted.
type Reaction struct {
	// Key is the sign, nearly always an emoji; ":name:" for a picture that the sender
	// named so.
	Key     string
	Senders []id.UserID // each once, sorted
}

// readReaction reads the sign of an m.reaction; empty where there is none.
func readReaction(content fields) string {
	key, _ := content.object("m.relates_to").text("key")
	if len(key) > 6 && key[:6] == "mxc://" {
		for _, field := range []string{"com.beeper.reaction.shortcode", "shortcode"} {
			if name, _ := content.text(field); name != "" {
				key = ":" + trimColons(name) + ":"
				break
			}
		}
	}
	return clip(key, MaxReactionBytes)
}

func trimColons(name string) string {
	for len(name) > 1 && name[0] == ':' {
		name = name[1:]
	}
	for len(name) > 1 && name[len(name)-1] == ':' {
		name = name[:len(name)-1]
	}
	return name
}

// react counts the reactions to the post: one for each person and sign, most frequent
// first.
func (p *Post) react(events []Event, taken map[id.EventID]bool) {
	type mark struct {
		key    string
		sender id.UserID
	}
	seen := map[mark]bool{}
	senders := map[string][]id.UserID{}
	for _, e := range events {
		if e.Type != typeReaction || taken[e.ID] {
			continue
		}
		item, err := Parse(e)
		if err != nil || item.Class != ClassReaction || item.Target != p.ID || item.Key == "" {
			continue
		}
		if m := (mark{item.Key, e.Sender}); !seen[m] {
			seen[m] = true
			senders[item.Key] = append(senders[item.Key], e.Sender)
		}
	}
	p.Reactions = nil
	for key, who := range senders {
		slices.Sort(who)
		p.Reactions = append(p.Reactions, Reaction{Key: key, Senders: who})
	}
	slices.SortFunc(p.Reactions, func(a, b Reaction) int {
		return cmp.Or(cmp.Compare(len(b.Senders), len(a.Senders)), cmp.Compare(a.Key, b.Key))
	})
}
