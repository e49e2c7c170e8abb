package matrix

import (
	"encoding/json"
	"fmt"
)

// page is one answer of /messages (Matrix C-S API, "GET
// /rooms/{roomId}/messages"), taken apart as far as needed to treat each event by
// itself.
type page struct {
	Chunk []json.RawMessage // as received: newest first when read backwards
	State []json.RawMessage // members who speak in it, for their names
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
		case key == "state" && string(value) != "null":
			p.State, _ = elements(value) // names only: not worth a failed page
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
