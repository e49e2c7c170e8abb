package ledger

import (
	"context"
	"iter"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Summary counts rows by state, for log, status and metrics.
type Summary struct {
	Events, Rooms, Authors, Posts, Attachments map[string]int
	// Undecrypted counts undecrypted events by reason.
	Undecrypted map[string]int
	OpenGaps    int // in rooms that are imported
	LostGaps    int
	Targets     int       // still to be fetched
	Waiting     int       // undecrypted events with a key to try
	OldestDue   time.Time // when the oldest due post was received; zero: none
	Batches     int64     // the counter
}

// Counts counts.
func (l *Ledger) Counts(ctx context.Context) (Summary, error) { panic("not written") }

// CaughtUp reports whether there is nothing left to do: nothing due or sent, no file
// to fetch or attach, no gap, target or key to work on. Posts whose room or author is
// dead do not count: they wait for an operator.
func (l *Ledger) CaughtUp(ctx context.Context) (bool, error) { panic("not written") }

// Missing is something that is not in OpenCTI, with the reason.
type Missing struct {
	What   string // "event", "post", "room", "author", "attachment", "gap", "target"
	State  string
	Room   id.RoomID
	Event  id.EventID
	Index  int // of an attachment
	User   id.UserID
	Reason string
	Cause  string
	Sent   time.Time
}

// Missing walks over everything that is not in OpenCTI and is not on its way:
// undecrypted, skipped and unreadable events, dead rows, refused and lost
// attachments, lost gaps, missing targets.
func (l *Ledger) Missing(ctx context.Context) iter.Seq2[Missing, error] { panic("not written") }

// Room gives what is known of a room; [ErrUnknown] when it was never seen.
func (l *Ledger) Room(ctx context.Context, room id.RoomID) (timeline.RoomState, error) {
	panic("not written")
}

// Rooms lists all rooms.
func (l *Ledger) Rooms(ctx context.Context) ([]timeline.RoomState, error) { panic("not written") }

// Draft gives a post as it would be sent, whatever its state; [ErrUnknown] when there
// is no such post. For the attacher and for commands.
func (l *Ledger) Draft(ctx context.Context, room id.RoomID, event id.EventID) (timeline.Draft, error) {
	panic("not written")
}
