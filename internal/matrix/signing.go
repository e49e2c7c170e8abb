package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/signatures"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// signDevice signs the device with the identity's keys, which the recovery key opens.
func (a *Account) signDevice(ctx context.Context, identity *publicIdentity, answer keyAnswer) error {
	keys, err := a.openIdentity(ctx, identity)
	if err != nil {
		if problem, ok := errors.AsType[*problemError](err); ok && problem.Problem != ProblemWrongKey {
			return a.changed(ctx, identity, err)
		}
		return err
	}
	return a.sign(ctx, identity, answer, keys)
}

// changed says that the identity is another one than that which signed the device before,
// where that is so: it tells more than what is missing.
func (a *Account) changed(ctx context.Context, identity *publicIdentity, otherwise error) error {
	pinned, err := a.pinned(ctx)
	if err != nil {
		return err
	}
	if pinned != "" && pinned != identity.master {
		return &problemError{Problem: ProblemChanged}
	}
	return otherwise
}

// openIdentity reads the identity's private keys from the secret storage, and makes sure
// that they are those of the identity.
func (a *Account) openIdentity(ctx context.Context, identity *publicIdentity) (seeds, error) {
	key, err := a.openStorage(ctx)
	if err != nil {
		return seeds{}, err
	}
	if key == nil {
		if a.config.RecoveryKey == "" {
			return seeds{}, &problemError{Problem: ProblemUnsigned}
		}
		return seeds{}, &problemError{Problem: ProblemNoSecrets}
	}
	self, err := a.secret(ctx, event.AccountDataCrossSigningSelf, key)
	if err != nil {
		return seeds{}, err
	}
	if self == nil {
		return seeds{}, &problemError{Problem: ProblemNoSecrets}
	}
	// The others are not needed to sign the device.
	master, err := a.secret(ctx, event.AccountDataCrossSigningMaster, key)
	if err != nil {
		return seeds{}, err
	}
	user, err := a.secret(ctx, event.AccountDataCrossSigningUser, key)
	if err != nil {
		return seeds{}, err
	}
	keys, err := openSeeds(master, self, user)
	if err != nil || keys.selfSigning.PublicKey() != identity.selfSigning {
		return seeds{}, &problemError{Problem: ProblemOtherKeys} // damaged or foreign, it is the same to who has to cure it
	}
	if keys.master != nil && keys.master.PublicKey() != identity.master {
		keys.master = nil
	}
	if keys.userSigning != nil && keys.userSigning.PublicKey() != identity.userSigning {
		keys.userSigning = nil
	}
	return keys, nil
}

// sign has the identity sign the device, and the device the identity's master key, as
// clients do to show that they have checked each other.
func (a *Account) sign(ctx context.Context, identity *publicIdentity, answer keyAnswer, keys seeds) error {
	user, device := a.self().User, a.self().Device
	var devices map[id.DeviceID]json.RawMessage
	if err := json.Unmarshal(answer.devices[user], &devices); err != nil {
		return fmt.Errorf("read own keys: %w", err)
	}
	signedDevice, err := withSignature(devices[device], user, keys.selfSigning.PublicKey().String(), keys.selfSigning.SignJSON)
	if err != nil {
		return fmt.Errorf("sign own device: %w", err)
	}
	upload := map[string]json.RawMessage{device.String(): signedDevice}
	err = a.transact(ctx, func(_ context.Context, m *machine) error {
		// Only what the device's own keys say is signed: a homeserver could show others.
		if own := m.olm.OwnIdentity(); !ownKeysIn(devices[device], own) {
			return a.refused(ReasonWrongKeys, nil)
		}
		master, err := withSignature(answer.master[user], user, device.String(), m.olm.GetAccount().SignJSON)
		upload[identity.master.String()] = master
		return err
	})
	if err != nil {
		return fmt.Errorf("sign own master key: %w", err)
	}
	return a.uploadSignatures(ctx, map[id.UserID]map[string]json.RawMessage{user: upload})
}

func ownKeysIn(raw json.RawMessage, own *id.Device) bool {
	var d mautrix.DeviceKeys
	return json.Unmarshal(raw, &d) == nil && d.UserID == own.UserID && d.DeviceID == own.DeviceID &&
		d.Keys.GetEd25519(own.DeviceID) == own.SigningKey && d.Keys.GetCurve25519(own.DeviceID) == own.IdentityKey
}

// withSignature gives an object that the homeserver showed with one signature: ours
// (Matrix appendices, "Signing JSON").
func withSignature(raw json.RawMessage, user id.UserID, name string, sign func(any) (string, error)) (json.RawMessage, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		return nil, errors.New("it is no JSON object")
	}
	delete(object, "signatures")
	delete(object, "unsigned")
	signature, err := sign(object)
	if err != nil {
		return nil, err
	}
	if object["signatures"], err = json.Marshal(signatures.NewSingleSignature(user, id.KeyAlgorithmEd25519, name, signature)); err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

// uploadSignatures uploads signatures, and looks whether each was taken.
func (a *Account) uploadSignatures(ctx context.Context, upload map[id.UserID]map[string]json.RawMessage) error {
	ctx, cancel := within(ctx)
	defer cancel()
	var answer struct {
		Failures map[id.UserID]map[string]struct {
			Code string `json:"errcode"`
		} `json:"failures"`
	}
	_, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodPost, URL: a.client.BuildClientURL("v3", "keys", "signatures", "upload"),
		RequestJSON: upload, ResponseJSON: &answer, MaxAttempts: 1,
	})
	if err != nil {
		return fmt.Errorf("upload signatures: %w", err)
	}
	for _, failures := range answer.Failures {
		for _, f := range failures {
			return fmt.Errorf("upload signatures: the homeserver refuses one: %s", f.Code)
		}
	}
	return nil
}
