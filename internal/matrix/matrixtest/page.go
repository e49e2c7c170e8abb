package matrixtest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// page is an answer of /messages on its way into text.
type page struct {
	room   *Room
	text   []byte
	events int
}

func (r *Room) newPage(from int) *page {
	return &page{room: r, text: fmt.Appendf(nil, `{"start":"t%d","chunk":[`, from)}
}

func (p *page) add(raw json.RawMessage) {
	if p.events > 0 {
		p.text = append(p.text, ',')
	}
	p.text = p.room.appendEvent(p.text, raw)
	p.events++
}

// write ends the page: end is the token of the next one, empty for none.
func (p *page) write(c *call, end string, state []json.RawMessage) {
	p.text = append(p.text, ']')
	for i, raw := range state {
		if i == 0 {
			p.text = append(p.text, `,"state":[`...)
		} else {
			p.text = append(p.text, ',')
		}
		p.text = append(p.text, raw...)
	}
	if len(state) > 0 {
		p.text = append(p.text, ']')
	}
	if end != "" {
		p.text = fmt.Appendf(p.text, `,"end":"%s"`, end)
	}
	writeBody(c.w, http.StatusOK, append(p.text, '}'))
}
