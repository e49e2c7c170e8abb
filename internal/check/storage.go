package check

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// What is free on the store's volume: below the first the disk is as good as full,
// below the second it soon may be.
const (
	fullBelow   = 16 << 20
	scarceBelow = 512 << 20
)

// storage looks at the store. What it finds is read by later steps, which need it.
type storage struct {
	settings *config.Config

	open  *store.Store // for reading; nil before the first start
	rooms []timeline.RoomState
	// known: a database exists, so that there may be a device in it.
	known bool
	// running: a connector works on it.
	running bool
}

// beyondReach is a store that does not answer.
func beyondReach(settings *config.Config) *storage { return &storage{settings: settings, known: true} }

func (s *storage) close() {
	if s.open != nil {
		_ = s.open.Close() // only read
	}
}

// look surveys the folder, then what is in it.
func (s *storage) look(ctx context.Context) Line {
	m := s.settings.Matrix
	survey, err := store.Look(m.StorePath)
	s.known, s.running = survey.Database, survey.Running
	facts := func(l Line) Line {
		l = l.with("path", survey.Path).with("exists", survey.Database).with("uid", survey.UID).with("gid", survey.GID).
			with("free_bytes", survey.Free).with("running", survey.Running)
		return l.with("key", map[bool]string{true: "MATRIX_STORE_KEY", false: store.KeyFileName}[m.StoreKey.IsSet()])
	}
	switch {
	case err != nil:
		hint := connector.Hint(err)
		if hint == "" {
			hint = "set MATRIX_STORE_PATH to a folder on a volume of its own that this user may write"
		}
		if !strings.Contains(hint, "MATRIX_STORE_PATH") {
			hint += " (MATRIX_STORE_PATH)"
		}
		return facts(failed(Store, err.Error(), hint))
	case survey.Free < fullBelow:
		return facts(failed(Store, fmt.Sprintf("only %s are free at %s", size(survey.Free), survey.Path),
			"make room on the volume, or set MATRIX_STORE_PATH to a folder on a larger one"))
	}
	var says []string
	if survey.Database {
		told, l := s.read(ctx)
		if l.State == Failed {
			return facts(l)
		}
		says = append(says, told...)
	} else {
		says = append(says, "empty, to be made at the first start")
	}
	says = append(says, size(survey.Free)+" free")
	if survey.Running {
		says = append(says, "a connector is running on it")
	}
	text := survey.Path + ": " + strings.Join(says, ", ")
	switch {
	case survey.Shared != "":
		return facts(warning(Store, text+", on "+survey.Shared, "set MATRIX_STORE_PATH to a folder on a disk of this machine: a database on "+survey.Shared+" breaks sooner or later"))
	case survey.Free < scarceBelow:
		return facts(warning(Store, text, "make room on the volume: the store only grows"))
	case !m.StoreKey.IsSet():
		return facts(warning(Store, text+", sealed with a key that lies beside it: a stolen disk is readable",
			"set MATRIX_STORE_KEY before the first start, from a place that is not on this disk"+
				map[bool]string{true: "; an existing store keeps the key that it was made with"}[survey.Database]))
	}
	return facts(fine(Store, text+", sealed with MATRIX_STORE_KEY"))
}

// read opens the database and tells what is in it.
func (s *storage) read(ctx context.Context) (says []string, problem Line) {
	m := s.settings.Matrix
	opened, err := store.OpenReadOnly(ctx, store.Config{Path: m.StorePath, Key: []byte(m.StoreKey.Reveal())})
	switch {
	case errors.Is(err, store.ErrEmpty):
		s.known = false
		return []string{"empty, to be filled at the first start"}, Line{}
	case err != nil && connector.Hint(err) != "":
		return nil, failed(Store, err.Error(), connector.Hint(err))
	case err != nil:
		return nil, failed(Store, err.Error(), "put the store's last backup in place (MATRIX_STORE_PATH)")
	}
	s.open = opened
	versions := map[string]func(context.Context, *store.Store) (int, error){"ledger": ledger.Stored, "account": matrix.Stored}
	for _, name := range []string{"ledger", "account"} {
		version, err := versions[name](ctx, opened)
		if err != nil {
			return nil, failed(Store, err.Error(), "run the newer version of matrix-connector again, or set MATRIX_STORE_PATH to an empty folder")
		}
		says = append(says, fmt.Sprintf("%s of version %d", name, version))
		if name != "ledger" || version == 0 {
			continue
		}
		if problem := s.readLedger(ctx); problem.State == Failed {
			return nil, problem
		}
	}
	return says, Line{}
}

// readLedger reads the rooms, and whose the store is.
func (s *storage) readLedger(ctx context.Context) Line {
	l := ledger.New(ledger.Config{Store: s.open})
	sink, err := l.Sink(ctx)
	if err == nil {
		s.rooms, err = l.Rooms(ctx)
	}
	if err != nil {
		return failed(Store, err.Error(), "put the store's last backup in place (MATRIX_STORE_PATH)")
	}
	if kind, _, _ := strings.Cut(sink, " "); kind != "" && kind != "platform" {
		return failed(Store, "it belongs to an export into a "+kind+", and remembers what landed there",
			"set MATRIX_STORE_PATH to a folder of its own for the platform; the bot gets a second device there")
	}
	return Line{}
}

// old is why the store is not to be used: the platform has heard of a newer self of it.
// Nil where it has not, or where the store cannot tell.
func (s *storage) old(ctx context.Context, state []byte) error {
	if s.open == nil {
		return nil
	}
	if err := ledger.Readable(ctx, s.open); err != nil {
		return nil //nolint:nilerr // the line before this one tells
	}
	err := connector.OldStore(ctx, ledger.New(ledger.Config{Store: s.open}), s.settings.Matrix.StorePath, state)
	if old, ok := errors.AsType[*connector.OldStoreError](err); ok {
		return old
	}
	return nil
}
