package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// amend changes what has landed and now says something else, by mutations that
// answer at once, and gives back what is to be sent: rows that have never landed,
// and of landed posts the relations that are new.
func (d *deliverer) amend(ctx context.Context, parcels []parcel) ([]parcel, error) {
	rest := parcels[:0:0]
	for _, p := range parcels {
		var err error
		switch {
		case p.draft != nil && p.draft.Delete:
			err = d.remove(ctx, p)
		case p.landed == 0:
			rest = append(rest, p)
		case p.room != nil:
			var more bool
			if p, more, err = d.amendRoom(ctx, p); more {
				rest = append(rest, p)
			}
		case p.author != nil:
			err = d.ledger.Land(ctx, p.ref, p.revision)
		default:
			var more bool
			if p, more, err = d.amendPost(ctx, p); more {
				rest = append(rest, p)
			}
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil || !ofOneRow(err) {
			return nil, err
		}
		c := classify(err)
		d.log.WarnContext(ctx, "amending failed", slog.String("kind", string(p.ref.Kind)), slog.String("room_id", p.ref.Room.String()),
			slog.String("event_id", p.ref.Event.String()), slog.String("class", c.class), slog.Any("err", err))
		if err := d.ledger.Defer(ctx, p.ref, ledger.Class(c.class), "amend"); err != nil {
			return nil, fmt.Errorf("store failure: %w", err)
		}
	}
	return rest, nil
}

// amendRoom gives a Channel the room's new name and description, unless an analyst has
// written others. It reports whether a relation remains to be sent: that to the room which
// this one replaces.
func (d *deliverer) amendRoom(ctx context.Context, p parcel) (rest parcel, more bool, err error) {
	channel, ok := p.objects[0].(*stix.Channel)
	if !ok {
		return p, false, fmt.Errorf("revise %s: not a channel", p.objects[0].ObjectID())
	}
	written := stix.Written{Digest: p.room.SentText}
	if p.room.SentName != "" {
		before := *p.room
		before.Room.Name = p.room.SentName
		written.Name = d.mapper.Channel(before).Name
	}
	name, text := p.room.SentName, p.room.SentText
	// A Channel that is gone is made again when a post misses it.
	if now, err := d.sink.Revise(ctx, channel, written); err == nil {
		if text = now.Digest; now.Name == channel.Name {
			name = p.room.Room.Name
		}
	} else if !errors.Is(err, stix.ErrGone) {
		return p, false, fmt.Errorf("revise channel: %w", err)
	}
	return d.landRoom(ctx, p, name, text)
}

// landRoom notes what the sink holds as the words of a Channel. Where a relation of it
// remains to be sent it has not landed yet.
func (d *deliverer) landRoom(ctx context.Context, p parcel, name, text string) (rest parcel, more bool, err error) {
	rest, more, err = d.newRelations(ctx, p)
	if err != nil {
		return p, false, err
	}
	if more {
		room := *p.room
		room.Room.Name, room.Text = name, text // as it is noted when the relation has landed
		rest.room = &room
		return rest, true, nil
	}
	return p, false, d.ledger.Revised(ctx, p.ref, p.revision, name, text)
}

// newRelations leaves of a row the relations that the sink does not hold yet.
func (d *deliverer) newRelations(ctx context.Context, p parcel) (rest parcel, more bool, err error) {
	if len(p.objects) == 1 {
		return p, false, nil
	}
	ids := make([]stix.ID, 0, len(p.objects)-1)
	for _, o := range p.objects[1:] {
		ids = append(ids, o.ObjectID())
	}
	found, err := d.sink.Find(ctx, ids)
	if err != nil {
		return p, false, fmt.Errorf("look up relations: %w", err)
	}
	rest = p
	rest.objects = nil
	for _, o := range p.objects[1:] {
		if _, ok := found[o.ObjectID()]; !ok {
			rest.objects = append(rest.objects, o)
		}
	}
	return rest, len(rest.objects) > 0, nil
}

// amendPost changes the text of a landed post. It reports whether relations remain
// to be sent: those to targets that have landed since.
func (d *deliverer) amendPost(ctx context.Context, p parcel) (rest parcel, more bool, err error) {
	verdicts, err := d.sink.Amend(ctx, stix.NewBundle(p.objects[0]))
	if err != nil {
		return p, false, fmt.Errorf("amend post: %w", err)
	}
	text := p
	text.objects = p.objects[:1]
	v := text.outcome(verdicts)
	if v.State == stix.Missing {
		v.Reason = reasonGone
	}
	if v.State != stix.Landed {
		return p, false, d.note(ctx, p, v)
	}
	rest, more, err = d.newRelations(ctx, p)
	if err != nil {
		return p, false, err
	}
	if p.draft.Post.Redaction != nil && !p.draft.Post.Masked {
		// Kept, with a label: what is sent again by the queue gets it beside those that it
		// has, and nothing else changes (opencti.md §12.2).
		kept := p
		if kept.objects = p.objects[:1:1]; more {
			kept.objects = append(kept.objects, rest.objects...)
		}
		return kept, true, nil
	}
	if more {
		return rest, true, nil
	}
	return p, false, d.ledger.Land(ctx, p.ref, p.revision)
}

// remove deletes the object of a message that was redacted. Where the token may not
// delete, the object says at least no more than that it was.
func (d *deliverer) remove(ctx context.Context, p parcel) error {
	err := d.sink.Delete(ctx, p.objects[0].ObjectID())
	if err == nil {
		return d.ledger.Deleted(ctx, p.ref)
	}
	if ctx.Err() == nil && ofOneRow(err) && classify(err).class == "unauthorized" {
		if _, failed := d.sink.Amend(ctx, stix.NewBundle(p.objects[0])); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	return fmt.Errorf("delete object of a redacted message: %w", err)
}
