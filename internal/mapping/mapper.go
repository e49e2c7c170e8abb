package mapping

import (
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Config says how posts are marked and linked.
type Config struct {
	// Marking is the id of the marking on everything that no rule says otherwise
	// about. The marking itself is never sent: every platform has it.
	Marking stix.ID
	// Labels stand on every message that no rule says otherwise about.
	Labels []string
	// Rule gives what holds for one room; nil, or a zero field, means the defaults.
	Rule func(timeline.Room) Rule
	// Confidence is written on domain objects and relationships, from 0 to 100;
	// nil leaves it to the platform.
	Confidence *int
	// PermalinkBase is what room and event are appended to; empty means
	// [DefaultPermalinkBase].
	PermalinkBase string
	// AutoImport lets the platform's file importers run on attachments.
	AutoImport bool
}

// Rule is what holds for one room.
type Rule struct {
	Marking stix.ID
	Labels  []string
}

// DefaultPermalinkBase is the resolver that Matrix clients share.
const DefaultPermalinkBase = "https://matrix.to/#/"

// category and channelType are the words by which messages and rooms are found on
// the platform.
const (
	category    = "matrix"
	channelType = "Matrix"
)

// Mapper maps. It keeps no state and is safe for concurrent use.
type Mapper struct {
	c Config
}

// New makes a mapper.
func New(c Config) *Mapper {
	if c.PermalinkBase == "" {
		c.PermalinkBase = DefaultPermalinkBase
	}
	return &Mapper{c: c}
}

// rule is what holds for a room, defaults filled in.
func (m *Mapper) rule(room timeline.Room) Rule {
	var r Rule
	if m.c.Rule != nil {
		r = m.c.Rule(room)
	}
	if r.Marking == "" {
		r.Marking = m.c.Marking
	}
	if r.Labels == nil {
		r.Labels = m.c.Labels
	}
	return r
}

// markingRefs is a list of the one marking, or none.
func markingRefs(marking stix.ID) []stix.ID {
	if marking == "" {
		return nil
	}
	return []stix.ID{marking}
}

// LabelRedacted is the label of a message that was deleted in its room and that the
// settings keep.
const LabelRedacted = "redacted"

// labels are as the platform keeps them, so that ids and searches agree.
func labels(values []string, kept bool) []string {
	var list []string
	if kept && !slices.Contains(values, LabelRedacted) {
		values = append(slices.Clone(values), LabelRedacted)
	}
	for _, value := range values {
		if value = stix.Label(OneLine(value, maxLabel)); value != "" {
			list = append(list, value)
		}
	}
	return list
}

const maxLabel = 100

// known is a time that STIX can say. A domain object must have one (STIX 2.1 §3.2);
// where nothing is known it is 1970-01-01, which the platform shows as no date.
func known(t time.Time) time.Time {
	if t.IsZero() {
		return timeline.ClampTime(0)
	}
	return timeline.ClampTime(t.UnixMilli())
}

// MessageID is the id of the Media-Content that a message becomes. Its url is the
// event id, as in the Python connector, so that its objects are adopted.
func MessageID(event id.EventID) stix.ID { return stix.MediaContentID(event.String()) }

// RoomObjectID is the id of the Channel that a room becomes.
func RoomObjectID(room timeline.RoomState) stix.ID { return stix.ChannelID(roomKey(room)) }

// AuthorObjectID is the id of the Individual that an author becomes.
func AuthorObjectID(author timeline.Author) stix.ID { return stix.IndividualID(authorKey(author)) }
