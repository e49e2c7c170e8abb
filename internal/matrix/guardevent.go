package matrix

import (
	"context"
	"database/sql"
	"errors"
	"maps"

	"maunium.net/go/mautrix/id"
)

// The calls of the crypto store that come with every event.

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
