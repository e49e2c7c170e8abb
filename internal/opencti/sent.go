package opencti

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// sent is what an object says on its way out, read from its own JSON, so that
// what is compared is what was sent.
type sent struct {
	ID   stix.ID `json:"id"`
	Type string  `json:"type"`

	URL         string `json:"url"`
	Title       string `json:"title"`
	Content     string `json:"content"`
	Description string `json:"x_opencti_description"`

	CreatedBy         stix.ID   `json:"created_by_ref"`
	ObservableCreated stix.ID   `json:"x_opencti_created_by_ref"`
	Markings          []stix.ID `json:"object_marking_refs"`

	Source    stix.ID `json:"source_ref"`
	Target    stix.ID `json:"target_ref"`
	StartTime string  `json:"start_time"`
}

func readSent(o stix.Object) (sent, error) {
	text, err := stix.Marshal(o)
	if err != nil {
		return sent{}, err
	}
	var s sent
	if err := json.Unmarshal(text, &s); err != nil {
		return sent{}, err
	}
	s.ID, s.Type = o.ObjectID(), o.ObjectType()
	return s, nil
}

// author is the object's author; importers read either key, the first one wins.
func (s sent) author() stix.ID {
	if s.CreatedBy != "" {
		return s.CreatedBy
	}
	return s.ObservableCreated
}

// refsOf are the ids of all objects that the batch refers to and that are read
// back with it: everything but markings.
func refsOf(b stix.Bundle) []stix.ID {
	seen := map[stix.ID]bool{}
	var ids []stix.ID
	add := func(id stix.ID) {
		if id != "" && !seen[id] && id.Type() != stix.TypeMarking {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	for _, o := range b.Objects {
		add(o.ObjectID())
	}
	for _, o := range b.Objects {
		for _, ref := range o.Refs() {
			add(ref)
		}
	}
	return ids
}

// sameText compares texts as a platform may give them back: with the blanks at
// both ends trimmed.
func sameText(a, b string) bool { return trimText(a) == trimText(b) }

func trimText(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' })
}

// sameTime compares instants to the millisecond, which is what a platform keeps.
func sameTime(a, b string) bool {
	ta, errA := time.Parse(time.RFC3339Nano, a)
	tb, errB := time.Parse(time.RFC3339Nano, b)
	if errA != nil || errB != nil {
		return a == b
	}
	return ta.UnixMilli() == tb.UnixMilli()
}
