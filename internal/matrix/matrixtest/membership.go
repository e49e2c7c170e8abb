package matrixtest

import (
	"encoding/json"
	"net/http"

	"maunium.net/go/mautrix/id"
)

func (s *Server) createRoom(c *call) {
	var req struct {
		Name         string      `json:"name"`
		Topic        string      `json:"topic"`
		Invite       []id.UserID `json:"invite"`
		RoomVersion  string      `json:"room_version"`
		InitialState []struct {
			Type    string          `json:"type"`
			Key     string          `json:"state_key"`
			Content json.RawMessage `json:"content"`
		} `json:"initial_state"`
	}
	if !s.decode(c, &req) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.newRoom(c.user.id, RoomOptions{Name: req.Name, Topic: req.Topic, Version: req.RoomVersion})
	for _, st := range req.InitialState {
		r.state(c.user.id, st.Type, st.Key, st.Content)
	}
	for _, u := range req.Invite {
		r.member(c.user.id, u, "invite")
	}
	c.ok(map[string]any{"room_id": r.ID})
}

func (s *Server) join(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(c.r.PathValue("room"))
	if r == nil {
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "no such room")
		return
	}
	switch r.members[c.user.id].is {
	case "join":
	case "invite":
		r.member(c.user.id, c.user.id, "join")
	default:
		if !r.public() {
			c.fail(http.StatusForbidden, "M_FORBIDDEN", "not invited")
			return
		}
		r.member(c.user.id, c.user.id, "join")
	}
	c.ok(map[string]any{"room_id": r.ID})
}

func (r *Room) public() bool {
	var e struct {
		Content struct {
			Rule string `json:"join_rule"`
		} `json:"content"`
	}
	return json.Unmarshal(r.current("m.room.join_rules", ""), &e) == nil && e.Content.Rule == "public"
}

// find looks a room up by id or canonical alias; mu is held.
func (s *Server) find(name string) *Room {
	if r, ok := s.rooms[id.RoomID(name)]; ok {
		return r
	}
	for _, r := range s.rooms {
		var e struct {
			Content struct {
				Alias string `json:"alias"`
			} `json:"content"`
		}
		if json.Unmarshal(r.current("m.room.canonical_alias", ""), &e) == nil && e.Content.Alias == name && name != "" {
			return r
		}
	}
	return nil
}

func (s *Server) alias(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(c.r.PathValue("alias"))
	if r == nil {
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "no such alias")
		return
	}
	c.ok(map[string]any{"room_id": r.ID, "servers": []string{s.opts.Name}})
}

func (s *Server) leave(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[id.RoomID(c.r.PathValue("room"))]
	if r == nil || r.members[c.user.id].is == "" {
		c.fail(http.StatusForbidden, "M_FORBIDDEN", "not in the room")
		return
	}
	r.member(c.user.id, c.user.id, "leave")
	c.empty()
}

func (s *Server) invite(c *call) {
	var req struct {
		User id.UserID `json:"user_id"`
	}
	if !s.decode(c, &req) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.roomOf(c)
	if !ok {
		return
	}
	r.member(c.user.id, req.User, "invite")
	c.empty()
}

func (s *Server) joinedMembers(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.roomOf(c)
	if !ok {
		return
	}
	out := map[id.UserID]map[string]string{}
	for _, u := range r.joined() {
		out[u] = map[string]string{"display_name": s.users[u].displayName}
	}
	c.ok(map[string]any{"joined": out})
}

func (s *Server) members(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.roomOf(c)
	if !ok {
		return
	}
	chunk := []json.RawMessage{}
	for _, at := range r.stateBefore(len(r.events)) {
		if r.events[at].typ == "m.room.member" {
			chunk = append(chunk, r.withRoom(r.events[at].raw))
		}
	}
	c.ok(map[string]any{"chunk": chunk})
}

func (s *Server) joinedRooms(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []id.RoomID{}
	for rid, r := range s.rooms {
		if r.members[c.user.id].is == "join" {
			out = append(out, rid)
		}
	}
	c.ok(map[string]any{"joined_rooms": out})
}

func (s *Server) send(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.roomOf(c)
	if !ok || !s.validContent(c) {
		return
	}
	c.ok(map[string]any{"event_id": r.append(c.user.id, c.r.PathValue("type"), nil, json.RawMessage(c.body), nil)})
}

func (s *Server) putState(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.roomOf(c)
	if !ok || !s.validContent(c) {
		return
	}
	c.ok(map[string]any{"event_id": r.state(c.user.id, c.r.PathValue("type"), c.r.PathValue("key"), json.RawMessage(c.body))})
}

func (s *Server) redact(c *call) {
	var req struct {
		Reason string `json:"reason"`
	}
	if !s.decode(c, &req) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.roomOf(c)
	if !ok {
		return
	}
	c.ok(map[string]any{"event_id": r.redact(c.user.id, id.EventID(c.r.PathValue("event")), req.Reason)})
}

// validContent refuses a content that is no JSON; mu is held.
func (s *Server) validContent(c *call) bool {
	if json.Valid(c.body) {
		return true
	}
	s.violateLocked("content of an event is no JSON")
	c.fail(http.StatusBadRequest, "M_NOT_JSON", "not JSON")
	return false
}
