package matrix

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"

	"maunium.net/go/mautrix/id"
)

// The calls of the crypto store that come with every event.

// ValidateMessageIndex reports whether an index of a session belongs to this event: the
// first one that showed it keeps it, and another one is a replay (Matrix C-S API,
// "Protection against replay attacks").
func (g *guard) ValidateMessageIndex(ctx context.Context, session id.SessionID, event id.EventID, index uint, timestamp int64) (bool, error) {
	ok, err := g.ownIndex(ctx, session, event, index, timestamp)
	return note(ctx, "validate message index", ok, err)
}

func (g *guard) ownIndex(ctx context.Context, session id.SessionID, event id.EventID, index uint, timestamp int64) (bool, error) {
	take, err := g.rows.Prepared(ctx, `INSERT INTO crypto_message_index (session_id, "index", event_id, timestamp) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`) //nolint:sqlclosecheck // the store closes it
	if err != nil {
		return false, err
	}
	result, err := take.ExecContext(ctx, session, index, event, timestamp)
	if err != nil {
		return false, fmt.Errorf("note message index: %w", err)
	}
	if taken, err := result.RowsAffected(); err != nil || taken > 0 {
		return err == nil, err
	}
	var same bool
	err = g.DB.QueryRow(ctx, `SELECT event_id=$3 AND timestamp=$4 FROM crypto_message_index WHERE session_id=$1 AND "index"=$2`,
		session, index, event, timestamp).Scan(&same)
	return same, err
}

// FindDeviceByKey gives a copy, as the database would.
func (g *guard) FindDeviceByKey(ctx context.Context, user id.UserID, key id.IdentityKey) (*id.Device, error) {
	place := deviceKey{user, key}
	d, ok := g.identities.devices[place]
	if !ok {
		var err error
		d, err = g.SQLCryptoStore.FindDeviceByKey(ctx, user, key)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if err != nil {
			return nil, noted(ctx, "find device by key", err)
		}
		remember(&g.identities.devices, place, d)
	}
	if d == nil {
		return nil, nil
	}
	fresh := *d
	return &fresh, nil
}

func (g *guard) GetCrossSigningKeys(ctx context.Context, user id.UserID) (map[id.CrossSigningUsage]id.CrossSigningKey, error) {
	keys, ok := g.identities.signers[user]
	if !ok {
		var err error
		if keys, err = g.SQLCryptoStore.GetCrossSigningKeys(ctx, user); err != nil {
			return nil, noted(ctx, "get cross-signing keys", err)
		}
		remember(&g.identities.signers, user, keys)
	}
	return maps.Clone(keys), nil
}

func (g *guard) IsKeySignedBy(ctx context.Context, user id.UserID, key id.Ed25519, by id.UserID, byKey id.Ed25519) (bool, error) {
	place := signature{user, key, by, byKey}
	signed, ok := g.identities.signed[place]
	if !ok {
		var err error
		if signed, err = g.SQLCryptoStore.IsKeySignedBy(ctx, user, key, by, byKey); err != nil {
			return false, noted(ctx, "is key signed by", err)
		}
		remember(&g.identities.signed, place, signed)
	}
	return signed, nil
}
