package ledger

import (
	"context"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Batch is what is delivered together: rooms and authors first, then posts, each
// target of a reply or thread before what refers to it.
type Batch struct {
	Rooms   []timeline.RoomState
	Authors []timeline.Author
	Drafts  []timeline.Draft
}

// Empty reports whether there is nothing in it.
func (b Batch) Empty() bool {
	return len(b.Rooms) == 0 && len(b.Authors) == 0 && len(b.Drafts) == 0
}

// Len is the number of rows.
func (b Batch) Len() int { return len(b.Rooms) + len(b.Authors) + len(b.Drafts) }

// Due lists what is to be delivered and whose time has come, at most max rows:
// rooms and authors, then posts whose room and author have landed, live ones before
// history, oldest first. A row with Landed > 0 says something else than what has
// landed. Due changes nothing; [Ledger.Send] does.
//
// A post that has never landed waits at most [Config.Hold] for the target of its
// reply or thread to land or to be fetched, unless the target goes in the same
// batch. After that it goes without the relation, and gets a new revision when the
// target lands after all.
func (l *Ledger) Due(ctx context.Context, max int) (Batch, error) { panic("not written") }

// NextDue is the earliest time in the future at which Due, Wanted, ReadyToAttach,
// Gaps or Targets may have more to give; zero when only a change can bring more.
func (l *Ledger) NextDue(ctx context.Context) (time.Time, error) { panic("not written") }
