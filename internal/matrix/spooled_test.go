package matrix_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// TestASpooledFileThatChangedIsNotHandedOutWhole flips, cuts and extends the file
// on disk. A consumer that reads just as much as was announced must hear of it.
func TestASpooledFileThatChangedIsNotHandedOutWhole(t *testing.T) {
	cases := map[string]func([]byte) []byte{
		"the first byte": func(b []byte) []byte { b[0] ^= 1; return b },
		"the last byte":  func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"one less":       func(b []byte) []byte { return b[:len(b)-1] },
		"one more":       func(b []byte) []byte { return append(b, 0) },
		"nothing left":   func([]byte) []byte { return nil },
	}
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := a.Fetch(t.Context(), wanted(s.server.Upload(png, ""), nil), 0)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(s.folder, "spool", got.Spool)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(raw), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := matrix.OpenSpooled(s.store, got)
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.CopyN(io.Discard, r, got.Bytes)
			if !errors.Is(err, matrix.ErrSpoilt) || n == got.Bytes {
				t.Errorf("read %d of %d bytes, %v, want ErrSpoilt before the last", n, got.Bytes, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestASpooledFileOpensWithItsOwnKeyOnly(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	got, err := a.Fetch(t.Context(), wanted(s.server.Upload(png, ""), nil), 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*timeline.Attachment){
		"no key":            func(x *timeline.Attachment) { x.SpoolKey = nil },
		"a key that is not": func(x *timeline.Attachment) { x.SpoolKey = []byte(`{"v":"v2"}`) },
		"another name":      func(x *timeline.Attachment) { x.Spool = "../" + x.Spool },
	} {
		x := got
		change(&x)
		if r, err := matrix.OpenSpooled(s.store, x); err == nil {
			t.Errorf("%s: opened", name)
			r.Close()
		}
	}
}
