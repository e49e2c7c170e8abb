package ledger

import (
	"errors"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Kind is the kind of row that a [Ref] names (closed set).
type Kind string

// The kinds.
const (
	KindRoom       Kind = "room"
	KindAuthor     Kind = "author"
	KindPost       Kind = "post"
	KindAttachment Kind = "attachment" // for Requeue only
)

// Ref names a row that is delivered.
type Ref struct {
	Kind  Kind
	Room  id.RoomID  // of a room, post, attachment
	Event id.EventID // of a post, attachment
	Index int        // of an attachment
	User  id.UserID  // of an author
	// Revision is what the outcome is about. When the row says something newer
	// by now, a failure of the older revision is void and the row stays due. 0: about
	// whatever the row says.
	Revision int64
}

// PostRef names the post of a draft, as it was drafted.
func PostRef(d timeline.Draft) Ref {
	return Ref{Kind: KindPost, Room: d.Post.Room, Event: d.Post.ID, Revision: d.Revision}
}

// RoomRef names a room, as it was drafted.
func RoomRef(r timeline.RoomState) Ref {
	return Ref{Kind: KindRoom, Room: r.Room.ID, Revision: r.Revision}
}

// AuthorRef names an author, as it was drafted.
func AuthorRef(a timeline.Author) Ref {
	return Ref{Kind: KindAuthor, User: a.User, Revision: a.Revision}
}

// ErrUnknown is what a method answers that is asked about a row that does not exist.
var ErrUnknown = errors.New("no such row in the ledger")

// ErrTransition is what a method answers when the drawing has no such transition
// from the row's state. The row is as it was.
var ErrTransition = errors.New("no such transition")
