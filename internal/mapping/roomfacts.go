package mapping

import (
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// maxTopic bounds what a room says about itself, in characters; maxSpaces how many spaces
// are named.
const (
	maxTopic  = 4000
	maxSpaces = 10
)

// roomFacts are the lines of a Channel's description.
func roomFacts(state timeline.RoomState, key string) []string {
	room := state.Room
	var lines []string
	if key != room.ID.String() {
		lines = append(lines, "Room: "+oneID(room.ID.String()))
	}
	if topic := cutText(room.Topic, maxTopic); strings.TrimSpace(topic) != "" {
		// A line of a topic must not be taken for one of ours.
		lines = append(lines, "Topic: "+strings.ReplaceAll(breaks.Replace(topic), "\n", "\n│ "))
	}
	if room.Alias != "" {
		lines = append(lines, "Address: "+oneID(room.Alias.String()))
	}
	if room.Type == "m.space" {
		lines = append(lines, "This room is a space.")
	}
	if room.Encrypted {
		lines = append(lines, "End-to-end encrypted: yes")
	} else {
		lines = append(lines, "End-to-end encrypted: no")
	}
	if room.Avatar != "" {
		lines = append(lines, "Picture: "+oneID(room.Avatar))
	}
	if room.Server != "" {
		lines = append(lines, "Read through the homeserver: "+oneID(room.Server))
	}
	lines = append(lines, spaceFacts(state.Spaces)...)
	if room.Predecessor != "" {
		lines = append(lines, upgradeFact("replaces", room.Predecessor, state.Old != nil))
	}
	if room.Successor != "" {
		lines = append(lines, upgradeFact("is replaced by", room.Successor, state.New != nil))
	}
	return append(lines, membershipFacts(room)...)
}

// spaceFacts name the spaces that hold a room, where both say so.
func spaceFacts(spaces []timeline.LinkedRoom) []string {
	var lines []string
	for i, space := range spaces {
		if i == maxSpaces {
			return append(lines, "And in "+strconv.Itoa(len(spaces)-i)+" more spaces.")
		}
		lines = append(lines, "In the space: "+channelName(space.Name, space.ID.String(), space.ID.String()))
	}
	return lines
}

// upgradeFact says what a room replaces, or by what it is replaced: a claim that anybody
// may make of any room, unless the other room says the same.
func upgradeFact(verb string, other id.RoomID, confirmed bool) string {
	text := "Says that it " + verb + " the room: " + oneID(other.String())
	if confirmed {
		text += " (which says the same)"
	}
	return text
}

// membershipFacts say why a room's news have ended.
func membershipFacts(room timeline.Room) []string {
	switch {
	case room.Membership == timeline.MembershipBan:
		return []string{"No longer read: banned by " + orSomebody(room.Removed)}
	case room.Membership == timeline.MembershipLeave && room.Removed != "":
		return []string{"No longer read: removed by " + orSomebody(room.Removed)}
	case room.Membership == timeline.MembershipLeave:
		return []string{"No longer read: the connector's account has left the room"}
	}
	return nil
}

func orSomebody(user id.UserID) string {
	if user == "" {
		return "somebody"
	}
	return oneID(user.String())
}

// oneID shows an id or address on one line.
func oneID(text string) string { return OneLine(text, timeline.MaxIDBytes) }

// cutText is a text of at most limit characters, cut with a mark.
func cutText(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit]) + " […]"
}
