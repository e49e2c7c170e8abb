package store_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/store"
)

func spoolFiles(t *testing.T, s *store.Store) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Path(), "spool"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func put(t *testing.T, s *store.Store, text string) string {
	t.Helper()
	e, err := s.Spool().Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(e, text); err != nil {
		t.Fatal(err)
	}
	name, err := e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestASpoolFileIsThereOnceCommitted(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	text := strings.Repeat("ciphertext ", 20_000) // more than is buffered
	name := put(t, s, text)
	f, err := s.Spool().Open(name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if string(got) != text {
		t.Errorf("read %d bytes back, want the %d written", len(got), len(text))
	}
	for range 2 { // removing what is gone is no error
		if err := s.Spool().Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Spool().Open(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open after remove: %v", err)
	}
}

func TestADiscardedSpoolFileLeavesNothing(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	e, err := s.Spool().Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(e, "half"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Discard(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Commit(); err == nil {
		t.Error("a discarded file was committed")
	}
	if got := spoolFiles(t, s); got != nil {
		t.Errorf("left behind %q", got)
	}
	kept := put(t, s, "whole")
	if got := spoolFiles(t, s); !slices.Equal(got, []string{kept}) {
		t.Errorf("spool holds %q, want %q", got, kept)
	}
}

func TestSweepTakesWhatACrashLeftBehind(t *testing.T) {
	folder := t.TempDir()
	before := open(t, folder, nil)
	named := put(t, before, "named by a row")
	put(t, before, "committed, but its row was not")
	half, err := before.Spool().Create() // killed while writing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = half.Discard() })
	foreign := filepath.Join(folder, "spool", "README")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	s := open(t, folder, nil) // the next process
	mine := put(t, s, "its row is on the way")
	writing, err := s.Spool().Create()
	if err != nil {
		t.Fatal(err)
	}
	removed, err := s.Spool().Sweep(func(name string) bool { return name == named })
	if err != nil {
		t.Fatal(err)
	}
	if removed != 2 {
		t.Errorf("removed %d, want the file without a row and the half one", removed)
	}
	late, err := writing.Commit()
	if err != nil {
		t.Errorf("a file being written was swept away: %v", err)
	}
	want := []string{named, mine, late, "README"}
	slices.Sort(want)
	if got := spoolFiles(t, s); !slices.Equal(got, want) {
		t.Errorf("spool holds %q, want %q", got, want)
	}
}

func TestARowCannotNameAFileElsewhere(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	for _, name := range []string{
		"", ".", "..", "../" + store.FileName, "/etc/passwd", strings.Repeat("a", 31), strings.Repeat("a", 33),
		strings.Repeat("A", 32), strings.Repeat("a", 31) + "/", strings.Repeat("../", 10) + "ab",
	} {
		if _, err := s.Spool().Open(name); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("open %q: %v, want a refusal", name, err)
		}
		if err := s.Spool().Remove(name); err == nil {
			t.Errorf("remove %q was tried", name)
		}
	}
	if _, err := os.Stat(filepath.Join(s.Path(), store.FileName)); err != nil {
		t.Error(err)
	}
}
