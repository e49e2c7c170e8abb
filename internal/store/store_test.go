package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.mau.fi/util/dbutil"
	"go.uber.org/goleak"

	"github.com/matrix-connector/matrix-connector/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a store that is closed when the test ends.
func open(t *testing.T, path string, key []byte) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Path: path, Key: key})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestEverythingInTheStoreIsReadableByItsOwnerOnly(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "deep", "store")
	s := open(t, folder, nil)
	release, err := s.Lock("DEVICE")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = release() })
	e, err := s.Spool().Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.Do(t.Context(), func(ctx context.Context) error {
		_, err := s.DB().Exec(ctx, "CREATE TABLE t (x TEXT) STRICT")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		seen++
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if got := mode(t, path); got != want {
			t.Errorf("%s has mode %04o, want %04o", path, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 7 { // store, db, wal, shm, key, lock, spool, spool file
		t.Errorf("saw %d files and folders, want at least 7", seen)
	}
}

func TestTheDatabaseKeepsWhatItPromises(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "secure_delete": "1", "busy_timeout": "10000",
	} {
		var got string
		if err := s.DB().QueryRow(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s is %q, want %q", pragma, got, want)
		}
	}
}

func TestSealedValuesOpenInTheirOwnPlaceOnly(t *testing.T) {
	folder := t.TempDir()
	key := []byte("a key that the operator keeps elsewhere")
	s := open(t, folder, key)
	if s.OwnKey() {
		t.Error("a given key counts as the store's own")
	}
	plain := []byte("the quick brown fox")
	sealed, err := s.Seal(plain, "event !a:x $1")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, plain[4:9]) {
		t.Error("sealed value shows its content")
	}
	again, err := s.Seal(plain, "event !a:x $1")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(sealed, again) {
		t.Error("the same value sealed twice looks the same")
	}
	if got, err := s.Unseal(sealed, "event !a:x $1"); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("unseal gave %q, %v", got, err)
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, tc := range map[string]struct {
		sealed []byte
		place  string
	}{
		"in another place":         {sealed, "event !a:x $2"},
		"damaged":                  {flipped, "event !a:x $1"},
		"cut off":                  {sealed[:10], "event !a:x $1"},
		"empty":                    {nil, "event !a:x $1"},
		"of an unknown form":       {append([]byte{9}, sealed[1:]...), "event !a:x $1"},
		"only its version is left": {sealed[:1], "event !a:x $1"},
	} {
		if got, err := s.Unseal(tc.sealed, tc.place); !errors.Is(err, store.ErrSealed) {
			t.Errorf("%s: unseal gave %q, %v, want ErrSealed", name, got, err)
		}
	}
	// The same key opens it in the next process, too.
	second, err := store.Open(t.Context(), store.Config{Path: folder, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	if got, err := second.Unseal(sealed, "event !a:x $1"); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("after opening again: unseal gave %q, %v", got, err)
	}
}

func TestAStoreOpensOnlyWithItsKey(t *testing.T) {
	given := []byte("first key, long enough to be one")
	for name, tc := range map[string]struct {
		first  []byte
		change func(t *testing.T, folder string)
		second []byte
		says   string
	}{
		"another key than before":        {first: given, second: []byte("second key"), says: "MATRIX_STORE_KEY is not the key"},
		"no key where one was given":     {first: given, says: "set MATRIX_STORE_KEY"},
		"a key where the file was used":  {second: given, says: "leave it out if the store was made with store.key"},
		"the key file is gone":           {change: removeKey, says: "store.key is missing"},
		"the key file is another one":    {change: writeKey(strings.Repeat("A", 43) + "="), says: "put the original store.key back"},
		"the key file is damaged":        {change: writeKey("not a key"), says: "store.key is damaged"},
		"the key file was cut to zero":   {change: writeKey(""), says: "store.key is damaged"},
		"the key file lost its newline":  {change: trimKey},
		"the right key a second time":    {first: given, second: given},
		"the right key file, next start": {},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			s, err := store.Open(t.Context(), store.Config{Path: folder, Key: tc.first})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.OwnKey(); got != (tc.first == nil) {
				t.Errorf("own key is %v", got)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if tc.change != nil {
				tc.change(t, folder)
			}
			s, err = store.Open(t.Context(), store.Config{Path: folder, Key: tc.second})
			if tc.says == "" {
				if err != nil {
					t.Fatalf("open again: %v", err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, store.ErrKey) || !strings.Contains(fmt.Sprint(err), tc.says) {
				t.Fatalf("open again: %v, want ErrKey saying %q", err, tc.says)
			}
			if tc.second != nil && strings.Contains(err.Error(), string(tc.second)) {
				t.Error("the error shows the key")
			}
		})
	}
}

func removeKey(t *testing.T, folder string) {
	t.Helper()
	if err := os.Remove(filepath.Join(folder, store.KeyFileName)); err != nil {
		t.Fatal(err)
	}
}

func writeKey(text string) func(t *testing.T, folder string) {
	return func(t *testing.T, folder string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, store.KeyFileName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func trimKey(t *testing.T, folder string) {
	t.Helper()
	path := filepath.Join(folder, store.KeyFileName)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeKey(strings.TrimSpace(string(text)))(t, folder)
}

func TestACrashBetweenKeyFileAndFirstRowIsSurvived(t *testing.T) {
	folder := t.TempDir()
	writeKey(strings.Repeat("A", 43)+"=")(t, folder)
	s := open(t, folder, nil)
	if !s.OwnKey() {
		t.Error("the key file was not used")
	}
	text, err := os.ReadFile(filepath.Join(folder, store.KeyFileName))
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != strings.Repeat("A", 43)+"=" {
		t.Error("the key file was replaced")
	}
}

func TestTablesOfANewerVersionAreRefused(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	table := func(n int) dbutil.UpgradeTable {
		var u dbutil.WIPUpgradeTable
		for i := range n {
			u = u.WithRaw(i, i+1, 0, "step", dbutil.TxnModeOn, func(context.Context, *dbutil.Database) error { return nil })
		}
		return u.Finish()
	}
	for _, n := range []int{1, 2} {
		if err := s.Tables(t.Context(), "tenant_version", table(n)); err != nil {
			t.Fatalf("to version %d: %v", n, err)
		}
	}
	err := s.Tables(t.Context(), "tenant_version", table(1))
	if !errors.Is(err, store.ErrNewer) || !strings.Contains(fmt.Sprint(err), "MATRIX_STORE_PATH") {
		t.Errorf("back to version 1: %v, want ErrNewer naming its cure", err)
	}
}

func TestOneProcessADevice(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder, nil)
	release, err := s.Lock("@bot:x DEVICE")
	if err != nil {
		t.Fatal(err)
	}
	beside := open(t, folder, nil) // a command beside a running connector
	if _, err := beside.Lock("@bot:x DEVICE"); !errors.Is(err, store.ErrLocked) || !strings.Contains(fmt.Sprint(err), folder) {
		t.Errorf("second lock: %v, want ErrLocked naming the store", err)
	}
	other, err := beside.Lock("@bot:x ../OTHER")
	if err != nil {
		t.Errorf("another device: %v", err)
	} else if err := other(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := release(); err != nil {
			t.Errorf("release: %v", err)
		}
	}
	again, err := beside.Lock("@bot:x DEVICE")
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
}
