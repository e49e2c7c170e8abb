package matrixtest

import (
	"encoding/json"

	"maunium.net/go/mautrix/id"
)

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
	if bound := s.opts.TimelineCap; bound > 0 {
		f.Room.Timeline.Limit = min(f.Room.Timeline.Limit, bound)
	}
	if f.Room.Timeline.Types != nil {
		s.violate("timeline filtered by an allow-list of types")
	}
	return f
}
