package matrix

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/backup"
	"maunium.net/go/mautrix/crypto/signatures"
	"maunium.net/go/mautrix/crypto/ssss"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// keyBackup is the backup that keys are saved in and looked up in (Matrix C-S API,
// "Server-side key backups").
type keyBackup struct {
	version string // empty: there is none
	key     *backup.MegolmBackupKey
}

// backupVersion is a backup as the homeserver shows it.
type backupVersion struct {
	Version   string          `json:"version"`
	Algorithm string          `json:"algorithm"`
	Auth      json.RawMessage `json:"auth_data"`
}

func (v backupVersion) publicKey() string {
	var auth struct {
		Key string `json:"public_key"`
	}
	if json.Unmarshal(v.Auth, &auth) != nil {
		return ""
	}
	return auth.Key
}

const placeBackup = "matrix_backup private_key "

// loadBackup reads the backup that was in use last.
func (a *Account) loadBackup(ctx context.Context) (keyBackup, error) {
	var b keyBackup
	var sealed []byte
	err := a.store.DB().QueryRow(ctx, "SELECT version, private_key FROM matrix_backup WHERE user_id=$1", a.self().User).Scan(&b.version, &sealed)
	if errors.Is(err, sql.ErrNoRows) || err == nil && sealed == nil {
		return keyBackup{}, nil
	} else if err != nil {
		return b, fmt.Errorf("read key backup: %w", err)
	}
	plain, err := a.store.Unseal(sealed, placeBackup+a.self().User.String())
	if err != nil {
		return b, fmt.Errorf("read key of the backup: %w", err)
	}
	if b.key, err = backup.MegolmBackupKeyFromBytes(plain); err != nil {
		return keyBackup{}, errors.New("read key of the backup: it is damaged")
	}
	return b, nil
}

// saveBackup notes which backup is used from here on, or why none is. A key that is known
// is kept in any case: the backup may come back.
func (a *Account) saveBackup(ctx context.Context, b keyBackup, problem Problem) error {
	var sealed any
	if b.key != nil {
		var err error
		if sealed, err = a.store.Seal(b.key.Bytes(), placeBackup+a.self().User.String()); err != nil {
			return fmt.Errorf("seal key of the backup: %w", err)
		}
	}
	err := a.store.Do(ctx, func(ctx context.Context) error {
		_, err := a.store.DB().Exec(ctx, `INSERT INTO matrix_backup (user_id, version, private_key, problem, checked_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (user_id) DO UPDATE SET version=excluded.version, private_key=coalesce(excluded.private_key, private_key),
				problem=excluded.problem, checked_at=excluded.checked_at`,
			a.self().User, b.version, sealed, string(problem), a.now().UnixMilli())
		if err != nil || b.version == "" {
			return err
		}
		// Another backup may hold what the former one did not.
		_, err = a.store.DB().Exec(ctx, "UPDATE matrix_key_search SET due=0 WHERE version<>$1", b.version)
		return err
	})
	if err != nil {
		return fmt.Errorf("note key backup: %w", err)
	}
	a.keysUnsaved.Store(true)
	return nil
}

// Backup finds the account's key backup and opens it with the recovery key, or makes one
// where there is none. It is called after [Account.Secure], when another backup has taken
// the place of the one in use, and daily. What a person has to cure is in the [Standing].
func (a *Account) Backup(ctx context.Context) (Standing, error) {
	a.securing.Lock()
	defer a.securing.Unlock()
	before, err := a.standing(ctx)
	if err != nil {
		return Standing{}, err
	}
	problem := &problemError{}
	if err := a.findBackup(ctx); err != nil {
		if !errors.As(err, &problem) {
			return before, fmt.Errorf("find key backup: %w", err)
		}
		if err := a.saveBackup(ctx, keyBackup{}, problem.Problem); err != nil {
			return before, err
		}
	}
	after, err := a.standing(ctx)
	switch {
	case err != nil:
		return before, err
	case after.BackupProblem != "" && (after.BackupProblem != before.BackupProblem || !a.toldBackup):
		a.log.WarnContext(ctx, "keys are neither saved in nor restored from the account's key backup",
			slog.String("reason", string(after.BackupProblem)), slog.String("hint", after.BackupProblem.Hint(a.self().User)))
	case after.Backup != before.Backup && after.Backup != "":
		a.log.InfoContext(ctx, "key backup is in use", slog.String("backup_version", after.Backup))
	}
	a.toldBackup = true
	return after, nil
}

// findBackup decides which backup is used.
func (a *Account) findBackup(ctx context.Context) error {
	mine, err := a.loadBackup(ctx)
	if err != nil {
		return err
	}
	there, err := a.latestBackup(ctx)
	if err != nil {
		return err
	}
	if there != nil && there.Algorithm != string(id.KeyBackupAlgorithmMegolmBackupV1) {
		return &problemError{Problem: ProblemBackupUnknown}
	}
	if there != nil && mine.key != nil && there.publicKey() == publicKey(mine.key) {
		return a.saveBackup(ctx, keyBackup{version: there.Version, key: mine.key}, "")
	}
	storage, err := a.openStorage(ctx)
	if err != nil || storage == nil {
		return withoutStorage(there, err)
	}
	if there == nil {
		return a.makeBackupWith(ctx, storage)
	}
	stored, err := a.storedBackupKey(ctx, storage)
	if err != nil {
		return err
	}
	if stored == nil || there.publicKey() != publicKey(stored) {
		return &problemError{Problem: ProblemOtherBackup}
	}
	return a.saveBackup(ctx, keyBackup{version: there.Version, key: stored}, "")
}

// withoutStorage says what is missing where the secret storage is not open.
func withoutStorage(there *backupVersion, err error) error {
	if problem, ok := errors.AsType[*problemError](err); err != nil && (!ok || problem.Problem == ProblemWrongKey) {
		return err
	}
	if there != nil {
		return &problemError{Problem: ProblemNoBackupKey}
	}
	return &problemError{Problem: ProblemNoBackup}
}

func publicKey(key *backup.MegolmBackupKey) string {
	return base64.RawStdEncoding.EncodeToString(key.PublicKey().Bytes())
}

// storedBackupKey reads the backup's key from the secret storage; nil for none.
func (a *Account) storedBackupKey(ctx context.Context, storage *ssss.Key) (*backup.MegolmBackupKey, error) {
	plain, err := a.secret(ctx, event.AccountDataMegolmBackupKey, storage)
	if err != nil || plain == nil {
		return nil, err
	}
	key, err := backup.MegolmBackupKeyFromBytes(plain)
	if err != nil {
		return nil, nil //nolint:nilerr // as good as none
	}
	return key, nil
}

// latestBackup asks for the account's backup; nil where it has none.
func (a *Account) latestBackup(ctx context.Context) (*backupVersion, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	v := &backupVersion{}
	_, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodGet, URL: a.client.BuildClientURL("v3", "room_keys", "version"), ResponseJSON: v, MaxAttempts: 1,
	})
	switch {
	case errors.Is(err, mautrix.MNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("ask for the key backup: %w", err)
	case v.Version == "":
		return nil, errors.New("ask for the key backup: the answer names no version")
	}
	return v, nil
}

// makeBackupWith makes a backup with the identity's keys, as far as the storage holds them.
func (a *Account) makeBackupWith(ctx context.Context, storage *ssss.Key) error {
	var keys seeds
	identity, _, err := a.lookAtIdentity(ctx)
	if err != nil {
		return err
	}
	if identity != nil {
		// A backup without the identity's signature is one, too; only that other clients ask
		// whether to trust it.
		if keys, err = a.openIdentity(ctx, identity); err != nil && !isProblem(err) {
			return err
		}
	}
	return a.makeBackup(ctx, storage, keys)
}

func isProblem(err error) bool {
	_, ok := errors.AsType[*problemError](err)
	return ok
}

// makeBackup makes a backup where there is none. Its key goes into the secret storage
// first: a backup that nobody can open would be worse than none.
func (a *Account) makeBackup(ctx context.Context, storage *ssss.Key, keys seeds) error {
	if there, err := a.latestBackup(ctx); err != nil || there != nil {
		return err // one that is there already is looked at by Backup
	}
	key, err := a.storedBackupKey(ctx, storage)
	if err != nil {
		return err
	}
	if key == nil {
		if key, err = backup.NewMegolmBackupKey(); err != nil {
			return fmt.Errorf("make key of the backup: %w", err)
		}
		if err := a.putSecret(ctx, event.AccountDataMegolmBackupKey, key.Bytes(), storage); err != nil {
			return err
		}
	}
	auth := map[string]any{"public_key": publicKey(key)}
	sigs := signatures.Signatures{a.self().User: {}}
	if keys.master != nil {
		signature, err := keys.master.SignJSON(auth)
		if err != nil {
			return fmt.Errorf("sign key backup: %w", err)
		}
		sigs[a.self().User][id.NewKeyID(id.KeyAlgorithmEd25519, keys.master.PublicKey().String())] = signature
	}
	err = a.transact(ctx, func(_ context.Context, m *machine) error {
		signature, err := m.olm.GetAccount().SignJSON(auth)
		sigs[a.self().User][id.NewKeyID(id.KeyAlgorithmEd25519, a.self().Device.String())] = signature
		return err
	})
	if err != nil {
		return fmt.Errorf("sign key backup: %w", err)
	}
	auth["signatures"] = sigs
	version, err := a.createBackup(ctx, auth)
	if err != nil {
		return err
	}
	a.log.InfoContext(ctx, "a key backup was made for the account", slog.String("backup_version", version))
	return a.saveBackup(ctx, keyBackup{version: version, key: key}, "")
}

func (a *Account) createBackup(ctx context.Context, auth any) (version string, err error) {
	ctx, cancel := within(ctx)
	defer cancel()
	var answer struct {
		Version string `json:"version"`
	}
	_, err = a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodPost, URL: a.client.BuildClientURL("v3", "room_keys", "version"), MaxAttempts: 1,
		RequestJSON:  map[string]any{"algorithm": id.KeyBackupAlgorithmMegolmBackupV1, "auth_data": auth},
		ResponseJSON: &answer,
	})
	if err == nil && answer.Version == "" {
		err = errors.New("the answer names no version")
	}
	if err != nil {
		return "", fmt.Errorf("make key backup: %w", err)
	}
	return answer.Version, nil
}
