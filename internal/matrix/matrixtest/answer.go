package matrixtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"
)

type eventList struct {
	Events []json.RawMessage `json:"events"`
}

type syncTimeline struct {
	Events    []json.RawMessage `json:"events"`
	Limited   bool              `json:"limited"`
	PrevBatch string            `json:"prev_batch"`
}

type syncRoom struct {
	Summary     map[string]any `json:"summary,omitempty"`
	State       eventList      `json:"state"`
	Timeline    syncTimeline   `json:"timeline"`
	Ephemeral   eventList      `json:"ephemeral"`
	AccountData eventList      `json:"account_data"`
}

type syncInvite struct {
	State eventList `json:"invite_state"`
}

type syncAnswer struct {
	Next  string `json:"next_batch"`
	Rooms struct {
		Join   map[id.RoomID]*syncRoom   `json:"join,omitempty"`
		Invite map[id.RoomID]*syncInvite `json:"invite,omitempty"`
		Leave  map[id.RoomID]*syncRoom   `json:"leave,omitempty"`
	} `json:"rooms"`
	ToDevice    eventList      `json:"to_device"`
	AccountData eventList      `json:"account_data"`
	Lists       map[string]any `json:"device_lists,omitempty"`
	Counts      map[string]int `json:"device_one_time_keys_count,omitempty"`
	Fallback    []string       `json:"device_unused_fallback_key_types"`
}

// syncAnswer computes what happened since a place; mu is held. news is false when
// nothing did.
func (s *Server) syncAnswer(c *call, initial bool, from place, f syncFilter) (a *syncAnswer, news bool) {
	a = &syncAnswer{}
	a.Rooms.Join, a.Rooms.Invite, a.Rooms.Leave = map[id.RoomID]*syncRoom{}, map[id.RoomID]*syncInvite{}, map[id.RoomID]*syncRoom{}
	to := place{stream: s.position, message: from.message}
	for rid, r := range s.rooms {
		if slices.Contains(f.Room.NotRooms, rid) || (f.Room.Rooms != nil && !slices.Contains(f.Room.Rooms, rid)) {
			continue
		}
		r.syncInto(a, c.user.id, initial, from.stream, f)
	}
	for i, m := range c.device.inbox {
		if i == toDeviceLimit {
			break
		}
		a.ToDevice.Events = append(a.ToDevice.Events, m.raw)
		to.message = m.at
	}
	for typ, raw := range c.user.accountData {
		if initial || c.user.accountPos[typ] > from.stream {
			a.AccountData.Events = append(a.AccountData.Events, mustJSON(map[string]any{"type": typ, "content": raw}))
		}
	}
	if !initial {
		changed, left := s.deviceLists(c.user, from.stream)
		if len(changed)+len(left) > 0 {
			a.Lists = map[string]any{"changed": changed, "left": left}
		}
	}
	if !initial || !s.opts.Dendrite {
		a.Counts = c.device.counts()
	}
	a.Fallback = c.device.unusedFallback()
	a.Next = to.String()
	c.device.issued[a.Next] = true
	news = len(a.Rooms.Join)+len(a.Rooms.Invite)+len(a.Rooms.Leave)+len(a.ToDevice.Events)+len(a.AccountData.Events) > 0 || a.Lists != nil
	return a, news
}

// syncInto adds what a user sees of the room since a stream position.
func (r *Room) syncInto(a *syncAnswer, user id.UserID, initial bool, since int64, f syncFilter) {
	m, ok := r.members[user]
	if !ok {
		return
	}
	changedHere := r.events[m.since].pos > since
	switch m.is {
	case "join":
		fresh := initial || (changedHere && !r.joinedAt(user, since))
		if fresh || r.after(since) < len(r.events) {
			if room := r.syncRoom(user, fresh, since, len(r.events), f); room != nil {
				a.Rooms.Join[r.ID] = room
			}
		}
	case "invite":
		if initial || changedHere {
			a.Rooms.Invite[r.ID] = &syncInvite{State: eventList{Events: r.stripped(m.since)}}
		}
	case "leave", "ban":
		if changedHere && !initial {
			a.Rooms.Leave[r.ID] = r.syncRoom(user, false, since, m.since+1, f)
		}
	}
}

// joinedAt reports whether the user was joined at a stream position.
func (r *Room) joinedAt(user id.UserID, pos int64) bool {
	joined := false
	for _, at := range r.states {
		e := r.events[at]
		if e.pos > pos {
			break
		}
		if e.typ == "m.room.member" && *e.stateKey == string(user) {
			joined = strings.Contains(string(e.raw), `"membership":"join"`)
		}
	}
	return joined
}

func (r *Room) syncRoom(user id.UserID, fresh bool, since int64, end int, f syncFilter) *syncRoom {
	first := 0
	if !fresh {
		first = r.after(since)
	}
	var places []int
	start, limited := end, false
	for at := end - 1; at >= first; at-- {
		if !r.visible(user, at) && !r.aboutMember(user, at) {
			continue
		}
		if len(places) == f.Room.Timeline.Limit {
			limited = true
			break
		}
		places = append(places, at)
		start = at
	}
	slices.Reverse(places)
	room := &syncRoom{}
	senders := map[string]bool{string(user): true}
	for _, at := range places {
		room.Timeline.Events = append(room.Timeline.Events, r.events[at].raw)
		senders[string(r.events[at].sender)] = true
	}
	room.Timeline.Limited = limited
	room.Timeline.PrevBatch = fmt.Sprintf("t%d", start)
	for _, at := range r.stateBefore(start) {
		e := r.events[at]
		// Lazily loaded members come with what they say, however old they are.
		lazy := f.Room.State.Lazy && e.typ == "m.room.member"
		if lazy && !senders[*e.stateKey] || !lazy && !fresh && at < first {
			continue
		}
		room.State.Events = append(room.State.Events, e.raw)
	}
	if fresh {
		joined := r.joined()
		heroes := slices.DeleteFunc(slices.Clone(joined), func(u id.UserID) bool { return u == user })
		room.Summary = map[string]any{"m.heroes": heroes[:min(5, len(heroes))], "m.joined_member_count": len(joined)}
	}
	return room
}

// aboutMember reports whether the event is the user's own membership: shown even
// to who was not yet, or is no longer, a member.
func (r *Room) aboutMember(user id.UserID, at int) bool {
	e := r.events[at]
	return e.typ == "m.room.member" && e.stateKey != nil && *e.stateKey == string(user)
}

// stripped is the state that an invited account sees.
func (r *Room) stripped(invite int) []json.RawMessage {
	var out []json.RawMessage
	for _, at := range append(r.stateBefore(invite), invite) {
		e := r.events[at]
		switch e.typ {
		case "m.room.create", "m.room.name", "m.room.canonical_alias", "m.room.join_rules", "m.room.encryption", "m.room.topic":
		case "m.room.member":
			if at != invite && *e.stateKey != string(r.events[invite].sender) {
				continue
			}
		default:
			continue
		}
		var full map[string]json.RawMessage
		if json.Unmarshal(e.raw, &full) != nil {
			continue
		}
		out = append(out, mustJSON(map[string]any{"type": e.typ, "state_key": *e.stateKey, "sender": e.sender, "content": full["content"]}))
	}
	return out
}
