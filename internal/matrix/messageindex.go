package matrix

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"
)

// ValidateMessageIndex reports whether an index of a session belongs to this event: the
// first one that showed it keeps it, and another one is a replay (Matrix C-S API,
// "Protection against replay attacks").
//
// Whoever is in the room can show somebody's ciphertext as his own, and be met first: pages of
// the past are read backwards. So the index is that of the session's owner; an event of anybody
// else's has it for this sender alone, and only as long as the owner's has not been seen. The
// library also calls this before it has looked which room the message is meant for; so it is
// kept apart by room where two rooms have the same session.
func (g *guard) ValidateMessageIndex(ctx context.Context, session id.SessionID, event id.EventID, index uint, timestamp int64) (bool, error) {
	c := callsOf(ctx)
	if c == nil || c.session == nil || c.session.ID() != session {
		return note(ctx, "validate message index", false, errStray)
	}
	c.taken = ""
	owned, err := g.owns(ctx, c.sender, c.session)
	if err != nil {
		return false, err
	}
	space := indexSpace(c.session, c.beside)
	own, other := space, space+" "+c.sender.String()
	if !owned {
		own, other = other, own
	}
	ok, err := g.takeIndex(ctx, own, other, event, index, timestamp)
	if err == nil && !ok {
		err = g.DB.QueryRow(ctx, `SELECT event_id FROM crypto_message_index WHERE session_id IN ($1, $2) AND "index"=$3 AND event_id<>$4`,
			own, other, index, event).Scan(&c.taken)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil // it is the same event, with another time
		}
	}
	return note(ctx, "validate message index", ok, err)
}

// indexSpace is under what the indexes of a session stand. Behind it, and a blank, stand those
// that others than its owner have shown.
func indexSpace(s *crypto.InboundGroupSession, beside bool) string {
	if beside {
		return s.ID().String() + "/" + s.RoomID.String()
	}
	return s.ID().String()
}

// owns reports whether a session is known to be this sender's.
func (g *guard) owns(ctx context.Context, sender id.UserID, s *crypto.InboundGroupSession) (bool, error) {
	if s.KeySource == id.KeySourceDirect && s.SourceUser != "" {
		return s.SourceUser == sender, nil
	}
	d, err := g.FindDeviceByKey(ctx, sender, s.SenderKey)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return d != nil, err
}

const takeFreeIndex = `INSERT INTO crypto_message_index (session_id, "index", event_id, timestamp) SELECT ?1, ?2, ?3, ?4
	WHERE NOT EXISTS (SELECT 1 FROM crypto_message_index WHERE session_id=?5 AND "index"=?2 AND NOT (event_id=?3 AND timestamp=?4))
	ON CONFLICT DO NOTHING`

// takeIndex takes an index for an event. It is free where neither of the two places has it for
// another one.
func (g *guard) takeIndex(ctx context.Context, own, other string, event id.EventID, index uint, timestamp int64) (bool, error) {
	take, err := g.rows.Prepared(ctx, takeFreeIndex) //nolint:sqlclosecheck // the store closes it
	if err != nil {
		return false, err
	}
	result, err := take.ExecContext(ctx, own, index, event, timestamp, other)
	if err != nil {
		return false, fmt.Errorf("note message index: %w", err)
	}
	if taken, err := result.RowsAffected(); err != nil || taken > 0 {
		return err == nil, err
	}
	var others int
	err = g.DB.QueryRow(ctx, `SELECT count(*) FROM crypto_message_index WHERE session_id IN ($1, $2) AND "index"=$3 AND NOT (event_id=$4 AND timestamp=$5)`,
		own, other, index, event, timestamp).Scan(&others)
	return err == nil && others == 0, err
}

// provenFrom is the lowest index from at on that the session has opened a message with; -1
// for none.
func (g *guard) provenFrom(ctx context.Context, space string, at uint) (int64, error) {
	var index int64
	err := g.DB.QueryRow(ctx, `SELECT coalesce(min("index"), -1) FROM crypto_message_index
		WHERE (session_id=$1 OR session_id>$1||' ' AND session_id<$1||'!') AND "index">=$2`, space, at).Scan(&index)
	return index, err
}
