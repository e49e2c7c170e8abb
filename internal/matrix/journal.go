package matrix

import (
	"context"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Journal is the memory that an [Account] reports to. The ledger implements it.
type Journal interface {
	// Token is the sync token up to which everything is recorded; empty at first.
	Token(ctx context.Context) (string, error)
	// Record stores a batch. It is called inside the store's transaction together
	// with the crypto state: it must use ctx for every statement and must not do
	// anything that the transaction cannot take back.
	Record(ctx context.Context, b timeline.Batch) error
	// Known reports which of the events are recorded, whatever their state.
	Known(ctx context.Context, room id.RoomID, ids []id.EventID) (map[id.EventID]bool, error)
	// Newest is the newest recorded event of a room (by arrival), empty for none:
	// the neighbour of a gap that opens.
	Newest(ctx context.Context, room id.RoomID) (id.EventID, error)
	// Waiting lists undecrypted events whose session has a key reference recorded
	// since their last attempt, oldest first.
	Waiting(ctx context.Context, limit int) ([]timeline.Undecrypted, error)
	// Needed lists sessions that undecrypted events wait for, in the order of session and
	// room, from the one after after on.
	Needed(ctx context.Context, after timeline.KeyNeed, limit int) ([]timeline.KeyNeed, error)
	// AwaitsKey reports whether an undecrypted event waits for a key of the session.
	AwaitsKey(ctx context.Context, room id.RoomID, session id.SessionID) (bool, error)
}
