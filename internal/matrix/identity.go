package matrix

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/signatures"
	"maunium.net/go/mautrix/id"
)

// publicIdentity is the account's cross-signing identity as the homeserver shows it.
type publicIdentity struct {
	master, selfSigning, userSigning id.Ed25519
	signed                           bool // the device, by it
}

// Secure sees to it that the account has a cross-signing identity and that it has signed
// the device, so that those give it their room keys who give them to signed devices only
// (Matrix C-S API v1.18, "Cross-signing"; MSC4153). It is called after every start and
// daily, and costs one request where all is well.
//
// An identity that exists is never replaced: without its recovery key the device stays
// unsigned, and the standing says what would help. An identity is made where there is
// none, and where its recovery key has somewhere to go.
//
// What a person has to cure is in the [Standing]; an error may pass by itself.
func (a *Account) Secure(ctx context.Context) (Standing, error) {
	a.securing.Lock()
	defer a.securing.Unlock()
	before, err := a.standing(ctx)
	if err != nil {
		return Standing{}, err
	}
	problem := &problemError{}
	err = a.secure(ctx)
	if errors.Is(err, errOvertaken) {
		err = a.secure(ctx)
	}
	if err != nil && !errors.As(err, &problem) {
		return before, fmt.Errorf("secure the device: %w", err)
	}
	after, err := a.noteStanding(ctx, problem)
	if err != nil {
		return before, fmt.Errorf("secure the device: %w", err)
	}
	a.tellStanding(ctx, before, after)
	return after, nil
}

// UseRecoveryKey sets the recovery key that a person has typed, in place of the configured
// one. [Account.Secure] and [Account.Backup] use it from then on; nothing else may be under way.
func (a *Account) UseRecoveryKey(key string) {
	a.securing.Lock()
	defer a.securing.Unlock()
	a.config.RecoveryKey = key
}

// KeysChanged reports whether the homeserver has said, since it was last asked, that the
// account's own devices or keys have changed: then [Account.Secure] is to look again.
func (a *Account) KeysChanged() bool { return a.keysChanged.Swap(false) }

// secure does what is to be done; a [*problemError] is what only a person can do.
func (a *Account) secure(ctx context.Context) error {
	pending, err := a.loadPending(ctx)
	if err != nil {
		return err
	}
	identity, answer, err := a.lookAtIdentity(ctx)
	if err != nil {
		return err
	}
	if identity == nil && pending == nil {
		if known, err := a.pinned(ctx); err != nil {
			return err
		} else if known != "" {
			return &problemError{Problem: ProblemGone}
		}
	}
	if identity == nil || pending != nil {
		if identity, answer, err = a.makeIdentity(ctx, pending, identity); err != nil {
			return err
		}
	}
	if !identity.signed {
		if err := a.signDevice(ctx, identity, answer); err != nil {
			return err
		}
		if identity, answer, err = a.lookAtIdentity(ctx); err != nil {
			return err
		}
		if identity == nil || !identity.signed {
			return errors.New("the homeserver does not show the signature that it has taken")
		}
	}
	// The crypto store learns of the signatures here.
	err = a.transact(ctx, func(ctx context.Context, m *machine) error { return a.applyKeys(ctx, m, answer) })
	if err != nil {
		return err
	}
	return a.pin(ctx, identity.master)
}

// lookAtIdentity asks for the account's own keys; nil where it has no identity.
func (a *Account) lookAtIdentity(ctx context.Context) (*publicIdentity, keyAnswer, error) {
	own, answer, err := a.ownKeys(ctx)
	if err != nil {
		return nil, answer, err
	}
	if own == nil {
		return nil, answer, errors.New("the homeserver does not show the device's keys")
	}
	return readIdentity(answer, a.self().User, a.self().Device), answer, nil
}

// readIdentity takes an identity out of an answer of /keys/query, and looks whether the
// whole chain holds: the master key has signed the self-signing key, and that the device.
// nil where there is no identity.
func readIdentity(answer keyAnswer, user id.UserID, device id.DeviceID) *publicIdentity {
	p := &publicIdentity{
		master: signerOf(answer.master[user]), selfSigning: signerOf(answer.selfSigning[user]), userSigning: signerOf(answer.userSigning[user]),
	}
	if p.master == "" {
		return nil
	}
	var devices map[id.DeviceID]json.RawMessage
	if json.Unmarshal(answer.devices[user], &devices) != nil {
		return p
	}
	p.signed = signedBy(answer.selfSigning[user], user, p.master) && signedBy(devices[device], user, p.selfSigning)
	return p
}

// signerOf is the key that a cross-signing key object holds; empty for none.
func signerOf(raw json.RawMessage) id.Ed25519 {
	var keys mautrix.CrossSigningKeys
	if len(raw) == 0 || json.Unmarshal(raw, &keys) != nil || len(keys.Keys) != 1 {
		return ""
	}
	return keys.FirstKey()
}

// keyLength is that of an Ed25519 key in unpadded base64.
const keyLength = 43

// signedBy reports whether an object carries a valid signature of a user's key.
func signedBy(object json.RawMessage, user id.UserID, key id.Ed25519) bool {
	if len(object) == 0 || len(key) != keyLength { // a key of another length makes the verifier panic
		return false
	}
	ok, err := signatures.VerifySignatureJSON(object, user, key.String(), key)
	return err == nil && ok
}

// pin remembers the identity that has signed the device.
func (a *Account) pin(ctx context.Context, master id.Ed25519) error {
	before, err := a.pinned(ctx)
	if err != nil || before == master {
		return err
	}
	if before != "" {
		a.log.WarnContext(ctx, "the account's identity has been replaced, and the new one has signed the device")
	}
	return a.writeIdentity(ctx, "master_key=excluded.master_key", map[string]any{"master_key": master.String()})
}

// pinned is the identity that has signed the device before; empty for none.
func (a *Account) pinned(ctx context.Context) (master id.Ed25519, err error) {
	err = a.store.DB().QueryRow(ctx, "SELECT coalesce(max(master_key), '') FROM matrix_identity WHERE user_id=$1", a.config.UserID).Scan(&master)
	if err != nil {
		return "", fmt.Errorf("read identity: %w", err)
	}
	return master, nil
}

// writeIdentity changes columns of the account's row.
func (a *Account) writeIdentity(ctx context.Context, set string, columns map[string]any) error {
	get := func(name string, otherwise any) any {
		if v, ok := columns[name]; ok {
			return v
		}
		return otherwise
	}
	err := a.store.Do(ctx, func(ctx context.Context) error {
		_, err := a.store.DB().Exec(ctx, `INSERT INTO matrix_identity (user_id, master_key, pending, signed, problem, detail, checked_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (user_id) DO UPDATE SET `+set,
			a.self().User, get("master_key", ""), get("pending", nil), get("signed", 0), get("problem", ""), get("detail", ""), get("checked_at", 0))
		return err
	})
	if err != nil {
		return fmt.Errorf("note identity: %w", err)
	}
	return nil
}

// noteStanding writes down what was found.
func (a *Account) noteStanding(ctx context.Context, problem *problemError) (Standing, error) {
	err := a.writeIdentity(ctx, "signed=excluded.signed, problem=excluded.problem, detail=excluded.detail, checked_at=excluded.checked_at", map[string]any{
		"signed": problem.Problem == "", "problem": string(problem.Problem), "detail": problem.Detail, "checked_at": a.now().UnixMilli(),
	})
	if err != nil {
		return Standing{}, err
	}
	return a.standing(ctx)
}

// standing reads what was found last.
func (a *Account) standing(ctx context.Context) (Standing, error) {
	var s Standing
	err := a.store.DB().QueryRow(ctx, `SELECT signed, problem, detail, checked_at FROM matrix_identity WHERE user_id=$1`, a.config.UserID).
		Scan(&s.Signed, &s.Problem, &s.Detail, &s.Checked)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s, fmt.Errorf("read identity: %w", err)
	}
	s.Identity = s.Signed || s.Problem != "" && s.Problem != ProblemNoIdentity && s.Problem != ProblemForeign && s.Problem != ProblemGone &&
		s.Problem != ProblemRefused && s.Problem != ProblemKeyOut
	err = a.store.DB().QueryRow(ctx, `SELECT version, problem FROM matrix_backup WHERE user_id=$1`, a.config.UserID).Scan(&s.Backup, &s.BackupProblem)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s, fmt.Errorf("read backup: %w", err)
	}
	return s, nil
}

// tellStanding logs what has changed, and after a start what is still wrong.
func (a *Account) tellStanding(ctx context.Context, before, after Standing) {
	again := a.told && before.Problem == after.Problem && before.Signed == after.Signed
	a.told = true
	switch {
	case again:
	case after.Problem != "":
		attrs := []any{slog.String("reason", string(after.Problem)), slog.String("hint", after.Problem.Hint(a.self().User))}
		if after.Detail != "" {
			attrs = append(attrs, slog.String("detail", after.Detail))
		}
		a.log.WarnContext(ctx, "rooms may stay dark: who gives room keys to signed devices only gives this one none", attrs...)
	case !before.Signed:
		a.log.InfoContext(ctx, "the device is signed by the account's identity", slog.String("device_id", a.self().Device.String()))
	}
}
