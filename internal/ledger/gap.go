package ledger

import (
	"context"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Gaps lists open gaps whose time has come, limited ones before history, oldest
// first; none of rooms that are not imported. Their pages are recorded with
// [timeline.Batch.Progress]. A history gap with an empty From starts at the newest
// event of the room.
func (l *Ledger) Gaps(ctx context.Context, max int) ([]timeline.Gap, error) { panic("not written") }

// DeferGap makes a gap wait by the retry curve.
func (l *Ledger) DeferGap(ctx context.Context, gap int64, class Class, reason string) error {
	panic("not written")
}

// Target is an event that a reply, thread or edit refers to and that the ledger
// does not hold.
type Target struct {
	Room id.RoomID
	ID   id.EventID
}

// Targets lists events to fetch whose time has come. A target is resolved by Record:
// its event arrives, or stands in [timeline.Batch.Missing].
func (l *Ledger) Targets(ctx context.Context, max int) ([]Target, error) { panic("not written") }

// DeferTarget makes a target wait by the retry curve.
func (l *Ledger) DeferTarget(ctx context.Context, t Target, class Class, reason string) error {
	panic("not written")
}
