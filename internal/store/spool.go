package store

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/matrix-connector/matrix-connector/internal/crash"
)

// partSuffix marks a file that is still being written. A crash leaves it behind,
// and Sweep takes it away.
const partSuffix = ".part"

// Spool is a folder of files that wait to be delivered. It holds ciphertext only;
// who writes a file encrypts it. It is safe for concurrent use.
type Spool struct {
	path string

	mu sync.Mutex
	// mine holds the names that this process made: their rows may be on the way
	// still, so Sweep leaves them alone.
	mine map[string]struct{}
}

func openSpool(path string) (*Spool, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, unwritable(filepath.Dir(path), fmt.Errorf("make spool: %w", err))
	}
	if err := checkWritable(path); err != nil {
		return nil, err
	}
	return &Spool{path: path, mine: map[string]struct{}{}}, nil
}

// Entry is a file being written by one goroutine. It becomes visible by Commit,
// which syncs file and folder; Discard (also after Commit, then without effect)
// removes it.
type Entry struct {
	io.Writer

	spool *Spool
	name  string
	file  *os.File
	buf   *bufio.Writer
	done  bool
}

// Create starts a file with a random name. Discard it when it is not committed.
func (s *Spool) Create() (*Entry, error) {
	var random [16]byte
	rand.Read(random[:])
	name := hex.EncodeToString(random[:])
	s.mu.Lock()
	s.mine[name] = struct{}{}
	s.mu.Unlock()
	f, err := os.OpenFile(filepath.Join(s.path, name+partSuffix), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // G304: the name is made here
	if err != nil {
		s.forget(name)
		return nil, unwritable(s.path, fmt.Errorf("create spool file: %w", err))
	}
	buf := bufio.NewWriterSize(f, 64<<10)
	return &Entry{Writer: buf, spool: s, name: name, file: f, buf: buf}, nil
}

// Commit syncs the file and the folder and gives the name to store in a row. When
// it fails nothing is left behind.
func (e *Entry) Commit() (name string, err error) {
	if e.done {
		return "", errors.New("commit spool file: already committed or discarded")
	}
	part := e.file.Name()
	crash.At("spool:", "written")
	if err := errors.Join(e.buf.Flush(), e.file.Sync()); err != nil {
		return "", errors.Join(fmt.Errorf("commit spool file: %w", err), e.Discard())
	}
	e.done = true
	if err := e.file.Close(); err != nil {
		e.spool.forget(e.name)
		return "", errors.Join(fmt.Errorf("commit spool file: %w", err), os.Remove(part))
	}
	crash.At("spool:", "synced")
	final := filepath.Join(e.spool.path, e.name)
	if err := os.Rename(part, final); err != nil {
		e.spool.forget(e.name)
		return "", errors.Join(fmt.Errorf("commit spool file: %w", err), os.Remove(part))
	}
	crash.At("spool:", "renamed")
	if err := syncFolder(e.spool.path); err != nil {
		e.spool.forget(e.name)
		return "", errors.Join(fmt.Errorf("commit spool file: %w", err), os.Remove(final))
	}
	crash.At("spool:", "committed")
	return e.name, nil
}

// Discard removes what was written, unless it was committed.
func (e *Entry) Discard() error {
	if e.done {
		return nil
	}
	e.done = true
	e.spool.forget(e.name)
	if err := errors.Join(e.file.Close(), os.Remove(e.file.Name())); err != nil {
		return fmt.Errorf("discard spool file: %w", err)
	}
	return nil
}

// Open opens a committed file.
func (s *Spool) Open(name string) (io.ReadCloser, error) {
	if !validName(name) {
		return nil, errors.New("open spool file: not the name of a spool file")
	}
	f, err := os.Open(filepath.Join(s.path, name)) //nolint:gosec // G304: the name is checked above
	if err != nil {
		return nil, fmt.Errorf("open spool file: %w", err)
	}
	return f, nil
}

// Remove deletes a committed file; a file that is not there is no error.
func (s *Spool) Remove(name string) error {
	if !validName(name) {
		return errors.New("remove spool file: not the name of a spool file")
	}
	crash.At("spool:", "before removal")
	if err := os.Remove(filepath.Join(s.path, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return unwritable(s.path, fmt.Errorf("remove spool file: %w", err))
	}
	crash.At("spool:", "after removal")
	s.forget(name)
	return nil
}

// Sweep deletes files that no row names (keep reports whether a name is named):
// what a crash left behind. Files that this process made are left alone, because
// their rows may not be written yet. Only who holds the device's lock may sweep.
func (s *Spool) Sweep(keep func(name string) bool) (removed int, err error) {
	entries, err := os.ReadDir(s.path)
	if err != nil {
		return 0, fmt.Errorf("sweep spool: %w", err)
	}
	for _, entry := range entries {
		name, part := strings.CutSuffix(entry.Name(), partSuffix)
		// Whatever else lies there was not made by a spool.
		if !validName(name) || !entry.Type().IsRegular() || s.made(name) || (!part && keep(name)) {
			continue
		}
		if err := os.Remove(filepath.Join(s.path, entry.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return removed, unwritable(s.path, fmt.Errorf("sweep spool: %w", err))
		}
		removed++
	}
	return removed, nil
}

func (s *Spool) made(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.mine[name]
	return ok
}

func (s *Spool) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mine, name)
}

// validName accepts what Create makes and nothing else: names come back from
// rows, and a row must not be able to name a file elsewhere.
func validName(name string) bool {
	if len(name) != 32 {
		return false
	}
	for _, c := range []byte(name) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
