package matrixtest

import (
	"encoding/json"
	"fmt"
	"maps"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// RoomOptions say what a room is like when it is made.
type RoomOptions struct {
	// ID is made up when empty.
	ID        id.RoomID
	Name      string
	Topic     string
	Alias     id.RoomAlias
	Encrypted bool
	Version   string // default "11"
	Type      string // m.room.create type
	// Predecessor is the room that this one says it replaces.
	Predecessor id.RoomID
	Public      bool // anybody may join
	// Visibility is the history visibility: "shared" (default) shows everything to
	// members, "joined" nothing from before they joined.
	Visibility string
}

// Room is a room of the server. It is safe for concurrent use.
type Room struct {
	ID id.RoomID

	s       *Server
	version string
	quoted  []byte             // the id as JSON
	shared  bool               // whether members see what was said before they joined
	events  []stored           // in the order of arrival
	index   map[id.EventID]int // first place of each event
	states  []int              // places of state events
	members map[id.UserID]membership
}

type membership struct {
	is    string
	since int // place of the event that says so
	first int // place of the first join; -1 before
}

// stored is one event: raw is the client format without room_id.
type stored struct {
	id       id.EventID
	typ      string
	stateKey *string
	sender   id.UserID
	pos      int64
	raw      json.RawMessage
}

// Content is a shorthand for an event's content.
type Content map[string]any

// NewRoom makes a room that creator has joined.
func (s *Server) NewRoom(creator id.UserID, o RoomOptions) *Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newRoom(creator, o)
}

func (s *Server) newRoom(creator id.UserID, o RoomOptions) *Room {
	if o.ID == "" {
		o.ID = id.RoomID(fmt.Sprintf("!room%d:%s", s.nextSerial(), s.opts.Name))
	}
	if o.Version == "" {
		o.Version = "11"
	}
	if o.Visibility == "" {
		o.Visibility = "shared"
	}
	r := &Room{ID: o.ID, s: s, version: o.Version, quoted: mustJSON(o.ID), index: map[id.EventID]int{}, members: map[id.UserID]membership{}}
	s.rooms[o.ID] = r
	s.account(creator)
	create := Content{"room_version": o.Version, "creator": creator}
	if o.Type != "" {
		create["type"] = o.Type
	}
	if o.Predecessor != "" {
		create["predecessor"] = Content{"room_id": o.Predecessor}
	}
	r.state(creator, "m.room.create", "", create)
	r.member(creator, creator, "join")
	r.state(creator, "m.room.power_levels", "", Content{"users": map[id.UserID]int{creator: 100}})
	rule := "invite"
	if o.Public {
		rule = "public"
	}
	r.state(creator, "m.room.join_rules", "", Content{"join_rule": rule})
	r.state(creator, visibilityType, "", Content{"history_visibility": o.Visibility})
	if o.Encrypted {
		r.state(creator, "m.room.encryption", "", Content{"algorithm": id.AlgorithmMegolmV1})
	}
	if o.Name != "" {
		r.state(creator, "m.room.name", "", Content{"name": o.Name})
	}
	if o.Topic != "" {
		r.state(creator, "m.room.topic", "", Content{"topic": o.Topic})
	}
	if o.Alias != "" {
		r.state(creator, "m.room.canonical_alias", "", Content{"alias": o.Alias})
	}
	return r
}

// Room finds a room by its id, nil for none.
func (s *Server) Room(rid id.RoomID) *Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[rid]
}

// append stores an event; Server.mu is held. fields are further top-level keys.
func (r *Room) append(sender id.UserID, typ string, stateKey *string, content any, fields map[string]any) id.EventID {
	eid := id.EventID(fmt.Sprintf("$event%d", r.s.nextSerial()))
	obj := map[string]any{
		"event_id": eid, "sender": sender, "type": typ, "content": content,
		"origin_server_ts": r.s.clock().UnixMilli(),
	}
	if stateKey != nil {
		obj["state_key"] = *stateKey
	}
	maps.Copy(obj, fields)
	r.store(stored{id: eid, typ: typ, stateKey: stateKey, sender: sender, raw: mustJSON(obj)})
	return eid
}

func (r *Room) store(e stored) {
	e.pos = r.s.step()
	if _, ok := r.index[e.id]; !ok {
		r.index[e.id] = len(r.events)
	}
	if e.stateKey != nil {
		r.states = append(r.states, len(r.events))
		if e.typ == visibilityType {
			r.shared = sharedHistory(e.raw)
		}
	}
	r.events = append(r.events, e)
}

func (r *Room) state(sender id.UserID, typ, key string, content any) id.EventID {
	return r.append(sender, typ, &key, content, nil)
}

func (r *Room) member(sender, target id.UserID, is string) id.EventID {
	u := r.s.account(target)
	content := Content{"membership": is}
	if is == "join" || is == "invite" {
		content["displayname"] = u.displayName
	}
	at := len(r.events)
	eid := r.state(sender, "m.room.member", string(target), content)
	m, ok := r.members[target]
	if !ok {
		m.first = -1
	}
	if is == "join" && m.first < 0 {
		m.first = at
	}
	m.is, m.since = is, at
	r.members[target] = m
	return eid
}

// Send appends a message event from anybody, member or not.
func (r *Room) Send(sender id.UserID, typ string, content any) id.EventID {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.append(sender, typ, nil, content, nil)
}

// Say appends an m.text message.
func (r *Room) Say(sender id.UserID, text string) id.EventID {
	return r.Send(sender, "m.room.message", Content{"msgtype": event.MsgText, "body": text})
}

// SetState appends a state event.
func (r *Room) SetState(sender id.UserID, typ, key string, content any) id.EventID {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.state(sender, typ, key, content)
}

// Redact appends a redaction and strips the target, as servers do.
func (r *Room) Redact(sender id.UserID, target id.EventID) id.EventID {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.redact(sender, target, "")
}

func (r *Room) redact(sender id.UserID, target id.EventID, reason string) id.EventID {
	content := Content{"redacts": target}
	if reason != "" {
		content["reason"] = reason
	}
	eid := r.append(sender, "m.room.redaction", nil, content, map[string]any{"redacts": target})
	if at, ok := r.index[target]; ok {
		var obj map[string]any
		if json.Unmarshal(r.events[at].raw, &obj) == nil {
			obj["content"] = struct{}{}
			obj["unsigned"] = map[string]any{"redacted_because": r.events[len(r.events)-1].raw}
			r.events[at].raw = mustJSON(obj)
		}
	}
	return eid
}

// Put appends raw JSON as an event, whatever it is: poison. eid is the id under
// which /event finds it; it may be empty.
func (r *Room) Put(eid id.EventID, raw string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.store(stored{id: eid, raw: json.RawMessage(raw)})
}

// Repeat puts an event into the timeline once more.
func (r *Room) Repeat(eid id.EventID) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	at, ok := r.index[eid]
	if !ok {
		return fmt.Errorf("repeat %s: no such event", eid)
	}
	e := r.events[at]
	e.stateKey = nil // a repetition does not set state again
	r.store(e)
	return nil
}

// Purge removes all events before eid but state, as a retention job does.
func (r *Room) Purge(eid id.EventID) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for i := range r.index {
		if at := r.index[i]; at < r.index[eid] && r.events[at].stateKey == nil {
			r.events[at].raw = nil
			delete(r.index, i)
		}
	}
}

// Join makes an account a member.
func (r *Room) Join(user id.UserID) id.EventID { return r.Membership(user, user, "join") }

// Invite invites an account in the name of another.
func (r *Room) Invite(by, user id.UserID) id.EventID { return r.Membership(by, user, "invite") }

// Leave makes an account leave; by another one it is a kick.
func (r *Room) Leave(by, user id.UserID) id.EventID { return r.Membership(by, user, "leave") }

// Membership sets the membership of an account, without asking who may.
func (r *Room) Membership(by, user id.UserID, is string) id.EventID {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.member(by, user, is)
}
