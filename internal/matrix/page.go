package matrix

import (
	"encoding/json"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// page is one answer of /messages (Matrix C-S API, "GET
// /rooms/{roomId}/messages"), taken apart as far as needed to treat each event by
// itself.
type page struct {
	Chunk []json.RawMessage // as received: newest first when read backwards
	End   string            // token of the next page; empty at the end
}

// readPage takes an answer apart. An error means that it is no answer of
// /messages.
func readPage(body []byte) (*page, error) {
	p := &page{}
	var inner error
	note := func(err error) {
		if inner == nil {
			inner = err
		}
	}
	err := members(body, func(key string, value json.RawMessage) {
		var err error
		switch {
		case key == "chunk" && string(value) != "null":
			p.Chunk, err = elements(value)
		case key == "end" && string(value) != "null":
			err = json.Unmarshal(value, &p.End)
		}
		note(err)
	})
	note(err)
	if inner != nil {
		return nil, fmt.Errorf("read page: %w", inner)
	}
	return p, nil
}

// glance is what the end of a walk is decided by: claims, of which none is needed
// to store the event.
type glance struct {
	ID   id.EventID
	Room id.RoomID
	Sent int64 // milliseconds
	Type string
}

// glanceAt reads an event's header; ok is false when it shows no event id. Each
// field is read by itself, so that a bad one does not hide the others.
func glanceAt(raw json.RawMessage) (g glance, ok bool) {
	err := members(raw, func(key string, value json.RawMessage) {
		// A field of another type stays empty.
		switch key {
		case "event_id":
			_ = json.Unmarshal(value, &g.ID)
		case "room_id":
			_ = json.Unmarshal(value, &g.Room)
		case "type":
			_ = json.Unmarshal(value, &g.Type)
		case "origin_server_ts":
			_ = json.Unmarshal(value, &g.Sent)
		}
	})
	return g, err == nil && g.ID != ""
}
