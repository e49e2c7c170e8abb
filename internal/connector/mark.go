package connector

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
)

// mark is what the platform keeps for the connector, its state: which store it works on,
// and how far that is. The number of commits only grows, so that one which is higher there
// than here shows that the store is an old copy of the one that was told of.
type mark struct {
	Version int       `json:"version"`
	Store   string    `json:"store"`
	Commits int64     `json:"commits"`
	At      time.Time `json:"at"` // by our clock
}

const markVersion = 2

// readMark reads a state. One that this program has not written says nothing.
func readMark(state []byte) (m mark, ok bool) {
	if json.Unmarshal(state, &m) != nil || m.Version != markVersion || m.Store == "" {
		return mark{}, false
	}
	return m, true
}

// newerThan says whether a state shows that the store is an old copy.
func newerThan(state []byte, here ledger.Mark) (m mark, newer bool) {
	m, ok := readMark(state)
	return m, ok && m.Store == here.Store && m.Commits > here.Commits
}

// OldStoreError is a store that is an old copy: its newer self has worked on the device
// since.
type OldStoreError struct {
	Path    string
	Commits int64     // of the store
	There   int64     // of its newer self, as the platform was told
	At      time.Time // when it was
}

// Error says what is wrong.
func (e *OldStoreError) Error() string {
	return fmt.Sprintf("store %s is an old copy: it ends at commit %d, and at %s the platform was told of commit %d",
		e.Path, e.Commits, e.At.UTC().Format(time.DateTime), e.There)
}

// Hint says what a person can do.
func (e *OldStoreError) Hint() string {
	return "put the newest store back. If there is none: keep the keys of this one with matrix-connector keys export, start with an empty store " +
		"as a new device, and take them in with keys import. Used further, this copy would make messages unreadable"
}

// OldStore is an [*OldStoreError] where the state that a platform keeps shows that a
// store is an old copy.
func OldStore(ctx context.Context, l *ledger.Ledger, path string, state []byte) error {
	here, err := l.Mark(ctx)
	if err != nil {
		return err
	}
	if there, newer := newerThan(state, here); newer {
		return &OldStoreError{Path: path, Commits: here.Commits, There: there.Commits, At: there.At}
	}
	return nil
}

// firstWord is how long reading waits for the platform's first answer, which may be that
// the store is an old copy. A platform that is away holds reading up no longer.
const firstWord = 10 * time.Second

// unheard waits until the platform has been asked, or could not be. A store on which
// nothing was recorded yet is no copy of any.
func (c *Connector) unheard(ctx context.Context) error {
	here, err := c.ledger.Mark(ctx)
	if err != nil || here.Commits == 0 {
		return err
	}
	timer := time.NewTimer(firstWord)
	defer timer.Stop()
	select {
	case <-c.heard:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// hear says that the platform has been asked.
func (c *Connector) hear() { c.hearing.Do(func() { close(c.heard) }) }
