package matrixtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

// place is what a sync token stands for.
type place struct {
	stream  int64 // of the server
	message int64 // of the device's inbox
}

func (p place) String() string { return fmt.Sprintf("s%d_%d", p.stream, p.message) }

func parsePosition(token string) (place, bool) {
	if token == "" {
		return place{}, true
	}
	a, b, ok := strings.Cut(strings.TrimPrefix(token, "s"), "_")
	stream, err := strconv.ParseInt(a, 10, 64)
	message, err2 := strconv.ParseInt(b, 10, 64)
	return place{stream: stream, message: message}, ok && token[0] == 's' && err == nil && err2 == nil
}

type syncCall struct {
	ctx  context.Context
	done chan struct{}
}

// syncGrace is how long a second /sync waits for the first one's client to be
// seen hanging up, before the two count as concurrent.
const syncGrace = 2 * time.Second

// defaultTimelineLimit is what Synapse and Dendrite use without a filter.
const defaultTimelineLimit = 10

// toDeviceLimit is how many to-device messages one answer holds, as Synapse's.
const toDeviceLimit = 100

func (s *Server) sync(c *call) {
	release, ok := s.enterSync(c)
	if !ok {
		return
	}
	defer release()
	q := c.r.URL.Query()
	since := q.Get("since")
	s.mu.Lock()
	sc := c.user.script
	s.mu.Unlock()
	if sc != nil {
		s.answerScript(c, sc, since, release)
		return
	}
	from, ok := s.acceptSince(c, since)
	if !ok {
		c.fail(http.StatusBadRequest, "M_INVALID_PARAM", "no such token")
		return
	}
	f := s.readFilter(c, q.Get("filter"))
	timeout, _ := strconv.Atoi(q.Get("timeout")) // absent: 0
	deadline := time.NewTimer(time.Duration(timeout) * time.Millisecond)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		answer, news := s.syncAnswer(c, since == "", from, f)
		changed := s.changed
		s.mu.Unlock()
		if news || since == "" {
			release()
			c.ok(answer)
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			release()
			c.ok(answer)
			return
		case <-c.r.Context().Done():
			return
		case <-s.closing:
			panic(http.ErrAbortHandler)
		}
	}
}

// enterSync makes sure that one /sync runs on a device. A client that hung up
// and polls again is fine: its earlier request ends first. The returned function
// is called before the answer is written, so that a client that has it may poll
// at once; it may be called again.
func (s *Server) enterSync(c *call) (func(), bool) {
	grace := time.NewTimer(syncGrace)
	defer grace.Stop()
	for {
		s.mu.Lock()
		running := c.device.called
		if running == nil {
			mine := &syncCall{ctx: c.r.Context(), done: make(chan struct{})}
			c.device.called = mine
			s.mu.Unlock()
			return sync.OnceFunc(func() {
				s.mu.Lock()
				c.device.called = nil
				s.mu.Unlock()
				close(mine.done)
			}), true
		}
		s.mu.Unlock()
		select {
		case <-running.done:
			// The first one ended by itself: nobody hung up, so it was concurrent.
			if running.ctx.Err() == nil {
				s.violate("second /sync of %s %s while one was running", c.user.id, c.device.id)
			}
		case <-grace.C:
			s.violate("second /sync of %s %s while one was running", c.user.id, c.device.id)
			c.fail(http.StatusTooManyRequests, "M_LIMIT_EXCEEDED", "one /sync a device")
			return nil, false
		case <-c.r.Context().Done():
			return nil, false
		}
	}
}

// acceptSince checks the token, and deletes the to-device messages that it
// acknowledges.
func (s *Server) acceptSince(c *call, since string) (place, bool) {
	p, ok := parsePosition(since)
	s.mu.Lock()
	defer s.mu.Unlock()
	d := c.device
	switch {
	case !ok:
		s.violateLocked("sync from a token that is none: %q", since)
		return p, false
	case since == d.since || d.issued[since]:
	case since == "":
		s.violateLocked("initial sync of %s %s after it had synced", c.user.id, d.id)
	default:
		s.violateLocked("sync of %s %s from a token that was not handed out to it, or is outdated: %q", c.user.id, d.id, since)
	}
	if since != d.since {
		d.since = since
		d.issued = map[string]bool{}
	}
	for len(d.inbox) > 0 && d.inbox[0].at <= p.message {
		d.inbox = d.inbox[1:]
	}
	return p, true
}

// ForgetSync lets a device start with an initial /sync, or from an older token,
// without a violation: its store was lost or put back.
func (s *Server) ForgetSync(uid id.UserID, did id.DeviceID, since string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.account(uid).devices[did]; d != nil {
		d.issued[since] = true
	}
}

type syncFilter struct {
	Room struct {
		Timeline struct {
			Limit int      `json:"limit"`
			Types []string `json:"types"`
		} `json:"timeline"`
		State struct {
			Lazy bool `json:"lazy_load_members"`
		} `json:"state"`
		Rooms    []id.RoomID `json:"rooms"`
		NotRooms []id.RoomID `json:"not_rooms"`
	} `json:"room"`
}

func (s *Server) readFilter(c *call, name string) syncFilter {
	var f syncFilter
	raw := json.RawMessage(name)
	if name != "" && name[0] != '{' {
		s.mu.Lock()
		stored, ok := c.user.filter(name)
		s.mu.Unlock()
		if !ok {
			s.violate("unknown filter %q", name)
		}
		raw = stored
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &f); err != nil {
			s.violate("filter is not one: %v", err)
		}
	}
	if f.Room.Timeline.Limit == 0 {
		f.Room.Timeline.Limit = defaultTimelineLimit
	}
	if f.Room.Timeline.Types != nil {
		s.violate("timeline filtered by an allow-list of types")
	}
	return f
}

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
	for _, at := range r.stateBetween(0, start) {
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
	for _, at := range append(r.stateBetween(0, invite), invite) {
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

// deviceLists says whose keys changed since a position among those who share a
// room with the user, and who no longer shares one; mu is held.
func (s *Server) deviceLists(u *user, since int64) (changed, left []id.UserID) {
	shares, came, went := map[id.UserID]bool{}, map[id.UserID]bool{}, map[id.UserID]bool{}
	for _, r := range s.rooms {
		me, ok := r.members[u.id]
		if !ok {
			continue
		}
		for other, m := range r.members {
			switch {
			case m.is == "join" && me.is == "join":
				shares[other] = true
				if r.events[m.since].pos > since || r.events[me.since].pos > since {
					came[other] = true
				}
			case r.events[m.since].pos > since || r.events[me.since].pos > since:
				went[other] = true
			}
		}
	}
	changed, left = []id.UserID{}, []id.UserID{}
	for other := range shares {
		if came[other] && other != u.id || s.users[other].keysChanged > since {
			changed = append(changed, other)
		}
	}
	if !shares[u.id] && u.keysChanged > since {
		changed = append(changed, u.id)
	}
	for other := range went {
		if !shares[other] && other != u.id {
			left = append(left, other)
		}
	}
	slices.Sort(changed)
	slices.Sort(left)
	return changed, left
}
