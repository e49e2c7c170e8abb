package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"go.mau.fi/util/dbutil"

	"github.com/matrix-connector/matrix-connector/internal/store"
)

// asStranger runs fn as a user who owns nothing; access(2) goes by the real user id,
// which is a property of the thread.
func asStranger(t *testing.T, fn func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		fn()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const keep = ^uintptr(0)
	become := func(uid uintptr) {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uid, keep, keep); errno != 0 {
			t.Fatal(errno)
		}
	}
	become(65534)
	defer become(0)
	fn()
}

func TestLookingAtAStoreTellsWhoMayNotWriteIt(t *testing.T) {
	folder := t.TempDir()
	for dir := folder; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() != 0 {
		if err := os.Chmod(folder, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	for name, path := range map[string]string{"the folder exists": folder, "it would have to be made": filepath.Join(folder, "a", "b")} {
		t.Run(name, func(t *testing.T) {
			var err error
			asStranger(t, func() { _, err = store.Look(path) })
			unwritable, ok := errors.AsType[*store.UnwritableError](err)
			if !ok || unwritable.Path != folder || !strings.Contains(unwritable.Hint(), "chown -R") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestLookingAtAStoreMakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	survey, err := store.Look(path)
	if err != nil || survey.Folder || survey.Database || survey.Running || survey.Free <= 0 {
		t.Errorf("survey %+v, %v", survey, err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the folder was made")
	}
}

func TestLookingAtAStoreShowsWhetherItIsInUse(t *testing.T) {
	path := t.TempDir()
	s, err := store.Open(t.Context(), store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // of a test
	release, err := s.Lock("connector")
	if err != nil {
		t.Fatal(err)
	}
	for _, running := range []bool{true, false} {
		survey, err := store.Look(path)
		if err != nil || survey.Running != running || !survey.Database || !survey.KeyFile {
			t.Errorf("survey %+v, %v, want running %t", survey, err, running)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAStoreThatIsReadTakesNoWrites(t *testing.T) {
	path := t.TempDir()
	writer, err := store.Open(t.Context(), store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Tables(t.Context(), "tenant_version", table(2)); err != nil {
		t.Fatal(err)
	}
	sealed, err := writer.Seal([]byte("a secret"), "here")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"beside the process that works on it", "at rest"} {
		t.Run(name, func(t *testing.T) {
			reader, err := store.OpenReadOnly(t.Context(), store.Config{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close() //nolint:errcheck // only read
			if plain, err := reader.Unseal(sealed, "here"); err != nil || string(plain) != "a secret" {
				t.Errorf("unsealed %q, %v", plain, err)
			}
			if n, err := reader.TablesVersion(t.Context(), "tenant_version", table(2)); n != 2 || err != nil {
				t.Errorf("version %d, %v", n, err)
			}
			if _, err := reader.TablesVersion(t.Context(), "tenant_version", table(1)); !errors.Is(err, store.ErrNewer) {
				t.Errorf("an older program says %v", err)
			}
			if n, err := reader.TablesVersion(t.Context(), "other_version", table(1)); n != 0 || err != nil {
				t.Errorf("version %d, %v of no tables", n, err)
			}
			err = reader.Do(t.Context(), func(ctx context.Context) error {
				_, err := reader.DB().Exec(ctx, "DELETE FROM store_seal")
				return err
			})
			if err == nil {
				t.Error("a write was taken")
			}
		})
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.OpenReadOnly(t.Context(), store.Config{Path: path, Key: []byte("another key")}); !errors.Is(err, store.ErrKey) {
		t.Errorf("another key gives %v", err)
	}
}

// table makes tables of the given version.
func table(version int) dbutil.UpgradeTable {
	var u dbutil.WIPUpgradeTable
	for i := range version {
		u = u.WithRaw(i, i+1, 0, "step", dbutil.TxnModeOn, func(context.Context, *dbutil.Database) error { return nil })
	}
	return u.Finish()
}
