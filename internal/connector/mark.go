package connector

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/store"
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
	there, _ := readMark(state) // one that says nothing is ahead of no store
	return there.ahead(here, path)
}

// ahead is an [*OldStoreError] where what the platform was told shows that the store is an
// old copy.
func (m mark) ahead(here ledger.Mark, path string) error {
	if m.Store != here.Store || m.Commits <= here.Commits {
		return nil
	}
	return &OldStoreError{Path: path, Commits: here.Commits, There: m.Commits, At: m.At}
}

// judge compares what the platform keeps with what it was told, and finds out that the
// store or the platform is not what it was.
type judge struct {
	ledger *ledger.Ledger
	store  *store.Store
	find   func(ctx context.Context, ids []stix.ID) (map[stix.ID]stix.Found, error)
	mapper *mapping.Mapper
	log    *slog.Logger
	path   string // of the store
	url    string // of the platform
}

// margin is how much more than what the state tells is taken to be lost: a ping comes every
// 40 seconds, and a backup takes its time.
const margin = 10 * time.Minute

// look judges the state that a platform keeps; nil where it keeps none, be it that it does
// not know the connector. The error is an [*OldStoreError] or an [*OtherPlatformError]; what a
// platform lost that was restored from a backup is due again.
func (j *judge) look(ctx context.Context, state []byte) error {
	here, err := j.ledger.Mark(ctx)
	if err != nil {
		return err
	}
	there, ok := readMark(state)
	if err := there.ahead(here, j.path); err != nil {
		return err
	}
	switch ours := ok && there.Store == here.Store; {
	case ours && there.Commits < here.Told:
		return j.restored(ctx, there)
	case ours, here.Told == 0: // nothing was ever told, or the platform has been reset since
		return nil
	}
	return j.known(ctx)
}

// restored sends again what landed after the backup that the platform was restored from:
// its state, too, is that of then.
func (j *judge) restored(ctx context.Context, there mark) error {
	return j.store.Do(ctx, func(ctx context.Context) error {
		n, err := j.ledger.Restored(ctx, there.At.Add(-margin))
		if err != nil {
			return err
		}
		j.log.WarnContext(ctx, "the platform was restored from a backup; what landed since is sent again",
			slog.Time("backup", there.At.UTC()), slog.Int64("count", n))
		return j.ledger.Tell(ctx, there.Commits)
	})
}

// sampled is how many rows of a kind are looked for on a platform that has forgotten the
// connector.
const sampled = 30

// known looks whether a platform that keeps no state of ours holds anything of what
// landed. Where it does, somebody has only deleted the connector there.
func (j *judge) known(ctx context.Context) error {
	sample, err := j.ledger.Landed(ctx, sampled)
	if err != nil {
		return err
	}
	var ids []stix.ID
	for _, r := range sample.Rooms {
		ids = append(ids, j.mapper.Channel(r).ID)
	}
	for _, a := range sample.Authors {
		ids = append(ids, j.mapper.Author(a).ID)
	}
	for _, e := range sample.Posts {
		ids = append(ids, mapping.MessageID(e))
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := j.find(ctx, ids)
	switch {
	case err != nil:
		return fmt.Errorf("look for what landed: %w", err)
	case len(found) == 0:
		return &OtherPlatformError{URL: j.url, Sought: len(ids)}
	}
	j.log.InfoContext(ctx, "the platform has forgotten the connector, and holds what was imported", slog.Int("count", len(found)))
	return nil
}

// OtherPlatformError is a platform that knows neither the connector nor anything of what it
// has imported.
type OtherPlatformError struct {
	URL    string
	Sought int // objects that should be there
}

// Error says what was found.
func (e *OtherPlatformError) Error() string {
	return fmt.Sprintf("the platform at %s is not the one that the store has delivered to, or has been emptied: of %d objects that landed it holds none", e.URL, e.Sought)
}

// Hint says what a person can do.
func (e *OtherPlatformError) Hint() string {
	return "if OPENCTI_URL is wrong, correct it. If everything is to be imported into this platform, open its page Data > Ingestion > Connectors, " +
		"reset the state of this connector, and start it again"
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
