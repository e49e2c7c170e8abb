package connector

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// parcel is one row on its way: what it is, and the objects that say it.
type parcel struct {
	ref      ledger.Ref
	revision int64
	landed   int64
	objects  []stix.Object

	// One of these is set, after the kind of the row.
	room   *timeline.RoomState
	author *timeline.Author
	draft  *timeline.Draft
}

// addTo puts the row back into a batch of the ledger.
func (p parcel) addTo(b *ledger.Batch) {
	switch {
	case p.room != nil:
		b.Rooms = append(b.Rooms, *p.room)
	case p.author != nil:
		b.Authors = append(b.Authors, *p.author)
	case p.draft != nil:
		b.Drafts = append(b.Drafts, *p.draft)
	}
}

// outcome is the verdict on a row: the worst of its objects'.
func (p parcel) outcome(verdicts stix.Verdicts) stix.Verdict {
	worst := stix.Verdict{State: stix.Landed}
	for _, o := range p.objects {
		v, ok := verdicts[o.ObjectID()]
		if !ok {
			v = stix.Verdict{State: stix.Missing, Reason: "no_verdict"}
		}
		if badness[v.State] > badness[worst.State] {
			worst = v
		}
	}
	return worst
}

// badness orders verdicts. A refusal explains an absence, so it counts more.
var badness = map[stix.VerdictState]int{
	stix.Landed: 0, stix.Differs: 1, stix.Missing: 2, stix.MissingEnd: 3, stix.Refused: 4,
}

// pack maps the rows of a batch. A row that cannot be mapped is dead, visible, and
// hides no other.
func (d *deliverer) pack(ctx context.Context, b ledger.Batch) ([]parcel, error) {
	parcels := make([]parcel, 0, b.Len())
	add := func(p parcel, objects func() []stix.Object) error {
		var err error
		if p.objects, err = d.mapped(ctx, p, objects); err != nil {
			return d.ledger.Kill(ctx, p.ref, "mapping_failed")
		}
		parcels = append(parcels, p)
		return nil
	}
	for i := range b.Rooms {
		r := &b.Rooms[i]
		p := parcel{ref: ledger.RoomRef(*r), revision: r.Revision, landed: r.Landed, room: r}
		if err := add(p, func() []stix.Object {
			objects := d.mapper.Room(*r)
			r.Text = stix.Digest(objects[0].(*stix.Channel).Description)
			return objects
		}); err != nil {
			return nil, err
		}
	}
	for i := range b.Authors {
		a := &b.Authors[i]
		p := parcel{ref: ledger.AuthorRef(*a), revision: a.Revision, landed: a.Landed, author: a}
		if err := add(p, func() []stix.Object { return []stix.Object{d.mapper.Author(*a)} }); err != nil {
			return nil, err
		}
	}
	for i := range b.Drafts {
		t := &b.Drafts[i]
		p := parcel{ref: ledger.PostRef(*t), revision: t.Revision, landed: t.Landed, draft: t}
		if err := add(p, func() []stix.Object { return d.mapper.Post(*t) }); err != nil {
			return nil, err
		}
	}
	return parcels, nil
}

var errMapping = errors.New("mapping panicked")

// mapped keeps a panic inside the one row that caused it.
func (d *deliverer) mapped(ctx context.Context, p parcel, objects func() []stix.Object) (out []stix.Object, err error) {
	defer func() {
		if r := recover(); r != nil {
			d.log.ErrorContext(ctx, "a row cannot be mapped", slog.String("kind", string(p.ref.Kind)),
				slog.String("room_id", p.ref.Room.String()), slog.String("event_id", p.ref.Event.String()),
				slog.String("stack", string(debug.Stack())))
			err = errMapping
		}
	}()
	return objects(), nil
}
