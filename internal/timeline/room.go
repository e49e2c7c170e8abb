package timeline

import (
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"
)

// Membership is the bot's membership of a room.
type Membership string

// The memberships that matter to a reader.
const (
	MembershipJoin   Membership = "join"
	MembershipInvite Membership = "invite"
	MembershipLeave  Membership = "leave"
	MembershipBan    Membership = "ban"
)

// Room is what is known of a room.
type Room struct {
	ID id.RoomID
	// Name is the computed display name (Matrix C-S API, "Calculating the display
	// name for a room"): never empty, the room id when nothing better is known.
	Name       string
	Topic      string
	Alias      id.RoomAlias // canonical alias, may be empty
	Server     string       // the bot's homeserver name
	Creator    id.UserID
	Type       string    // m.room.create type, e.g. "m.space"; empty for a chat room
	Version    string    // room version
	Created    time.Time // of m.room.create; zero when it was not seen
	Encrypted  bool      // sticky: once encrypted, always encrypted
	Membership Membership
	// Removed is who took the bot out of the room: empty where it is in it, or left by itself.
	Removed id.UserID
	Avatar  string // mxc:// address of the room's picture
	// Astray says that the bot came in on the word of another room's tombstone, which this
	// room does not confirm: nobody has asked for it to be read.
	Astray bool
	// Parents are the spaces that the room says it is in, Children the rooms that a space
	// says are in it. They are claims until they agree.
	Parents, Children RoomIDs
	// Predecessor is the room that this one says it replaces, Successor the room
	// that this one's tombstone names. Both are claims until they agree.
	Predecessor, Successor id.RoomID
}

// MaxLinks bounds how many spaces a room, and how many rooms a space may name.
const MaxLinks = 1000

// RoomIDs is a list of room ids that can be compared: each once, in their order, one a
// line.
type RoomIDs string

// JoinRoomIDs makes a list of ids, without those that are none and those beyond
// [MaxLinks].
func JoinRoomIDs(ids []id.RoomID) RoomIDs {
	var list []string
	for _, room := range ids {
		if text := string(room); len(text) > 1 && len(text) <= MaxIDBytes && text[0] == '!' && !strings.ContainsAny(text, "\n\r") {
			list = append(list, text)
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return RoomIDs(strings.Join(list[:min(len(list), MaxLinks)], "\n"))
}

// All are the ids of the list.
func (r RoomIDs) All() []id.RoomID {
	if r == "" {
		return nil
	}
	var ids []id.RoomID
	for text := range strings.SplitSeq(string(r), "\n") {
		ids = append(ids, id.RoomID(text))
	}
	return ids
}

// Has reports whether the list holds an id.
func (r RoomIDs) Has(room id.RoomID) bool {
	_, found := slices.BinarySearch(r.All(), room)
	return found
}
