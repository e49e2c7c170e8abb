package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// fetcher brings attachments into the spool.
type fetcher struct {
	ledger  *ledger.Ledger
	account *matrix.Account
	store   *store.Store
	log     *slog.Logger
	// files says which files of a room are fetched: bytes of one, and media type
	// patterns, none for all.
	files func(timeline.Room) (limit int64, types []string)
	// off reports that nothing could be done with a file: then none is fetched.
	off func() bool
	// quota bounds what is fetched at a time.
	quota quota
	// vitals hears of failures; nil: nobody does.
	vitals *vitals
}

// downloads is how many attachments are fetched at a time.
const downloads = 4

func (f *fetcher) turn(ctx context.Context) (more bool, err error) {
	if f.off() {
		return false, nil
	}
	wanted, err := f.ledger.Wanted(ctx, downloads)
	if err != nil {
		return false, fmt.Errorf("look for attachments: %w", err)
	}
	if wanted, err = f.admitted(ctx, wanted); err != nil {
		return false, err
	}
	// One that fails does not cancel the others: they may be nearly done.
	var group errgroup.Group
	for _, a := range wanted {
		group.Go(func() error { return f.fetch(ctx, a) })
	}
	return len(wanted) > 0, group.Wait()
}

// admitted gives the files for which there is room. Those that are only to be refused need
// none.
func (f *fetcher) admitted(ctx context.Context, wanted []timeline.Attachment) ([]timeline.Attachment, error) {
	if len(wanted) == 0 {
		f.waits(ctx, "")
		return nil, nil
	}
	for i, a := range wanted {
		room, err := f.ledger.Room(ctx, a.Room)
		if err != nil {
			return nil, fmt.Errorf("look up room of an attachment: %w", err)
		}
		if limit, _ := f.files(room.Room); a.File.Problem != "" || limit == 0 || a.File.Size > limit {
			return wanted[i : i+1], nil
		}
	}
	now, why, err := f.quota.admit(wanted)
	if err != nil {
		return nil, err
	}
	f.waits(ctx, why)
	return now, nil
}

// waits notes why files are not fetched for now, and says when that begins and ends.
func (f *fetcher) waits(ctx context.Context, why string) {
	switch before := f.vitals.fetchWaits(why); {
	case before == why:
	case why == waitSpool:
		f.log.WarnContext(ctx, "attachments wait: those on their way take all of MATRIX_SPOOL_MAX_SIZE; text goes on", slog.String("reason", why))
	case why == waitDisk:
		f.log.WarnContext(ctx, "attachments wait: the disk of the store is nearly full; text goes on as long as there is room", slog.String("reason", why))
	default:
		f.log.InfoContext(ctx, "attachments are fetched again")
	}
}

func (f *fetcher) fetch(ctx context.Context, a timeline.Attachment) error {
	log := f.log.With(slog.String("room_id", a.Room.String()), slog.String("event_id", a.Event.String()))
	room, err := f.ledger.Room(ctx, a.Room)
	if err != nil {
		return fmt.Errorf("look up room of an attachment: %w", err)
	}
	limit, types := f.files(room.Room)
	switch {
	case a.File.Problem != "":
		return f.ledger.Refuse(ctx, a, a.File.Problem)
	case limit == 0 || a.File.Size > limit:
		return f.ledger.Refuse(ctx, a, "too_large")
	}
	got, err := f.account.Fetch(ctx, a, limit)
	if err == nil {
		return f.keep(ctx, got, types, log)
	}
	if ctx.Err() != nil {
		return err
	}
	if errors.Is(err, matrix.ErrTooLarge) {
		return f.ledger.Refuse(ctx, a, "too_large")
	}
	if e, ok := errors.AsType[*matrix.MediaError](err); ok && e.Class == matrix.ClassPermanent {
		log.WarnContext(ctx, "an attachment is lost", slog.String("reason", string(e.Reason)))
		return f.ledger.Lose(ctx, a, string(e.Reason))
	}
	c := classify(err)
	f.vitals.missed("fetch", err, c.class)
	// The row waits also where the whole loop is to: it may be the only one of its kind,
	// such as a file on another host.
	if _, failed := f.ledger.DeferAttachment(ctx, a, ledger.Class(c.class), "fetch"); failed != nil {
		return errors.Join(err, failed)
	}
	if c.class == "rate_limited" || c.class == "unauthorized" {
		return err
	}
	log.WarnContext(ctx, "fetching an attachment failed", slog.String("class", c.class), slog.Any("err", err))
	return nil
}

// keep stores the row of a fetched file, or drops the file where policy or a newer
// word of its message says so.
func (f *fetcher) keep(ctx context.Context, a timeline.Attachment, types []string, log *slog.Logger) error {
	var err error
	if !typeWanted(types, a.MediaType) {
		err = f.ledger.Refuse(ctx, a, "media_type")
	} else if err = f.ledger.Fetched(ctx, a); err == nil {
		f.vitals.count().Fetched(a.Bytes)
		log.DebugContext(ctx, "attachment fetched", slog.Int64("bytes", a.Bytes))
		return nil
	}
	if err != nil && !errors.Is(err, ledger.ErrTransition) {
		return err // the file is swept at the next start, the row is wanted still
	}
	return f.store.Spool().Remove(a.Spool)
}

func typeWanted(types []string, mediaType string) bool {
	if len(types) == 0 {
		return true
	}
	mediaType, _, _ = strings.Cut(mediaType, ";")
	for _, pattern := range types {
		if matrix.Pattern(pattern).Match(strings.TrimSpace(mediaType)) {
			return true
		}
	}
	return false
}
