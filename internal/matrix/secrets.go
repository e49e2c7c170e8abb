package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/ssss"
	"maunium.net/go/mautrix/crypto/utils"
	"maunium.net/go/mautrix/event"
)

// maxIterations bounds the work that a homeserver can ask for a security phrase; clients
// use 500,000.
const maxIterations = 10_000_000

// errNoData is account data that is not there.
var errNoData = errors.New("no such account data")

// accountData reads account data into v.
func (a *Account) accountData(ctx context.Context, kind string, v any) error {
	ctx, cancel := within(ctx)
	defer cancel()
	body, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodGet, URL: a.client.BuildClientURL("v3", "user", a.self().User, "account_data", kind), MaxAttempts: 1,
	})
	switch {
	case errors.Is(err, mautrix.MNotFound):
		return errNoData
	case err != nil:
		return fmt.Errorf("ask for account data %s: %w", kind, err)
	}
	if json.Unmarshal(body, v) != nil {
		return errNoData // what nobody can read is as good as none; the cause may quote it
	}
	return nil
}

func (a *Account) setAccountData(ctx context.Context, kind string, v any) error {
	ctx, cancel := within(ctx)
	defer cancel()
	_, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodPut, URL: a.client.BuildClientURL("v3", "user", a.self().User, "account_data", kind),
		RequestJSON: v, SensitiveContent: true, MaxAttempts: 1,
	})
	if err != nil {
		return fmt.Errorf("store account data %s: %w", kind, err)
	}
	return nil
}

// storageKey finds the default key of the account's secret storage; nil where there is
// no storage (Matrix C-S API, "Secret storage").
func (a *Account) storageKey(ctx context.Context) (name string, key *ssss.KeyMetadata, err error) {
	var chosen struct {
		Key string `json:"key"`
	}
	err = a.accountData(ctx, event.AccountDataSecretStorageDefaultKey.Type, &chosen)
	if errors.Is(err, errNoData) || err == nil && chosen.Key == "" {
		return "", nil, nil
	} else if err != nil {
		return "", nil, err
	}
	key = &ssss.KeyMetadata{}
	err = a.accountData(ctx, event.AccountDataSecretStorageKey.Type+"."+chosen.Key, key)
	if errors.Is(err, errNoData) {
		return "", nil, nil
	}
	return chosen.Key, key, err
}

// openStorage opens the account's secret storage with the recovery key of the settings:
// the key itself, or the phrase that it is made from. Without a storage the key is nil.
// What a person has to cure is a [*problemError].
func (a *Account) openStorage(ctx context.Context) (*ssss.Key, error) {
	name, meta, err := a.storageKey(ctx)
	if err != nil || meta == nil {
		return nil, err
	}
	wrong := &problemError{Problem: ProblemWrongKey}
	if meta.Algorithm != ssss.AlgorithmAESHMACSHA2 {
		return nil, &problemError{Problem: ProblemNoSecrets, Detail: "storage of an unknown kind"}
	}
	if a.config.RecoveryKey == "" {
		return nil, &problemError{Problem: ProblemUnsigned}
	}
	var key *ssss.Key
	if raw := recoveryBytes(a.config.RecoveryKey); raw != nil {
		if key, err = meta.VerifyRecoveryKey(name, strings.Join(strings.Fields(a.config.RecoveryKey), "")); errors.Is(err, ssss.ErrUnverifiableKey) {
			err = nil // an old storage without a check value: the secrets have one each
		}
	} else {
		p := meta.Passphrase
		if p == nil || p.Iterations < 1 || p.Iterations > maxIterations || p.Bits != 0 && p.Bits != 256 {
			return nil, wrong
		}
		key, err = meta.VerifyPassphrase(name, a.config.RecoveryKey)
	}
	if err != nil || key == nil || len(key.Key) != utils.AESCTRKeyLength {
		return nil, wrong // the cause is that it does not fit
	}
	return key, nil
}

// recoveryBytes is the key that a recovery key stands for; nil for what is none, which is
// then a phrase (Matrix C-S API, "Key representation").
func recoveryBytes(text string) []byte {
	return utils.DecodeBase58RecoveryKey(strings.Join(strings.Fields(text), ""))
}

// newStorageKey makes the key of a new secret storage: the one of the settings where one
// is set, else a random one. made says that nobody else knows it yet.
func (a *Account) newStorageKey() (key *ssss.Key, made bool, err error) {
	switch raw := recoveryBytes(a.config.RecoveryKey); {
	case raw != nil:
		key, err = ssss.WrapKey(raw, nil)
	case a.config.RecoveryKey != "":
		key, err = ssss.NewKey(a.config.RecoveryKey)
	default:
		made = true
		key, err = ssss.NewKey("")
	}
	if err != nil {
		return nil, false, fmt.Errorf("make key of the secret storage: %w", err)
	}
	return key, made, nil
}

// secret reads one secret; nil where the storage does not hold it for this key, or what it
// holds does not open.
func (a *Account) secret(ctx context.Context, kind event.Type, key *ssss.Key) ([]byte, error) {
	var content ssss.EncryptedAccountDataEventContent
	err := a.accountData(ctx, kind.Type, &content)
	if errors.Is(err, errNoData) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	plain, err := content.Decrypt(kind.Type, key)
	if err != nil || len(plain) != 32 {
		return nil, nil //nolint:nilerr // as good as none
	}
	return plain, nil
}

// putSecret stores a secret, and keeps what stands there for other keys.
func (a *Account) putSecret(ctx context.Context, kind event.Type, plain []byte, key *ssss.Key) error {
	var content ssss.EncryptedAccountDataEventContent
	if err := a.accountData(ctx, kind.Type, &content); err != nil && !errors.Is(err, errNoData) {
		return err
	}
	all := maps.Clone(content.Encrypted)
	if all == nil {
		all = map[string]ssss.EncryptedKeyData{}
	}
	all[key.ID] = key.Encrypt(kind.Type, plain)
	return a.setAccountData(ctx, kind.Type, &ssss.EncryptedAccountDataEventContent{Encrypted: all, Metadata: content.Metadata})
}
