package soak_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// disk is a small file system of its own.
type disk struct {
	t    *testing.T
	path string
}

// mount makes a disk. It comes before its scene, so that it outlives it.
func mount(t *testing.T) *disk {
	t.Helper()
	d := &disk{t: t, path: t.TempDir()}
	if err := syscall.Mount("tmpfs", d.path, "tmpfs", 0, "size=16m"); err != nil {
		// Whoever runs CI as root lets it mount; others may not.
		if os.Getenv("CI") != "" && os.Getuid() == 0 {
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Skipf("cannot mount a small disk here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.path, 0); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	return d
}

// fills takes all space that is left, and gives what frees it.
func (d *disk) fills() (frees func()) {
	d.t.Helper()
	path := filepath.Join(d.path, "filler")
	f, err := os.Create(path)
	must(d.t, err)
	defer func() { _ = f.Close() }()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		block := make([]byte, size)
		for err = error(nil); err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			d.t.Fatal(err)
		}
	}
	return func() { must(d.t, os.Remove(path)) }
}

// seals makes the disk read-only, or writable again; nobody may be writing on it.
func (d *disk) seals(readOnly uintptr) {
	d.t.Helper()
	must(d.t, syscall.Mount("tmpfs", d.path, "tmpfs", syscall.MS_REMOUNT|readOnly, "size=16m"))
}

// ailing ends a connector that cannot start with its reason, and with a hint.
func ailing(t *testing.T, s *scene.Scene, says ...string) {
	t.Helper()
	run := s.Starts()
	ctx, cancel := context.WithTimeout(t.Context(), scene.Patience)
	defer cancel()
	if code, err := run.Wait(ctx); err != nil || code != 1 {
		t.Errorf("it ended with %d, %v, want 1", code, err)
	}
	for _, what := range append(says, "hint") {
		if log := run.Stderr.String(); !strings.Contains(log, what) {
			t.Errorf("the log does not say %q:\n%s", what, log)
		}
	}
	s.Failed()
}

func TestAFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
	d := mount(t)
	s := scene.New(t, scene.Config{Synapse: true})
	s.Env["MATRIX_STORE_PATH"] = filepath.Join(d.path, "store")
	alice := s.Town.Moves("alice")
	run := s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "Said while there is room for it")
	s.Receives()

	frees := d.fills()
	alice.Says(room, "Said when the disk is full")
	alice.Sends(room, people.Document("sent-when-the-disk-is-full.pdf", "full"), "")
	s.Logs("disk is full")
	lives(t, run)
	frees()
	s.Receives()

	frees = d.fills()
	alice.Says(room, "Said before a kill on a full disk")
	s.Until("it noticed once more", func() bool { return strings.Count(run.Stderr.String(), "disk is full") > 1 })
	s.Kills()
	frees()
	s.Starts()
	s.Receives()
}

func TestAStoreThatCannotBeWrittenIsSaidAndLosesNothing(t *testing.T) {
	t.Parallel()
	d := mount(t)
	s := scene.New(t, scene.Config{Synapse: true})
	s.Env["MATRIX_STORE_PATH"] = filepath.Join(d.path, "store")
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "Said while the store can be written")
	s.Receives()
	s.Stops()
	d.seals(syscall.MS_RDONLY)
	alice.Says(room, "Said while it cannot")
	ailing(t, s, "read-only")
	d.seals(0)
	s.Starts()
	s.Receives()
}

func TestADamagedStoreIsSaidAndAnIntactCopyGoesOn(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "Said while the store was sound")
	s.Receives()
	s.Stops()
	path := filepath.Join(s.Env["MATRIX_STORE_PATH"], "matrix-connector.db")
	sound, err := os.ReadFile(path)
	must(t, err)
	broken := append([]byte(nil), sound...)
	for i := 4096; i < len(broken); i++ {
		broken[i] = 0xa5
	}
	must(t, os.WriteFile(path, broken, 0o600))
	alice.Says(room, "Said while it was damaged")
	ailing(t, s, "malformed")
	must(t, os.WriteFile(path, sound, 0o600))
	s.Starts()
	s.Receives()
}
