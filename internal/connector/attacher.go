package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// attacher adds fetched files to posts that have landed.
type attacher struct {
	ledger *ledger.Ledger
	store  *store.Store
	sink   Sink
	mapper *mapping.Mapper
	log    *slog.Logger
	vitals *vitals // nil: nothing is counted
	off    bool    // files may not be uploaded
}

func (t *attacher) turn(ctx context.Context) (more bool, err error) {
	// In the same loop: a file is never removed while it is being attached.
	withdrawn, err := t.ledger.Withdrawn(ctx, 1)
	if err != nil {
		return false, fmt.Errorf("look for files to remove: %w", err)
	}
	for _, a := range withdrawn {
		return true, t.detach(ctx, a)
	}
	if t.off {
		return false, nil
	}
	ready, err := t.ledger.ReadyToAttach(ctx, 1)
	if err != nil {
		return false, fmt.Errorf("look for files to attach: %w", err)
	}
	for _, a := range ready {
		return true, t.attach(ctx, a)
	}
	return false, nil
}

func (t *attacher) attach(ctx context.Context, a timeline.Attachment) error {
	log := t.log.With(slog.String("room_id", a.Room.String()), slog.String("event_id", a.Event.String()))
	draft, err := t.ledger.Draft(ctx, a.Room, a.Event)
	if errors.Is(err, ledger.ErrUnknown) {
		log.WarnContext(ctx, "the post of an attachment can no longer be composed", slog.String("reason", reasonNoPost))
		return t.dropped(a, t.ledger.Lose(ctx, a, reasonNoPost))
	}
	if err != nil {
		return fmt.Errorf("read post of an attachment: %w", err)
	}
	content, err := matrix.OpenSpooled(t.store, a)
	if err != nil {
		log.WarnContext(ctx, "a spooled file cannot be read and is fetched again", slog.Any("err", err))
		return t.dropped(a, t.ledger.Spoilt(ctx, a, "spool"))
	}
	defer content.Close()
	err = t.sink.Attach(ctx, t.mapper.Post(draft)[0].ObjectID(), t.mapper.File(draft, a), content)
	if err == nil {
		spool, err := t.ledger.Attached(ctx, a)
		if errors.Is(err, ledger.ErrTransition) {
			return nil // its message was redacted meanwhile, and the file is removed next
		}
		if err != nil {
			return fmt.Errorf("store attachment: %w", err)
		}
		t.vitals.count().Attached(a.Bytes)
		log.DebugContext(ctx, "attachment landed", slog.Int64("bytes", a.Bytes))
		return t.store.Spool().Remove(spool)
	}
	if ctx.Err() != nil {
		return err
	}
	c := classify(err)
	t.vitals.missed("attach", err, c.class)
	switch {
	case errors.Is(err, matrix.ErrSpoilt):
		log.WarnContext(ctx, "a spooled file is damaged and is fetched again")
		return t.dropped(a, t.ledger.Spoilt(ctx, a, "spool"))
	case errors.Is(err, stix.ErrGone):
		log.WarnContext(ctx, "the post of an attachment is gone from the platform", slog.String("reason", reasonGone))
		return t.dropped(a, t.ledger.Lose(ctx, a, reasonGone))
	case c.class == "permanent":
		log.ErrorContext(ctx, "the platform refused a file", slog.Any("err", err))
		return t.dropped(a, t.ledger.Refuse(ctx, a, "refused_by_platform"))
	}
	log.WarnContext(ctx, "attaching a file failed", slog.String("class", c.class), slog.Any("err", err))
	_, err = t.ledger.DeferAttachment(ctx, a, ledger.Class(c.class), "attach")
	return err
}

// detach removes a file that its message has lost, by a redaction.
func (t *attacher) detach(ctx context.Context, a timeline.Attachment) error {
	err := t.sink.Detach(ctx, mapping.MessageID(a.Event), mapping.FileName(a.File))
	if err == nil || errors.Is(err, stix.ErrGone) {
		return t.ledger.Removed(ctx, a)
	}
	if ctx.Err() != nil {
		return err
	}
	c := classify(err)
	t.vitals.missed("detach", err, c.class)
	t.log.WarnContext(ctx, "a file of a redacted message cannot be removed yet", slog.String("room_id", a.Room.String()),
		slog.String("event_id", a.Event.String()), slog.String("class", c.class), slog.Any("err", err))
	return t.ledger.DeferRemoval(ctx, a)
}

// reasonNoPost is why a file is lost whose post is damaged on disk: nobody can tell
// any more what it belongs to.
const reasonNoPost = "nothing_to_say"

// dropped removes the spool file of an attachment once its row has let go of it, as
// err tells.
func (t *attacher) dropped(a timeline.Attachment, err error) error {
	if err != nil {
		return err
	}
	return t.store.Spool().Remove(a.Spool)
}
