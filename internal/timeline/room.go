package timeline

import (
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
	// Predecessor is the room that this one says it replaces, Successor the room
	// that this one's tombstone names. Both are claims until they agree.
	Predecessor, Successor id.RoomID
}
