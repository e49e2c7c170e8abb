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
		case p.landed == 0:
			rest = append(rest, p)
		case p.room != nil:
			err = d.rename(ctx, p)
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

// rename gives a Channel the room's new name, unless an analyst has named it
// otherwise.
func (d *deliverer) rename(ctx context.Context, p parcel) error {
	channel, ok := p.objects[0].(*stix.Channel)
	if !ok {
		return fmt.Errorf("rename %s: not a channel", p.objects[0].ObjectID())
	}
	if p.room.SentName != "" && p.room.SentName != p.room.Room.Name {
		before := *p.room
		before.Room.Name = p.room.SentName
		if from := d.mapper.Channel(before).Name; from != channel.Name {
			// A Channel that is gone is made again when a post misses it.
			if _, err := d.sink.Rename(ctx, channel.ID, from, channel.Name); err != nil && !errors.Is(err, stix.ErrGone) {
				return fmt.Errorf("rename channel: %w", err)
			}
		}
	}
	return d.ledger.Land(ctx, p.ref, p.revision)
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
	if len(rest.objects) == 0 {
		return p, false, d.ledger.Land(ctx, p.ref, p.revision)
	}
	return rest, true, nil
}
