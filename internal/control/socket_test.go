package control_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/control"
)

// answers serves a word on the socket until the test ends.
func answers(t *testing.T, folder, word string) net.Listener {
	t.Helper()
	l, err := control.Listen(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, word) })}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-ended })
	return l
}

func ask(t *testing.T, folder string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, "http://connector/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := control.Client(folder).Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func TestWhoAsksInTheFolderIsAnswered(t *testing.T) {
	for name, folder := range map[string]string{
		"a short path":             t.TempDir(),
		"a path longer than 107":   filepath.Join(t.TempDir(), strings.Repeat("long-", 30)),
		"a name with odd letters ": filepath.Join(t.TempDir(), "a b ü#?"),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			answers(t, folder, "here")
			if got, err := ask(t, folder); got != "here" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			info, err := os.Stat(filepath.Join(folder, control.SocketName))
			if err != nil || info.Mode() != os.ModeSocket|0o600 {
				t.Errorf("mode %v, %v, want a socket of 0600", info.Mode(), err)
			}
			left, err := os.ReadDir(folder)
			if err != nil || len(left) != 1 {
				t.Errorf("in the folder: %v, %v", left, err)
			}
		})
	}
}

func TestASocketThatAKilledProcessLeftIsReplaced(t *testing.T) {
	folder := t.TempDir()
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(folder, control.SocketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t, folder); !errors.Is(err, control.ErrNobody) {
		t.Errorf("a stale socket: %v, want %v", err, control.ErrNobody)
	}
	answers(t, folder, "again")
	if got, err := ask(t, folder); got != "again" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestNobodyIsThere(t *testing.T) {
	folder := t.TempDir()
	if _, err := ask(t, folder); !errors.Is(err, control.ErrNobody) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := ask(t, filepath.Join(folder, "none")); !errors.Is(err, control.ErrNobody) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := ask(t, filepath.Join(folder, strings.Repeat("n", 120))); !errors.Is(err, control.ErrNobody) {
		t.Errorf("no folder of a long name: %v", err)
	}
	l := answers(t, folder, "here")
	for range 2 {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, control.SocketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays: %v", err)
	}
}

func TestAFolderThatCannotBeWrittenIsNamed(t *testing.T) {
	_, err := control.Listen(t.Context(), filepath.Join(t.TempDir(), "none"))
	if err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("got %v", err)
	}
}
