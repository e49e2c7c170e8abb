package ledger

import (
	"context"

	"maunium.net/go/mautrix/id"
)

// Class is the class of a failure (style: temporary, rate_limited, unauthorized,
// permanent). The ledger stores it and gives it back; it decides nothing.
type Class string

// Send moves the rows of a batch from due to sent under a receipt, which is stored
// as opened. A row that says something newer by now, or is no longer due, stays as
// it is.
func (l *Ledger) Send(ctx context.Context, receipt string, b Batch) error { panic("not written") }

// Published notes that everything of the receipt was taken by the sink.
func (l *Ledger) Published(ctx context.Context, receipt string) error { panic("not written") }

// InFlight gives the oldest receipt with rows that are still sent, and these rows as
// they were sent; ok is false when there is none. published tells whether
// [Ledger.Published] was reached.
func (l *Ledger) InFlight(ctx context.Context) (receipt string, published bool, b Batch, ok bool, err error) {
	panic("not written")
}

// Land notes that the sink holds a revision of a row: sent (or due, after an
// amendment) becomes landed. When the row says something newer by now it stays due.
// Posts that went without a relation to a post that lands get a new revision.
func (l *Ledger) Land(ctx context.Context, r Ref, revision int64) error { panic("not written") }

// Defer makes a row due again later, by the retry curve (see [Delay]), and notes why.
// reason is a constant phrase, never text of a message.
func (l *Ledger) Defer(ctx context.Context, r Ref, class Class, reason string) error {
	panic("not written")
}

// Kill gives a row up: dead, visible, until an operator requeues it.
func (l *Ledger) Kill(ctx context.Context, r Ref, reason string) error { panic("not written") }

// Lapse makes everything that is still sent under a receipt due again at once. A row
// that lapses for the [MaxLapses]th time in a row is dead("unconfirmed") instead.
func (l *Ledger) Lapse(ctx context.Context, receipt string) error { panic("not written") }

// MissingEnd notes that the sink refused a post because an end of its relations is
// missing there: its room and author are due again as if they had never landed, and
// so is the post, by the retry curve.
func (l *Ledger) MissingEnd(ctx context.Context, r Ref) error { panic("not written") }

// Requeue makes a dead row due again, or a lost or refused attachment wanted.
func (l *Ledger) Requeue(ctx context.Context, r Ref) error { panic("not written") }

// SetRoomKey says what the Channel's id is to be made of, where it is not the room
// id: the sink holds a Channel that carries another room's id. Call it before the
// room is first sent; a room that had landed is due again as if it had not.
func (l *Ledger) SetRoomKey(ctx context.Context, room id.RoomID, key string) error {
	panic("not written")
}
