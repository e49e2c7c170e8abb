package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

// Settle believes the keys that a finished verification has proven: the other side's device
// is trusted here, and, with the recovery key at hand, the bot's identity signs the other
// one's, so that all devices of the bot's account know. Where the other side is a session of
// the bot's own account, it is that session which signs this device.
func (v *Verifications) Settle(ctx context.Context, one *sas.Verification) error {
	them, ok := one.Outcome()
	if !ok {
		return errNotDone
	}
	a := v.account
	err := a.transact(ctx, func(ctx context.Context, m *machine) error {
		d, err := m.guard.GetDevice(ctx, them.User, them.Device)
		if err != nil || d == nil || d.SigningKey != them.Keys.Device {
			return err
		}
		d.Trust = id.TrustStateVerified
		return m.guard.PutDevice(ctx, them.User, d)
	})
	if err != nil {
		return fmt.Errorf("trust a verified device: %w", err)
	}
	a.log.InfoContext(ctx, "verified by emoji", slog.String("sender", them.User.String()), slog.String("device_id", them.Device.String()))
	a.keysChanged.Store(true) // a session of the account may have signed this device
	if them.User == a.self().User || them.Keys.Master == "" || a.config.RecoveryKey == "" {
		return nil
	}
	return a.signPerson(ctx, them)
}

// signPerson has the bot's identity sign another person's.
func (a *Account) signPerson(ctx context.Context, them sas.Party) error {
	identity, _, err := a.lookAtIdentity(ctx)
	if err != nil || identity == nil {
		return err
	}
	keys, err := a.openIdentity(ctx, identity)
	if isProblem(err) || err == nil && keys.userSigning == nil {
		return nil // the standing says what is wrong with the recovery key
	}
	if err != nil {
		return err
	}
	answer, err := a.queryKeys(ctx, []id.UserID{them.User})
	if err != nil {
		return err
	}
	if signerOf(answer.master[them.User]) != them.Keys.Master {
		return nil // it was replaced a moment ago: that one nobody has verified
	}
	signed, err := withSignature(answer.master[them.User], a.self().User, keys.userSigning.PublicKey().String(), keys.userSigning.SignJSON)
	if err != nil {
		return fmt.Errorf("sign the identity of %s: %w", them.User, err)
	}
	err = a.uploadSignatures(ctx, map[id.UserID]map[string]json.RawMessage{them.User: {them.Keys.Master.String(): signed}})
	if err != nil {
		return err
	}
	if answer, err = a.queryKeys(ctx, []id.UserID{them.User}); err != nil {
		return err
	}
	return a.transact(ctx, func(ctx context.Context, m *machine) error { return a.applyKeys(ctx, m, answer) })
}
