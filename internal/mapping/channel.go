package mapping

import (
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Limits of what a room says about itself, in characters.
const (
	maxRoomName = 120
	maxTopic    = 4000
)

// Channel maps a room. Name and alias both hold the room's key: a display name
// alone, as name or alias, would make one Channel of two rooms that share it.
func (m *Mapper) Channel(room timeline.RoomState) *stix.Channel {
	created := known(room.Room.Created)
	key := roomKey(room)
	return &stix.Channel{
		ID:          RoomObjectID(room),
		Created:     created,
		Modified:    created,
		Name:        channelName(room.Room.Name, room.Room.ID.String(), key),
		Description: Inert(strings.Join(roomFacts(room.Room, key), "\n")),
		Aliases:     []string{key},
		Types:       []string{channelType},
		Confidence:  m.c.Confidence,
		Markings:    markingRefs(m.rule(room.Room).Marking),
	}
}

// roomKey is what a room's Channel is known by.
func roomKey(room timeline.RoomState) string {
	if room.Key != "" {
		return room.Key
	}
	return room.Room.ID.String()
}

// channelName is "<display name> (<key>)", or the key alone for a room without a
// name.
func channelName(name, room, key string) string {
	name = OneLine(name, maxRoomName)
	if name == "" || name == OneLine(room, maxRoomName) || name == key {
		return key
	}
	return name + " (" + key + ")"
}

// roomFacts are the lines of a Channel's description.
func roomFacts(room timeline.Room, key string) []string {
	var lines []string
	if key != room.ID.String() {
		lines = append(lines, "Room: "+OneLine(room.ID.String(), timeline.MaxIDBytes))
	}
	if topic := cutText(room.Topic, maxTopic); strings.TrimSpace(topic) != "" {
		lines = append(lines, "Topic: "+topic)
	}
	if room.Alias != "" {
		lines = append(lines, "Address: "+OneLine(room.Alias.String(), timeline.MaxIDBytes))
	}
	if room.Type == "m.space" {
		lines = append(lines, "This room is a space.")
	}
	if room.Encrypted {
		lines = append(lines, "End-to-end encrypted: yes")
	} else {
		lines = append(lines, "End-to-end encrypted: no")
	}
	if room.Server != "" {
		lines = append(lines, "Read through the homeserver: "+OneLine(room.Server, timeline.MaxIDBytes))
	}
	if room.Predecessor != "" {
		lines = append(lines, "Says that it replaces the room: "+OneLine(room.Predecessor.String(), timeline.MaxIDBytes))
	}
	if room.Successor != "" {
		lines = append(lines, "Says that it is replaced by the room: "+OneLine(room.Successor.String(), timeline.MaxIDBytes))
	}
	return lines
}

// cutText is a text of at most limit characters, cut with a mark.
func cutText(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit]) + " […]"
}
