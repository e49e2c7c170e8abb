package matrix

import (
	"context"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"
)

// Trust is what others see of the device, and what the settings will make of it.
type Trust struct {
	Keys     bool // the homeserver has its keys
	Identity bool // the account has cross-signing keys
	Signed   bool // the device is signed by them
	// Problem is why the device is not signed, and will not be by the next start; empty where
	// it is, or will be.
	Problem Problem
}

// Trust asks for the account's own keys, as those ask who send it room keys, and tries the
// recovery key on the account's secret storage. makes says that an identity could be made
// (its recovery key has somewhere to go). Nothing is changed.
func (p *Probe) Trust(ctx context.Context, makes bool) (Trust, error) {
	a := p.account
	own, answer, err := a.ownKeys(ctx)
	if err != nil {
		return Trust{}, err
	}
	t := Trust{Keys: own != nil}
	identity := readIdentity(answer, a.self().User, a.self().Device)
	if identity == nil {
		return t, p.withoutIdentity(ctx, &t, makes)
	}
	t.Identity, t.Signed = true, identity.signed
	if t.Signed {
		return t, nil
	}
	if _, err := a.openIdentity(ctx, identity); err != nil {
		problem, ok := errors.AsType[*problemError](err)
		if !ok {
			return t, err
		}
		t.Problem = problem.Problem
	}
	return t, nil
}

// withoutIdentity says whether one will be made.
func (p *Probe) withoutIdentity(ctx context.Context, t *Trust, makes bool) error {
	there, err := p.has(ctx, "matrix_identity")
	if err != nil {
		return err
	}
	if there {
		if known, err := p.account.pinned(ctx); err != nil {
			return err
		} else if known != "" {
			t.Problem = ProblemGone
			return nil
		}
	}
	key, err := p.account.openStorage(ctx)
	problem, ok := errors.AsType[*problemError](err)
	switch {
	case err != nil && !ok:
		return err
	case ok && problem.Problem == ProblemUnsigned:
		t.Problem = ProblemForeign
	case ok:
		t.Problem = problem.Problem
	case key == nil && p.account.config.RecoveryKey == "" && !makes:
		t.Problem = ProblemNoIdentity
	}
	return nil
}

// BackupState is how the account's key backup stands.
type BackupState struct {
	Version string // on the homeserver; empty: there is none
	Problem Problem
	// Later: there is none, and the next start makes one.
	Later bool
}

// Backup looks at the account's key backup, and tries the keys that are known on it. Nothing
// is changed.
func (p *Probe) Backup(ctx context.Context) (BackupState, error) {
	a := p.account
	there, err := a.latestBackup(ctx)
	if err != nil {
		return BackupState{}, err
	}
	s := BackupState{}
	if there != nil {
		s.Version = there.Version
		if mine, err := p.knownBackup(ctx); err != nil {
			return s, err
		} else if mine.key != nil && publicKey(mine.key) == there.publicKey() {
			return s, nil
		}
	}
	storage, err := a.openStorage(ctx)
	if err == nil && storage != nil && there != nil {
		key, err := a.storedBackupKey(ctx, storage)
		if err == nil && (key == nil || publicKey(key) != there.publicKey()) {
			s.Problem = ProblemOtherBackup
		}
		return s, err
	}
	if err == nil && there == nil && (storage != nil || a.config.RecoveryKey != "") {
		s.Later = true
		return s, nil
	}
	problem, ok := errors.AsType[*problemError](withoutStorage(there, err))
	if !ok {
		return s, err
	}
	s.Problem = problem.Problem
	return s, nil
}

// knownBackup reads the backup that the store knows, where there is a store that has one.
func (p *Probe) knownBackup(ctx context.Context) (keyBackup, error) {
	if there, err := p.has(ctx, "matrix_backup"); err != nil || !there {
		return keyBackup{}, err
	}
	return p.account.loadBackup(ctx)
}

func (p *Probe) has(ctx context.Context, table string) (bool, error) {
	if p.account.store == nil {
		return false, nil
	}
	return p.account.store.DB().TableExists(ctx, table)
}

// Refusals lists who has withheld room keys since a time, the latest first, with what would
// help; t is what [Probe.Trust] found.
func (p *Probe) Refusals(ctx context.Context, since time.Time, t Trust) ([]Refusal, []string, error) {
	if there, err := p.has(ctx, "matrix_refusal"); err != nil || !there {
		return nil, nil, err
	}
	all, err := p.account.Refusals(ctx)
	if err != nil {
		return nil, nil, err
	}
	standing := Standing{Identity: t.Identity, Signed: t.Signed, Problem: t.Problem}
	if !t.Signed && t.Problem == "" {
		standing.Problem = ProblemUnsigned
	}
	var list []Refusal
	var hints []string
	for _, r := range all {
		if r.Last.Before(since) {
			continue
		}
		list = append(list, r)
		hints = append(hints, r.Hint(standing))
	}
	return list, hints, nil
}

// UserID is the account that is looked at.
func (p *Probe) UserID() id.UserID { return p.account.config.UserID }

// Known is what a store knows of its account without asking anybody.
type Known struct {
	Device   id.DeviceID // empty before the first login
	Standing Standing
	Refusals []Refusal // the latest first
}

// Known reads what the store knows. It asks nobody.
func (p *Probe) Known(ctx context.Context) (k Known, err error) {
	if there, err := p.has(ctx, "matrix_account"); err != nil || !there {
		return k, err
	}
	// The token beside it is sealed, and is not needed here.
	err = p.account.store.DB().QueryRow(ctx, "SELECT coalesce(max(device_id), '') FROM matrix_account WHERE user_id=$1", p.account.config.UserID).Scan(&k.Device)
	if err != nil {
		return k, fmt.Errorf("read device: %w", err)
	}
	if there, err := p.has(ctx, "matrix_refusal"); err != nil || !there {
		return k, err
	}
	if k.Standing, err = p.account.standing(ctx); err != nil {
		return k, err
	}
	k.Refusals, err = p.account.Refusals(ctx)
	return k, err
}
