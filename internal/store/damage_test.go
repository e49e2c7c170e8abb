package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/store"
)

// openings are the ways to open a store.
var openings = map[string]func(context.Context, store.Config) (*store.Store, error){
	"to work on it": store.Open, "to look at it": store.OpenReadOnly,
}

// hintOf is what an error says a person can do.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

func TestADamagedDatabaseIsNamedWithItsCure(t *testing.T) {
	for name, damage := range map[string]func([]byte){
		"no database any more": func(b []byte) { copy(b, bytes.Repeat([]byte("x"), 100)) },
		"broken pages": func(b []byte) {
			for i := 100; i < len(b); i++ {
				b[i] = 0xa5
			}
		},
	} {
		for how, open := range openings {
			t.Run(name+", opened "+how, func(t *testing.T) {
				folder := t.TempDir()
				s, err := store.Open(t.Context(), store.Config{Path: folder, Key: []byte("key of the test")})
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(folder, store.FileName)
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				damage(text)
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				_, err = open(t.Context(), store.Config{Path: folder, Key: []byte("key of the test")})
				e, ok := errors.AsType[*store.DamagedError](err)
				if !ok {
					t.Fatalf("error is %v", err)
				}
				if e.Path != path || !strings.HasPrefix(e.Error(), path+" is damaged: ") {
					t.Errorf("error is %v, of %s", e, e.Path)
				}
				if hint := hintOf(err); !strings.Contains(hint, "backup in place of "+folder) {
					t.Errorf("hint %q", hint)
				}
			})
		}
	}
}

func TestAKeyThatDoesNotFitHasACure(t *testing.T) {
	folder := t.TempDir()
	s, err := store.Open(t.Context(), store.Config{Path: folder, Key: []byte("key of the test")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for how, open := range openings {
		for name, key := range map[string][]byte{"another key": []byte("another key"), "no key": nil} {
			_, err := open(t.Context(), store.Config{Path: folder, Key: key})
			if !errors.Is(err, store.ErrKey) || !strings.Contains(hintOf(err), "MATRIX_STORE_KEY") {
				t.Errorf("opened %s with %s: %v, hint %q", how, name, err, hintOf(err))
			}
		}
	}
}
