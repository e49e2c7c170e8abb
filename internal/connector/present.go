package connector

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// withoutPresent looks up rooms and authors that have never landed. What the
// platform holds already is adopted and not sent: sending it again would overwrite
// an analyst's name and description (opencti.md §12.3). What stands there but
// belongs to another room or person is never written: our row gets an id of its
// own.
func (d *deliverer) withoutPresent(ctx context.Context, parcels []parcel) ([]parcel, error) {
	var ids []stix.ID
	for _, p := range parcels {
		if p.draft == nil && p.landed == 0 {
			ids = append(ids, p.objects[0].ObjectID())
		}
	}
	if len(ids) == 0 {
		return parcels, nil
	}
	found, err := d.sink.Find(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("look up channels and individuals: %w", err)
	}
	rest := parcels[:0:0]
	for _, p := range parcels {
		if p.draft != nil || p.landed > 0 {
			rest = append(rest, p)
			continue
		}
		f, ok := found[p.objects[0].ObjectID()]
		switch {
		case !ok:
			rest = append(rest, p)
		case p.room != nil && foreignRoom(f, p.room.Room.ID.String(), p.room.Key):
			err = d.ownKey(ctx, p)
		case p.author != nil && foreignPerson(f, p.author.User.String(), p.author.Key):
			err = d.ownKey(ctx, p)
		default:
			d.log.InfoContext(ctx, "adopted what the platform holds", slog.String("kind", string(p.ref.Kind)),
				slog.String("stix_id", string(f.ID)))
			if rest, err = d.adopt(ctx, rest, p, f); err != nil {
				return nil, err
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// adopt lands a row whose object the platform holds already. Its words are somebody
// else's, unless they are just what would be written. A relation that is not there is
// still to be sent.
func (d *deliverer) adopt(ctx context.Context, rest []parcel, p parcel, f stix.Found) ([]parcel, error) {
	channel, ok := p.objects[0].(*stix.Channel)
	if !ok {
		return rest, d.ledger.Land(ctx, p.ref, p.revision)
	}
	text := ""
	if digest := stix.Digest(channel.Description); stix.Digest(f.Description) == digest {
		text = digest
	}
	p, more, err := d.landRoom(ctx, p, p.room.Room.Name, text)
	if more {
		rest = append(rest, p)
	}
	return rest, err
}

// foreignRoom reports whether a Channel that was found under a room's id carries
// another room: one of its aliases, or the id at the end of its name, is a room id
// other than ours, be it in its case only. The Python connector makes such
// Channels of rooms with equal names.
func foreignRoom(f stix.Found, room, key string) bool {
	for _, alias := range f.Aliases {
		if strings.HasPrefix(alias, "!") && alias != room && alias != key {
			return true
		}
	}
	if open := strings.LastIndex(f.Name, "(!"); open >= 0 && strings.HasSuffix(f.Name, ")") {
		named := f.Name[open+1 : len(f.Name)-1]
		return named != room && named != key
	}
	return strings.HasPrefix(f.Name, "!") && f.Name != room && f.Name != key
}

// foreignPerson reports whether an Individual that was found under an author's id
// is another account: its name differs from the MXID in its case.
func foreignPerson(f stix.Found, user, key string) bool {
	return strings.HasPrefix(f.Name, "@") && f.Name != user && f.Name != key &&
		(strings.EqualFold(f.Name, user) || strings.EqualFold(f.Name, key))
}

// ownKey gives a row an id that no other room or person can have.
func (d *deliverer) ownKey(ctx context.Context, p parcel) error {
	d.log.WarnContext(ctx, "the platform holds another object under this id; an object of its own is made",
		slog.String("kind", string(p.ref.Kind)), slog.String("stix_id", string(p.objects[0].ObjectID())),
		slog.String("room_id", p.ref.Room.String()), slog.String("sender", p.ref.User.String()))
	if p.room != nil {
		return d.ledger.SetRoomKey(ctx, p.room.Room.ID, ledger.TwinKey(p.room.Room.ID.String()))
	}
	return d.ledger.SetAuthorKey(ctx, p.author.User, ledger.TwinKey(p.author.User.String()))
}
