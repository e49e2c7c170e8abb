package matrix

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/olm"
	"maunium.net/go/mautrix/crypto/signatures"
	"maunium.net/go/mautrix/crypto/ssss"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// pendingIdentity is an identity that is being made. It is stored, sealed, before the first
// of its parts leaves the program, and forgotten when all of it is there: an identity
// whose keys died with a process could only be reset.
type pendingIdentity struct {
	KeyID    string            `json:"key_id"` // of the secret storage
	Key      []byte            `json:"key"`
	Metadata *ssss.KeyMetadata `json:"metadata"`
	Made     bool              `json:"made"` // the key is our own: somebody has to be given it
	Given    bool              `json:"given"`

	Master      []byte `json:"master"` // seeds
	SelfSigning []byte `json:"self_signing"`
	UserSigning []byte `json:"user_signing"`
}

const placePending = "matrix_identity pending "

func (a *Account) loadPending(ctx context.Context) (*pendingIdentity, error) {
	var sealed []byte
	err := a.store.DB().QueryRow(ctx, "SELECT pending FROM matrix_identity WHERE user_id=$1", a.self().User).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) || err == nil && sealed == nil {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read pending identity: %w", err)
	}
	plain, err := a.store.Unseal(sealed, placePending+a.self().User.String())
	if err != nil {
		return nil, fmt.Errorf("read pending identity: %w", err)
	}
	p := &pendingIdentity{}
	if err := json.Unmarshal(plain, p); err != nil {
		return nil, errors.New("read pending identity: it is damaged")
	}
	return p, nil
}

// savePending stores it; nil forgets it.
func (a *Account) savePending(ctx context.Context, p *pendingIdentity) error {
	var sealed any
	if p != nil {
		plain, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("write pending identity: %w", err)
		}
		if sealed, err = a.store.Seal(plain, placePending+a.self().User.String()); err != nil {
			return fmt.Errorf("seal pending identity: %w", err)
		}
	}
	return a.writeIdentity(ctx, "pending=excluded.pending", map[string]any{"pending": sealed})
}

func (p *pendingIdentity) storage() *ssss.Key {
	return &ssss.Key{ID: p.KeyID, Key: p.Key, Metadata: p.Metadata}
}

// seeds are private keys of an identity; userSigning may be nil.
type seeds struct{ master, selfSigning, userSigning olm.PKSigning }

func (p *pendingIdentity) seeds() (s seeds, err error) {
	return openSeeds(p.Master, p.SelfSigning, p.UserSigning)
}

func openSeeds(master, selfSigning, userSigning []byte) (s seeds, err error) {
	for _, one := range []struct {
		seed []byte
		to   *olm.PKSigning
	}{{master, &s.master}, {selfSigning, &s.selfSigning}, {userSigning, &s.userSigning}} {
		if one.seed == nil {
			continue
		}
		if *one.to, err = olm.NewPKSigningFromSeed(one.seed); err != nil {
			return s, errors.New("a cross-signing key cannot be read") // the cause may quote it
		}
	}
	return s, nil
}

// makeIdentity gives the account an identity, or goes on where a former process stopped.
// there is what the homeserver shows already.
func (a *Account) makeIdentity(ctx context.Context, p *pendingIdentity, there *publicIdentity) (*publicIdentity, keyAnswer, error) {
	var err error
	if p == nil {
		if p, err = a.newIdentity(ctx); err != nil {
			return nil, keyAnswer{}, err
		}
	}
	keys, err := p.seeds()
	if err != nil {
		return nil, keyAnswer{}, err
	}
	if there != nil && there.master != keys.master.PublicKey() {
		return nil, keyAnswer{}, a.overtaken(ctx, p)
	}
	if err := a.give(ctx, p); err != nil {
		return nil, keyAnswer{}, err
	}
	if err := a.storeIdentity(ctx, p); err != nil {
		return nil, keyAnswer{}, err
	}
	if there == nil {
		if err := a.publish(ctx, p, keys); err != nil {
			return nil, keyAnswer{}, err
		}
		a.log.InfoContext(ctx, "a cross-signing identity was made for the account", slog.String("sender", a.self().User.String()))
	}
	identity, answer, err := a.lookAgain(ctx)
	if err != nil {
		return nil, answer, err
	}
	if !identity.signed {
		if err := a.sign(ctx, identity, answer, keys); err != nil {
			return nil, answer, err
		}
		if identity, answer, err = a.lookAgain(ctx); err != nil {
			return nil, answer, err
		}
	}
	// The key backup is made with the secrets at hand; later the recovery key is needed.
	if err := a.makeBackup(ctx, p.storage(), keys); err != nil {
		return nil, answer, err
	}
	return identity, answer, a.savePending(ctx, nil)
}

// overtaken gives up an identity that is being made: somebody else has made theirs meanwhile,
// which is not to be replaced. Whoever was given a recovery key has to know that it opens nothing.
func (a *Account) overtaken(ctx context.Context, p *pendingIdentity) error {
	if err := a.savePending(ctx, nil); err != nil {
		return err
	}
	if p.Given {
		return &problemError{Problem: ProblemOvertaken}
	}
	return errOvertaken
}

// errOvertaken is an identity of somebody else's, which is looked at anew.
var errOvertaken = errors.New("somebody else has made the account's identity meanwhile")

// stillNone makes sure that nobody else has made an identity: it is asked as late as can be.
func (a *Account) stillNone(ctx context.Context, p *pendingIdentity) error {
	there, _, err := a.lookAtIdentity(ctx)
	if err != nil {
		return err
	}
	if there != nil {
		return a.overtaken(ctx, p)
	}
	return nil
}

// lookAgain is lookAtIdentity where there must be one.
func (a *Account) lookAgain(ctx context.Context) (*publicIdentity, keyAnswer, error) {
	identity, answer, err := a.lookAtIdentity(ctx)
	if err == nil && identity == nil {
		err = errors.New("the homeserver does not show the identity that it has taken")
	}
	return identity, answer, err
}

// newIdentity makes the private parts and stores them.
func (a *Account) newIdentity(ctx context.Context) (*pendingIdentity, error) {
	p := &pendingIdentity{}
	key, err := a.openStorage(ctx)
	if problem, ok := errors.AsType[*problemError](err); ok && problem.Problem == ProblemUnsigned {
		return nil, &problemError{Problem: ProblemForeign}
	} else if err != nil {
		return nil, err
	}
	if key == nil {
		if key, p.Made, err = a.newStorageKey(); err != nil {
			return nil, err
		}
		if p.Made && a.config.GiveRecoveryKey == nil {
			return nil, &problemError{Problem: ProblemNoIdentity}
		}
	}
	p.KeyID, p.Key, p.Metadata = key.ID, key.Key, key.Metadata
	for _, to := range []*[]byte{&p.Master, &p.SelfSigning, &p.UserSigning} {
		pair, err := olm.NewPKSigning()
		if err != nil {
			return nil, fmt.Errorf("make cross-signing key: %w", err)
		}
		*to = pair.Seed()
	}
	return p, a.savePending(ctx, p)
}

// give hands the recovery key over before there is an identity that depends on it.
func (a *Account) give(ctx context.Context, p *pendingIdentity) error {
	if !p.Made || p.Given {
		return nil
	}
	if a.config.GiveRecoveryKey == nil {
		return &problemError{Problem: ProblemNoIdentity}
	}
	if err := a.config.GiveRecoveryKey(p.storage().RecoveryKey()); err != nil {
		return &problemError{Problem: ProblemKeyOut, Detail: err.Error()}
	}
	p.Given = true
	return a.savePending(ctx, p)
}

// storeIdentity puts the private keys into the secret storage, and makes that the default
// one where it is new.
func (a *Account) storeIdentity(ctx context.Context, p *pendingIdentity) error {
	name, _, err := a.storageKey(ctx)
	if err != nil {
		return err
	}
	if name != "" && name != p.KeyID {
		return a.overtaken(ctx, p) // the storage of somebody else's identity, or of one that is to come
	}
	if name == "" {
		if err := a.setAccountData(ctx, event.AccountDataSecretStorageKey.Type+"."+p.KeyID, p.Metadata); err != nil {
			return err
		}
	}
	for _, one := range []struct {
		kind event.Type
		seed []byte
	}{
		{event.AccountDataCrossSigningMaster, p.Master},
		{event.AccountDataCrossSigningSelf, p.SelfSigning},
		{event.AccountDataCrossSigningUser, p.UserSigning},
	} {
		if err := a.putSecret(ctx, one.kind, one.seed, p.storage()); err != nil {
			return err
		}
	}
	if name == p.KeyID {
		return nil
	}
	if name, _, err = a.storageKey(ctx); err != nil {
		return err
	} else if name != "" {
		return a.overtaken(ctx, p)
	}
	return a.setAccountData(ctx, event.AccountDataSecretStorageDefaultKey.Type, map[string]string{"key": p.KeyID})
}

// publish uploads the public keys. Homeservers of today take a first identity without
// further authentication (MSC3967, since v1.11); others want the password once more.
//
// A homeserver replaces an identity that is there by the same request, once it has the password.
func (a *Account) publish(ctx context.Context, p *pendingIdentity, keys seeds) error {
	if err := a.stillNone(ctx, p); err != nil {
		return err
	}
	upload := map[string]any{}
	user := a.self().User
	for _, one := range []struct {
		name  string
		usage id.CrossSigningUsage
		key   olm.PKSigning
	}{
		{"master_key", id.XSUsageMaster, keys.master},
		{"self_signing_key", id.XSUsageSelfSigning, keys.selfSigning},
		{"user_signing_key", id.XSUsageUserSigning, keys.userSigning},
	} {
		object := mautrix.CrossSigningKeys{
			UserID: user, Usage: []id.CrossSigningUsage{one.usage},
			Keys: map[id.KeyID]id.Ed25519{id.NewKeyID(id.KeyAlgorithmEd25519, one.key.PublicKey().String()): one.key.PublicKey()},
		}
		if one.usage != id.XSUsageMaster {
			signature, err := keys.master.SignJSON(object)
			if err != nil {
				return fmt.Errorf("sign cross-signing key: %w", err)
			}
			object.Signatures = signatures.NewSingleSignature(user, id.KeyAlgorithmEd25519, keys.master.PublicKey().String(), signature)
		}
		upload[one.name] = object
	}
	return a.authenticated(ctx, "keys/device_signing/upload", upload, func() error { return a.stillNone(ctx, p) })
}

// authenticated makes a request that a homeserver may want further authentication for
// (Matrix C-S API, "User-Interactive Authentication API"): with the password, where one
// is set and asked for, unless confirm, which is called before that, has something against it.
func (a *Account) authenticated(ctx context.Context, path string, body map[string]any, confirm func() error) error {
	ctx, cancel := within(ctx)
	defer cancel()
	post := func() ([]byte, error) {
		return a.client.MakeFullRequest(ctx, mautrix.FullRequest{
			Method: http.MethodPost, URL: a.client.BuildClientURL(append([]any{"v3"}, parts(path)...)...), RequestJSON: body,
			SensitiveContent: true, MaxAttempts: 1,
		})
	}
	answer, err := post()
	e, ok := errors.AsType[mautrix.HTTPError](err)
	if !ok || !e.IsStatus(http.StatusUnauthorized) || e.RespError != nil && e.RespError.ErrCode == "M_UNKNOWN_TOKEN" {
		return wrapRequest(path, err)
	}
	var asked mautrix.RespUserInteractive
	if json.Unmarshal(answer, &asked) != nil || len(asked.Flows) == 0 {
		return wrapRequest(path, err)
	}
	if a.config.Password == "" || !asked.HasSingleStageFlow(mautrix.AuthTypePassword) {
		return &problemError{Problem: ProblemRefused, Detail: "it asks for " + flowsOf(asked)}
	}
	if err := confirm(); err != nil {
		return err
	}
	body["auth"] = &mautrix.ReqUIAuthLogin{
		BaseAuthData: mautrix.BaseAuthData{Type: mautrix.AuthTypePassword, Session: asked.Session},
		User:         a.self().User.String(), Password: a.config.Password,
	}
	defer delete(body, "auth")
	_, err = post()
	if e, ok := errors.AsType[mautrix.HTTPError](err); ok && (e.IsStatus(http.StatusUnauthorized) || e.IsStatus(http.StatusForbidden)) {
		return &problemError{Problem: ProblemRefused, Detail: "it does not take the password"}
	}
	return wrapRequest(path, err)
}

func parts(path string) []any {
	list := make([]any, 0, strings.Count(path, "/")+1)
	for p := range strings.SplitSeq(path, "/") {
		list = append(list, p)
	}
	return list
}

func wrapRequest(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("post %s: %w", path, err)
}

// flowsOf names the kinds of authentication that a homeserver asks for.
func flowsOf(asked mautrix.RespUserInteractive) string {
	var list []string
	for _, f := range asked.Flows {
		var stages []string
		for _, s := range f.Stages {
			if s := string(s); len(s) <= maxID {
				stages = append(stages, s)
			}
		}
		if flow := strings.Join(stages, " and "); flow != "" && !slices.Contains(list, flow) && len(list) < 5 {
			list = append(list, flow)
		}
	}
	if len(list) == 0 {
		return "something unknown"
	}
	return strings.Join(list, " or ")
}
