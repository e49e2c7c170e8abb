package mapping

import (
	"strings"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// maxRoomName bounds a room's name, in characters.
const maxRoomName = 120

// Room maps a room to its Channel, which stands first, and the relation to the Channel of
// the room that it replaces: only where both rooms say so, and where that one has landed.
func (m *Mapper) Room(room timeline.RoomState) []stix.Object {
	channel := m.Channel(room)
	if room.Old == nil || !room.Old.Landed {
		return []stix.Object{channel}
	}
	// Without a start: what is known of the time is a claim, and another one would be
	// another relation.
	derived := stix.NewRelationship(stix.DerivedFrom, channel.ID, stix.ChannelID(room.Old.Key), time.Time{}, channel.Created, channel.Markings...)
	derived.Confidence = m.c.Confidence
	return []stix.Object{channel, derived}
}

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
		Description: Inert(strings.Join(roomFacts(room, key), "\n")),
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
