package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
)

// keeper keeps the device one that everybody gives room keys to, saves the keys that come,
// and looks for those that do not. Each turn does a piece of each.
type keeper struct {
	account *matrix.Account
	welcome func(id.UserID) bool // who may invite
	log     *slog.Logger
	now     func() time.Time
	vitals  *vitals

	looked  time.Time // at the device's standing
	settled atomic.Bool
	failed  atomic.Bool // to save keys, when it was last tried
}

// lookDaily is how often the device's own signature and the key backup are looked at; also
// after every start, and when the account's devices or keys have changed.
const lookDaily = 24 * time.Hour

// savePage is how many keys go into the backup at once.
const savePage = 100

func (k *keeper) turn(ctx context.Context) (more bool, err error) {
	var looked error
	if k.account.KeysChanged() || k.looked.IsZero() || k.now().Sub(k.looked) >= lookDaily {
		// Keys that wait to be found or saved do not wait for a homeserver that takes no identity.
		if looked = k.look(ctx); ctx.Err() != nil {
			return false, looked
		}
	}
	more, err = k.keys(ctx)
	return more && looked == nil, errors.Join(looked, err)
}

// keys takes in what is offered and found, and saves what has come.
func (k *keeper) keys(ctx context.Context) (more bool, err error) {
	bundles, err := k.account.FetchBundle(ctx, k.welcome)
	if err != nil {
		return false, err
	}
	searches, err := k.account.SearchKeys(ctx)
	if err := k.renew(ctx, err); err != nil {
		return false, err
	}
	saved, err := k.account.SaveKeys(ctx, savePage)
	k.failed.Store(err != nil)
	if err := k.renew(ctx, err); err != nil {
		return false, err
	}
	k.settled.Store(!bundles && !searches && !k.looked.IsZero()) // what a backup holds is known after a look
	return bundles || searches || saved == savePage, nil
}

// look looks how the device stands, does what can be done, and finds the key backup.
func (k *keeper) look(ctx context.Context) error {
	s, err := k.account.Secure(ctx)
	if err != nil {
		return err
	}
	if s, err = k.account.Backup(ctx); err != nil {
		return err
	}
	k.looked = k.now()
	k.vitals.set(func(v *vitals) { v.standing, v.stands = s, true })
	return nil
}

// renew has the backup looked for again where it is gone or was replaced.
func (k *keeper) renew(ctx context.Context, err error) error {
	if err == nil || matrix.Classify(err).Class != matrix.ClassPermanent {
		return err
	}
	k.log.WarnContext(ctx, "the key backup is gone or was replaced, looking for it again", slog.Any("err", err))
	return k.look(ctx)
}

// caughtUp reports whether nothing that could be found at once is still to be found, and
// no key is still to be saved that could be.
func (k *keeper) caughtUp(ctx context.Context) (bool, error) {
	searching, err := k.account.Searching(ctx)
	if err != nil || searching || !k.settled.Load() {
		return false, err
	}
	saving, err := k.account.Saving(ctx)
	return !saving || k.failed.Load(), err
}

// recoveryFile hands a recovery key over by writing it to a file that did not exist. It gets
// its name when it is whole: half a key would keep the next start from writing it.
func recoveryFile(path string) func(string) error {
	return func(key string) error {
		// A start that died behind this point hands the same key over once more.
		if have, err := os.ReadFile(path); err == nil && string(have) == key+"\n" { //nolint:gosec // the operator names the file
			return nil
		}
		f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
		if err != nil {
			return fmt.Errorf("MATRIX_RECOVERY_KEY_OUT: %w", err)
		}
		defer os.Remove(f.Name()) //nolint:errcheck // after the link it is a second name of the same file
		_, err = f.WriteString(key + "\n")
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("MATRIX_RECOVERY_KEY_OUT: %w", err)
		}
		// A link, unlike a rename, never replaces a file that is there.
		if err := os.Link(f.Name(), path); err != nil {
			return fmt.Errorf("MATRIX_RECOVERY_KEY_OUT: %w", err)
		}
		return syncFolder(filepath.Dir(path))
	}
}

func syncFolder(path string) error {
	d, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("MATRIX_RECOVERY_KEY_OUT: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("MATRIX_RECOVERY_KEY_OUT: %w", err)
	}
	return nil
}
