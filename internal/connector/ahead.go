package connector

import (
	"context"
	"fmt"
)

// ahead is the next batch, composed and mapped while the one in hand is on its way.
// It is nothing but work done early: its rows are due as before, no receipt is begun,
// and it is thrown away as soon as looking again could give anything else.
type ahead struct {
	parcels []parcel
	counter int64 // of the ledger, before it was looked at
}

// next gives the rows of the next batch: those composed ahead, where nothing was
// recorded since, or what is due now. It reports whether there were any, also where
// none of them can be mapped.
func (d *deliverer) next(ctx context.Context) (parcels []parcel, some bool, err error) {
	counter, err := d.ledger.Counter(ctx)
	if err != nil {
		return nil, false, err
	}
	early := d.ahead
	d.ahead, d.counter = nil, counter
	if early != nil && early.counter == counter {
		return early.parcels, true, nil
	}
	batch, err := d.ledger.Due(ctx, d.rows)
	if err != nil {
		return nil, false, fmt.Errorf("look for due posts: %w", err)
	}
	parcels, err = d.pack(ctx, batch)
	return parcels, !batch.Empty(), err
}

// prepare composes the next batch. While the ledger still records, something newer
// may come first, and a text may be taken back: then it is not worth while. Nor is it
// when rooms or authors are on their way, whose posts become due when they land, or
// when a post would go without a relation that the batch in hand may make possible.
func (d *deliverer) prepare(ctx context.Context) error {
	if d.ahead != nil {
		return nil
	}
	d.ahead = &ahead{counter: -1} // once for a flight
	counter, err := d.ledger.Counter(ctx)
	if err != nil || counter != d.counter {
		return err
	}
	for _, p := range d.flight.parcels {
		if p.draft == nil {
			return nil
		}
	}
	batch, err := d.ledger.Due(ctx, d.rows)
	if err != nil {
		return fmt.Errorf("look for due posts: %w", err)
	}
	for _, t := range batch.Drafts {
		if t.Post.Reply != "" && !t.ReplyKnown || t.Post.Thread != "" && !t.ThreadKnown {
			return nil
		}
	}
	parcels, err := d.pack(ctx, batch)
	if err != nil {
		return err
	}
	if len(parcels) > 0 {
		d.ahead = &ahead{parcels: parcels, counter: counter}
	}
	return nil
}
