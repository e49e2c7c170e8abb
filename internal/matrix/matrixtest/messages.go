package matrixtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"
)

// pageCap is the largest page of /messages, as Dendrite's.
const pageCap = 100

func timeoutOf(r *http.Request) time.Duration {
	ms, _ := strconv.Atoi(r.URL.Query().Get("timeout")) // absent: 0
	return time.Duration(ms) * time.Millisecond
}

// roomOf finds the room of the request for a caller who is, or was, a member; it
// answers 403 otherwise. mu is held.
func (s *Server) roomOf(c *call) (*Room, bool) {
	r, ok := s.rooms[id.RoomID(c.r.PathValue("room"))]
	if !ok || r.members[c.user.id].is == "" || r.members[c.user.id].first < 0 {
		c.fail(http.StatusForbidden, "M_FORBIDDEN", "not a member of the room")
		return nil, false
	}
	return r, true
}

// withRoom puts the room id into an event, as every endpoint but /sync does.
func (r *Room) withRoom(raw json.RawMessage) json.RawMessage { return r.appendEvent(nil, raw) }

// appendEvent appends an event with its room id to JSON text. What is no object is
// appended as it is. It parses nothing: pages of it are what a benchmark reads.
func (r *Room) appendEvent(to []byte, raw json.RawMessage) []byte {
	if len(raw) < 2 || raw[0] != '{' {
		return append(to, raw...)
	}
	to = append(append(to, `{"room_id":`...), r.quoted...)
	if !bytes.HasPrefix(bytes.TrimLeft(raw[1:], " \t\r\n"), []byte("}")) {
		to = append(to, ',')
	}
	return append(to, raw[1:]...)
}

func (s *Server) messages(c *call) {
	q := c.r.URL.Query()
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit <= 0 {
		limit = 10
	}
	limit = min(limit, pageCap)
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.roomOf(c)
	if !ok {
		return
	}
	from, ok := r.pageStart(q.Get("from"))
	if !ok {
		s.violateLocked("messages from a token that is none: %q", q.Get("from"))
		c.fail(http.StatusBadRequest, "M_INVALID_PARAM", "no such token")
		return
	}
	if q.Get("dir") == "f" {
		r.pageForward(c, from, limit)
		return
	}
	if q.Get("dir") != "b" {
		s.violateLocked("messages without a direction")
	}
	r.pageBackward(c, from, limit)
}

// pageStart reads a pagination token (t and a place) or a sync token.
func (r *Room) pageStart(token string) (int, bool) {
	if token == "" {
		return len(r.events), true
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(token, "t")); err == nil && token[0] == 't' {
		return n, n >= 0 && n <= len(r.events)
	}
	p, ok := parsePosition(token)
	return r.after(p.stream), ok
}

func (r *Room) pageBackward(c *call, from, limit int) {
	p := r.newPage(from)
	at := from
	for at > 0 && p.events < limit {
		at--
		if r.visible(c.user.id, at) {
			p.add(r.events[at].raw)
		}
	}
	end := ""
	switch {
	case at > 0:
		end = fmt.Sprintf("t%d", at)
	case r.s.opts.Dendrite:
		// At the start Dendrite repeats the create event, with end == from.
		if p.events == 0 {
			p.add(r.events[0].raw)
		}
		end = "t0"
	}
	p.write(c, end, r.speakers(at, from))
}

func (r *Room) pageForward(c *call, from, limit int) {
	p := r.newPage(from)
	at := from
	for ; at < len(r.events) && p.events < limit; at++ {
		if r.visible(c.user.id, at) {
			p.add(r.events[at].raw)
		}
	}
	end := ""
	if at < len(r.events) {
		end = fmt.Sprintf("t%d", at)
	}
	p.write(c, end, nil)
}

// speakers are the memberships of who speaks between two places, as lazily loaded
// members are.
func (r *Room) speakers(start, end int) []json.RawMessage {
	spoke := map[id.UserID]bool{}
	for _, e := range r.events[start:end] {
		spoke[e.sender] = true
	}
	var out []json.RawMessage
	for _, at := range r.stateBefore(end) {
		if e := r.events[at]; e.typ == "m.room.member" && spoke[id.UserID(*e.stateKey)] {
			out = append(out, r.withRoom(e.raw))
		}
	}
	return out
}

func (s *Server) event(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.roomOf(c)
	if !ok {
		return
	}
	at, ok := r.index[id.EventID(c.r.PathValue("event"))]
	if !ok || !r.visible(c.user.id, at) {
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "no such event")
		return
	}
	c.ok(r.withRoom(r.events[at].raw))
}

func (s *Server) fullState(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.roomOf(c)
	if !ok {
		return
	}
	out := []json.RawMessage{}
	for _, at := range r.stateBefore(len(r.events)) {
		out = append(out, r.withRoom(r.events[at].raw))
	}
	c.ok(out)
}

func (s *Server) stateEvent(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.roomOf(c)
	if !ok {
		return
	}
	raw := r.current(c.r.PathValue("type"), c.r.PathValue("key"))
	if raw == nil {
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "no such state")
		return
	}
	if c.r.URL.Query().Get("format") == "event" {
		c.ok(r.withRoom(raw))
		return
	}
	var e struct {
		Content json.RawMessage `json:"content"`
	}
	_ = json.Unmarshal(raw, &e) // stored by us
	c.ok(e.Content)
}
