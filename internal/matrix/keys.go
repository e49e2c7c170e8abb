package matrix

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/goolm/account"
	"maunium.net/go/mautrix/crypto/signatures"
	"maunium.net/go/mautrix/id"
)

// oneTimeKeys is how many one-time keys the homeserver should hold: half of what
// the Olm account keeps, so that a key that is claimed late is still known.
const oneTimeKeys = account.MaxOneTimeKeys / 2

// uploadPause is how long a failed or just finished upload of keys rests. The
// count in a /sync may be older than an upload.
const uploadPause = time.Minute

// fallbackInterval is the least time between two fallback keys.
const fallbackInterval = time.Hour

// keyUpload is the body of POST /keys/upload with fallback keys, which mautrix's
// own type lacks.
type keyUpload struct {
	DeviceKeys   *mautrix.DeviceKeys              `json:"device_keys,omitempty"`
	OneTimeKeys  map[id.KeyID]*mautrix.OneTimeKey `json:"one_time_keys,omitempty"`
	FallbackKeys map[id.KeyID]*mautrix.OneTimeKey `json:"fallback_keys,omitempty"`
}

// topUp uploads keys where the homeserver has few left, or where its fallback key
// was used. A failure is logged only: the next response asks again.
func (a *Account) topUp(ctx context.Context, r *response, initial bool) {
	count := r.OneTimeKeys
	if count < 0 && !initial {
		count = 0 // left out means none (Matrix C-S API v1.17, "/sync")
	}
	// Dendrite leaves the count out of an initial sync in any case.
	low := count >= 0 && count < oneTimeKeys
	// A used fallback key goes on working until it is replaced, and the one before it
	// is still known then: there is no hurry, and a server that never has one (it may
	// take keys and drop them) must not be given a new one each time.
	fallback := r.FallbackUsed && a.now().Sub(a.fallbackAt) >= fallbackInterval
	if !low && !fallback {
		return
	}
	if a.now().Sub(a.uploadAt) < uploadPause {
		return
	}
	a.uploadAt = a.now()
	if !low {
		count = oneTimeKeys
	} else {
		// Asked again, because the answer may be older than the last upload, and
		// because keys beyond what the Olm account keeps would be useless.
		var err error
		if count, err = a.countKeys(ctx); err != nil {
			a.log.WarnContext(ctx, "one-time keys not counted", slog.Any("err", err), slog.String("class", string(Classify(err).Class)))
			return
		}
	}
	if err := a.uploadKeys(ctx, count, fallback); err != nil {
		a.log.WarnContext(ctx, "one-time keys not uploaded", slog.Any("err", err), slog.String("class", string(Classify(err).Class)))
	}
}

// countKeys asks how many one-time keys the homeserver has: an upload of nothing.
func (a *Account) countKeys(ctx context.Context) (int, error) {
	return a.postKeys(ctx, keyUpload{})
}

func (a *Account) postKeys(ctx context.Context, body keyUpload) (int, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	var res mautrix.RespUploadKeys
	_, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodPost, URL: a.client.BuildClientURL("v3", "keys", "upload"),
		RequestJSON: body, ResponseJSON: &res, SensitiveContent: true,
	})
	return res.OneTimeKeyCounts.SignedCurve25519, err
}

// uploadKeys uploads the device's keys where they are not on the homeserver, enough
// one-time keys to make up for the have that it holds, and a fallback key where
// wanted.
//
// The private parts are committed before the public ones leave, and the keys count
// as published only after the homeserver has them: dying in between uploads the
// same keys once more, which is allowed, and never publishes a key that a rollback
// has forgotten.
func (a *Account) uploadKeys(ctx context.Context, have int, fallback bool) error {
	var body keyUpload
	err := a.transact(ctx, func(ctx context.Context, m *machine) error {
		var err error
		body, err = a.prepareKeys(ctx, m, have, fallback)
		return err
	})
	if err != nil {
		return err
	}
	if body.DeviceKeys == nil && len(body.OneTimeKeys) == 0 && len(body.FallbackKeys) == 0 {
		return nil
	}
	if _, err := a.postKeys(ctx, body); err != nil {
		return err
	}
	a.uploadAt = a.now()
	if len(body.FallbackKeys) > 0 {
		a.fallbackAt = a.now()
	}
	return a.transact(ctx, func(ctx context.Context, m *machine) error {
		olm := m.olm.GetAccount()
		olm.Internal.MarkKeysAsPublished()
		olm.Shared = true
		return m.olm.CryptoStore.PutAccount(ctx, olm)
	})
}

// prepareKeys makes and stores the keys of an upload.
func (a *Account) prepareKeys(ctx context.Context, m *machine, have int, fallback bool) (keyUpload, error) {
	var body keyUpload
	olm := m.olm.GetAccount()
	goolm, ok := olm.Internal.(*account.Account)
	if !ok {
		return body, errors.New("olm account is not goolm's: build with -tags goolm")
	}
	if !olm.Shared {
		var err error
		if body.DeviceKeys, err = a.deviceKeys(olm); err != nil {
			return body, err
		}
		if err := m.olm.CryptoStore.PutDevice(ctx, a.self().User, m.olm.OwnIdentity()); err != nil {
			return body, err
		}
	}
	unpublished, err := goolm.OneTimeKeys()
	if err != nil {
		return body, fmt.Errorf("read one-time keys: %w", err)
	}
	if missing := oneTimeKeys - have - len(unpublished); missing > 0 {
		if err := goolm.GenOneTimeKeys(uint(missing)); err != nil {
			return body, fmt.Errorf("make one-time keys: %w", err)
		}
		if unpublished, err = goolm.OneTimeKeys(); err != nil {
			return body, fmt.Errorf("read one-time keys: %w", err)
		}
	}
	if fallback && len(goolm.FallbackKeyUnpublished()) == 0 {
		if err := goolm.GenFallbackKey(); err != nil {
			return body, fmt.Errorf("make fallback key: %w", err)
		}
	}
	if body.OneTimeKeys, err = a.signed(olm, unpublished, false); err != nil {
		return body, err
	}
	// Also one that an earlier upload did not get through with.
	if body.FallbackKeys, err = a.signed(olm, goolm.FallbackKeyUnpublished(), true); err != nil {
		return body, err
	}
	return body, m.olm.CryptoStore.PutAccount(ctx, olm)
}

// signed makes signed_curve25519 keys of public keys (Matrix C-S API, "Key
// algorithms").
func (a *Account) signed(olm *crypto.OlmAccount, public map[string]id.Curve25519, fallback bool) (map[id.KeyID]*mautrix.OneTimeKey, error) {
	out := make(map[id.KeyID]*mautrix.OneTimeKey, len(public))
	for name, key := range public {
		k := &mautrix.OneTimeKey{Key: key, Fallback: fallback, IsSigned: true}
		signature, err := olm.SignJSON(k)
		if err != nil {
			return nil, fmt.Errorf("sign one-time key: %w", err)
		}
		k.Signatures = signatures.NewSingleSignature(a.self().User, id.KeyAlgorithmEd25519, a.self().Device.String(), signature)
		out[id.NewKeyID(id.KeyAlgorithmSignedCurve25519, name)] = k
	}
	return out, nil
}

// deviceKeys are the device's identity keys, signed.
func (a *Account) deviceKeys(olm *crypto.OlmAccount) (*mautrix.DeviceKeys, error) {
	ed, curve := olm.Keys()
	keys := &mautrix.DeviceKeys{
		UserID: a.self().User, DeviceID: a.self().Device,
		Algorithms: []id.Algorithm{id.AlgorithmOlmV1, id.AlgorithmMegolmV1},
		Keys: map[id.DeviceKeyID]string{
			id.NewDeviceKeyID(id.KeyAlgorithmCurve25519, a.self().Device): curve.String(),
			id.NewDeviceKeyID(id.KeyAlgorithmEd25519, a.self().Device):    ed.String(),
		},
	}
	signature, err := olm.SignJSON(keys)
	if err != nil {
		return nil, fmt.Errorf("sign device keys: %w", err)
	}
	keys.Signatures = signatures.NewSingleSignature(a.self().User, id.KeyAlgorithmEd25519, a.self().Device.String(), signature)
	return keys, nil
}
