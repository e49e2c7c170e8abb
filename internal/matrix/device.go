package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"
)

// serverKeys are the keys of one device as the homeserver shows them.
type serverKeys struct {
	Curve id.Curve25519
	Ed    id.Ed25519
}

// ownKeys asks the homeserver for the account's own keys: those of its device (nil
// where it has none), and the whole answer.
func (a *Account) ownKeys(ctx context.Context) (*serverKeys, keyAnswer, error) {
	answer, err := a.queryKeys(ctx, []id.UserID{a.self().User})
	if err != nil {
		return nil, keyAnswer{}, fmt.Errorf("ask for own keys: %w", err)
	}
	if len(answer.failed) > 0 {
		return nil, keyAnswer{}, fmt.Errorf("ask for own keys: %w", errNoAnswer)
	}
	var devices map[id.DeviceID]struct {
		Keys map[id.DeviceKeyID]string `json:"keys"`
	}
	if raw := answer.devices[a.self().User]; raw != nil {
		if err := json.Unmarshal(raw, &devices); err != nil {
			return nil, keyAnswer{}, fmt.Errorf("read own keys: %w", err)
		}
	}
	d, ok := devices[a.self().Device]
	if !ok {
		return nil, answer, nil
	}
	return &serverKeys{
		Curve: id.Curve25519(d.Keys[id.NewDeviceKeyID(id.KeyAlgorithmCurve25519, a.self().Device)]),
		Ed:    id.Ed25519(d.Keys[id.NewDeviceKeyID(id.KeyAlgorithmEd25519, a.self().Device)]),
	}, answer, nil
}

// refuseForeignDevice refuses a device that has keys before the account has made
// any: those of another client, which the messages to this device are encrypted for.
func (a *Account) refuseForeignDevice(ctx context.Context) error {
	keys, _, err := a.ownKeys(ctx)
	if err != nil {
		return err
	}
	if keys != nil {
		return a.refused(ReasonForeignKeys, nil)
	}
	return nil
}

// cryptoTables brings the crypto library's tables to their newest version.
func (a *Account) cryptoTables(ctx context.Context) error {
	err := crypto.NewSQLCryptoStore(a.store.DB(), nil, a.self().User.String(), a.self().Device, a.self().PickleKey).DB.Upgrade(ctx)
	if err != nil {
		return fmt.Errorf("upgrade crypto tables: %w", err)
	}
	return nil
}

// claimDevice makes sure that the device's keys on the homeserver are those of the
// store. Where the homeserver has none (a first start, or it has dropped them with
// the device) they are uploaded; where they differ, the account must not be used.
func (a *Account) claimDevice(ctx context.Context) error {
	if err := a.cryptoTables(ctx); err != nil {
		return err
	}
	onServer, answer, err := a.ownKeys(ctx)
	if err != nil {
		return err
	}
	lost := false
	err = a.transact(ctx, func(ctx context.Context, m *machine) error {
		account := m.olm.GetAccount()
		ed, curve := account.Keys()
		switch {
		case onServer != nil && (onServer.Ed != ed || onServer.Curve != curve):
			return a.refused(ReasonWrongKeys, nil)
		case onServer != nil:
			account.Shared = true
		default:
			lost = account.Shared
			account.Shared = false
		}
		if err := m.olm.CryptoStore.PutAccount(ctx, account); err != nil {
			return err
		}
		return a.applyKeys(ctx, m, answer)
	})
	if err != nil {
		return err
	}
	if lost {
		a.log.WarnContext(ctx, "the homeserver has lost the device's keys, uploading them again",
			slog.String("device_id", a.self().Device.String()))
	}
	if onServer == nil {
		if err := a.uploadKeys(ctx, 0, true); err != nil {
			return fmt.Errorf("upload device keys: %w", err)
		}
	}
	return nil
}
