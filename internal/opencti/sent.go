package opencti

import (
	"time"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// sent is what an object says on its way out, as far as it is compared with what
// the platform holds.
type sent struct {
	ID   stix.ID
	Type string

	URL         string
	Title       string
	Content     string
	Description string

	Author   stix.ID
	Markings []stix.ID

	Source stix.ID
	Target stix.ID
	Start  time.Time
}

// readSent reads an object. One of another kind than the connector makes is compared
// by its id and type alone.
func readSent(o stix.Object) sent {
	s := sent{ID: o.ObjectID(), Type: o.ObjectType()}
	switch o := o.(type) {
	case *stix.Channel:
		s.Markings = o.Markings
	case *stix.Identity:
		s.Markings = o.Markings
	case *stix.MediaContent:
		s.URL, s.Title, s.Content, s.Description = o.URL, o.Title, o.Content, o.Description
		s.Author, s.Markings = o.Author, o.Markings
	case *stix.Relationship:
		s.Source, s.Target, s.Start, s.Markings = o.Source, o.Target, o.Start, o.Markings
	}
	return s
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

func trimText(s string) string { return stix.TrimText(s) }

// sameTime reports whether a platform holds an instant, of which it keeps the
// milliseconds.
func sameTime(sent time.Time, held string) bool {
	t, err := time.Parse(time.RFC3339Nano, held)
	return err == nil && t.UnixMilli() == sent.UnixMilli()
}
