package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/store"
)

// as runs fn with the file-system rights of a user who owns nothing (root may write
// everywhere, whatever the mode says). Without root nothing has to be changed.
func as(t *testing.T, uid int, fn func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		fn()
		return
	}
	// setfsuid(2) is a property of the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	setfsuid := func(uid int) {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(uid), 0, 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	setfsuid(uid)
	defer setfsuid(0)
	fn()
}

func TestAStoreThatCannotBeWrittenNamesOwnerModeAndCure(t *testing.T) {
	parent := t.TempDir()
	folder := filepath.Join(parent, "store")
	if err := os.Mkdir(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	for dir := parent; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(folder, 0o555); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"the folder exists":          folder,
		"the folder cannot be made":  filepath.Join(folder, "a", "b"),
		"a folder in between exists": filepath.Join(folder, "store"),
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			as(t, 65534, func() {
				_, err = store.Open(t.Context(), store.Config{Path: path})
			})
			unwritable, ok := errors.AsType[*store.UnwritableError](err)
			if !ok {
				t.Fatalf("error is %v, want an UnwritableError", err)
			}
			if unwritable.Path != folder || unwritable.UID != os.Geteuid() || unwritable.Mode.Perm() != 0o555 {
				t.Errorf("error is about %s, owner %d, mode %v", unwritable.Path, unwritable.UID, unwritable.Mode)
			}
			for _, want := range []string{folder, fmt.Sprintf("belongs to user %d", os.Geteuid()), "mode 0555"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if hint := unwritable.Hint(); !strings.Contains(hint, fmt.Sprintf("chown -R %d:%d %s", os.Geteuid(), os.Getegid(), folder)) {
				t.Errorf("hint is %q, want the line that cures it", hint)
			}
			if !errors.Is(err, os.ErrPermission) {
				t.Error("the operating system's answer is lost")
			}
		})
	}
}

func TestAStoreInTheWayOfAFileIsNotCalledAQuestionOfRights(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), store.Config{Path: filepath.Join(file, "store")})
	e, ok := errors.AsType[*store.UnwritableError](err)
	if !ok {
		t.Fatalf("error is %v", err)
	}
	if got, want := e.Hint(), file+" is no folder: set MATRIX_STORE_PATH to one"; got != want {
		t.Errorf("hint %q, want %q", got, want)
	}
	if strings.Contains(e.Error(), "user") {
		t.Errorf("error is %v", e)
	}
}

func TestAFileThatIsNoDatabaseIsNotOverwritten(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, store.FileName)
	text := strings.Repeat("this is no database\n", 100)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := store.Open(t.Context(), store.Config{Path: folder}); err == nil {
		_ = s.Close()
		t.Error("opened")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("the file was changed (%v)", err)
	}
}
