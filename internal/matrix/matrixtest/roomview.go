package matrixtest

import (
	"encoding/json"
	"slices"
	"sort"

	"maunium.net/go/mautrix/id"
)

// Events lists the ids of all events in the order of arrival.
func (r *Room) Events() []id.EventID {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	out := make([]id.EventID, len(r.events))
	for i, e := range r.events {
		out[i] = e.id
	}
	return out
}

// Joined lists the joined members, sorted.
func (r *Room) Joined() []id.UserID {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.joined()
}

func (r *Room) joined() []id.UserID {
	var out []id.UserID
	for u, m := range r.members {
		if m.is == "join" {
			out = append(out, u)
		}
	}
	slices.Sort(out)
	return out
}

// visible reports whether a member sees the event at a place.
func (r *Room) visible(user id.UserID, at int) bool {
	m, ok := r.members[user]
	if !ok || m.first < 0 || r.events[at].raw == nil {
		return false
	}
	if (m.is == "leave" || m.is == "ban") && at > m.since {
		return false
	}
	return at >= m.first || r.shared
}

const visibilityType = "m.room.history_visibility"

// sharedHistory reports whether an m.room.history_visibility event shows the past
// to new members.
func sharedHistory(raw json.RawMessage) bool {
	var e struct {
		Content struct {
			Visibility string `json:"history_visibility"`
		} `json:"content"`
	}
	_ = json.Unmarshal(raw, &e) // odd: not "shared"
	return e.Content.Visibility == "shared"
}

// current is the newest state event of a type and key, nil for none.
func (r *Room) current(typ, key string) json.RawMessage {
	for _, at := range slices.Backward(r.states) {
		if e := r.events[at]; e.typ == typ && *e.stateKey == key {
			return e.raw
		}
	}
	return nil
}

type stateName struct{ typ, key string }

// stateBefore gives the places of the state events that are newest of their kind
// before to, in order.
func (r *Room) stateBefore(to int) []int {
	newest := map[stateName]int{}
	for _, at := range r.states {
		if at >= to {
			break
		}
		newest[stateName{r.events[at].typ, *r.events[at].stateKey}] = at
	}
	out := make([]int, 0, len(newest))
	for _, at := range newest {
		out = append(out, at)
	}
	slices.Sort(out)
	return out
}

// after is the first place whose event came after a stream position.
func (r *Room) after(pos int64) int {
	return sort.Search(len(r.events), func(i int) bool { return r.events[i].pos > pos })
}
