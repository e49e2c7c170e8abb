package matrix

import (
	"context"
	"encoding/json"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// absorb reads events of a room, oldest first, into b: each ends in exactly one of
// Events, Undecrypted and Unreadable. live is true for news from /sync. It runs
// inside [Account.transact]; state events change what is known of the room only
// where the caller has done so.
func (a *Account) absorb(ctx context.Context, m *machine, b *timeline.Batch, room id.RoomID, raws []json.RawMessage, live bool) error {
	return nil
}
