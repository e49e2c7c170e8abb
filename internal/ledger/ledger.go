package ledger

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Config is what a ledger needs.
type Config struct {
	Store *store.Store
	Log   *slog.Logger // nil: silent
	// Clock tells the time of due dates; nil: time.Now.
	Clock func() time.Time
	// Self is the bot: its own events are skipped("own").
	Self id.UserID
	// Start is the import start date: what was sent before it is
	// skipped("before_start_date"), and of such an event only its id, times and state
	// are kept. The exception is an event that something newer replies to or edits:
	// it is imported, so that links do not dangle. Zero: no bound.
	Start time.Time
	// SkipRoom says why a room is not imported (room rules), "" when it is. It must
	// be pure, and its reasons come from a small closed set. Events of such a room
	// are skipped(reason) and kept, so that [Ledger.Reconsider] can take the room
	// back in. nil: all rooms are imported.
	SkipRoom func(timeline.Room) (reason string)
	// Hold is how long a first-time post waits for the target of its reply or thread
	// to land, so that the relation goes with it; 0: two minutes.
	Hold time.Duration
}

// Ledger is the memory of one account. It is safe for concurrent use.
type Ledger struct {
	store *store.Store
	log   *slog.Logger
	clock func() time.Time
	self  id.UserID
	start time.Time
	skip  func(timeline.Room) string
	hold  time.Duration

	mu      sync.Mutex
	changed chan struct{} // closed by the next change
}

// New makes a ledger. It touches nothing; call [Ledger.Open] before anything else.
func New(c Config) *Ledger { panic("not written") }

// Open makes the tables or brings them to their newest version.
func (l *Ledger) Open(ctx context.Context) error { panic("not written") }

// Changed gives a channel that is closed after the next commit that may have made
// something due. Take it before looking for work, wait on it when there is none:
//
//	changed := l.Changed()
//	batch, err := l.Due(ctx, max)
//	if empty { select { case <-changed: case <-time.After(until(l.NextDue(ctx))): } }
func (l *Ledger) Changed() <-chan struct{} { panic("not written") }

// Counter is the number of batches that were recorded: something that only grows,
// for the state that the connector shows the platform.
func (l *Ledger) Counter(ctx context.Context) (int64, error) { panic("not written") }

// The journal of matrix (matrix.Journal documents them).

// Token is the sync token up to which everything is recorded; empty at first.
func (l *Ledger) Token(ctx context.Context) (string, error) { panic("not written") }

// Record stores a batch, in the transaction of ctx where there is one.
func (l *Ledger) Record(ctx context.Context, b timeline.Batch) error { panic("not written") }

// Known reports which of the events are recorded and need nothing more: an event
// that was skipped for a start date which has moved is not known.
func (l *Ledger) Known(ctx context.Context, room id.RoomID, ids []id.EventID) (map[id.EventID]bool, error) {
	panic("not written")
}

// Newest is the newest event of a room by /sync, empty for none: the neighbour of
// a gap that opens. Gaps and history arrive later and are older; they do not count.
func (l *Ledger) Newest(ctx context.Context, room id.RoomID) (id.EventID, error) {
	panic("not written")
}

// Waiting lists undecrypted events for whose session a key was recorded since
// their last attempt, oldest first. The outcome is recorded as [timeline.Retried].
func (l *Ledger) Waiting(ctx context.Context, max int) ([]timeline.Undecrypted, error) {
	panic("not written")
}

// Reconsider applies changed settings (start date, room rules) to what is already
// recorded. Call it once at start, after Open: events of a room that is now imported
// are read, posts of a room that no longer is and that never landed become
// dead("room_rule"), and when the start date moved back history is opened again.
func (l *Ledger) Reconsider(ctx context.Context) error { panic("not written") }

// Reset forgets what has landed: the platform asks for everything again
// (opencti.md §2.4). Every post, room and author gets a new revision and is due,
// attached files are wanted again, and history is opened again from the start date.
func (l *Ledger) Reset(ctx context.Context) error { panic("not written") }
