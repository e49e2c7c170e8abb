package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// maxObjects bounds a batch, and with it a work on the platform: 100 objects take
// it 10 to 15 seconds (opencti.md §12.7).
const maxObjects = 100

// maxRows is how many rows are looked up for a batch: a post is two objects, so that
// more of them would be composed in vain.
const maxRows = maxObjects / 2

// deliverer brings what is due to the sink, one batch at a time. It has one
// goroutine and no lock.
type deliverer struct {
	ledger *ledger.Ledger
	sink   Sink
	mapper *mapping.Mapper
	log    *slog.Logger
	now    func() time.Time
	store  *store.Store
	vitals *vitals // nil: nothing is counted
	flight *flight // on its way; nil when nothing is
	asked  bool    // whether the ledger was asked for what a former process left
	rows   int     // of the next batch; fewer after one that could never be taken
	rhythm rhythm  // of the questions about a batch

	ahead   *ahead // the batch after the one in hand; nil when it is not composed
	counter int64  // of the ledger, when the batch in hand was looked up
}

// flight is a batch on its way.
type flight struct {
	receipt string
	parcels []parcel
	bundle  stix.Bundle
	asked   int // how often the sink was asked about it
	sentAt  time.Time
}

// turn does the next step for the batch in hand, or takes up a new one.
func (d *deliverer) turn(ctx context.Context) (more bool, err error) {
	if d.flight == nil && !d.asked {
		if err := d.resume(ctx); err != nil {
			return false, err
		}
	}
	if d.flight != nil {
		return true, d.settle(ctx)
	}
	parcels, some, err := d.next(ctx)
	if err != nil || !some {
		return false, err
	}
	if parcels, err = d.withoutPresent(ctx, parcels); err != nil {
		return false, err
	}
	if parcels, err = d.amend(ctx, parcels); err != nil {
		return false, err
	}
	if len(parcels) == 0 {
		return true, nil
	}
	return true, d.send(ctx, parcels)
}

// resume takes up what a former process had sent: its receipt decides, not our
// guess.
func (d *deliverer) resume(ctx context.Context) error {
	receipt, batch, ok, err := d.ledger.InFlight(ctx)
	if err != nil {
		return fmt.Errorf("look for open receipts: %w", err)
	}
	if !ok {
		d.asked = true
		return nil
	}
	parcels, err := d.pack(ctx, batch)
	if err != nil {
		return err
	}
	d.flight = newFlight(receipt, parcels, d.now())
	d.log.InfoContext(ctx, "open receipt taken up", slog.String("work_id", receipt), slog.Int("count", len(parcels)))
	return nil
}

func newFlight(receipt string, parcels []parcel, now time.Time) *flight {
	var objects []stix.Object
	for _, p := range parcels {
		objects = append(objects, p.objects...)
	}
	return &flight{receipt: receipt, parcels: parcels, bundle: stix.NewBundle(objects...), sentAt: now}
}

// send begins a receipt, stores it, and publishes.
func (d *deliverer) send(ctx context.Context, parcels []parcel) error {
	objects := 0
	var batch ledger.Batch
	for i, p := range parcels {
		if objects > 0 && objects+len(p.objects) > maxObjects {
			parcels = parcels[:i] // the rest stays due
			break
		}
		objects += len(p.objects)
		p.addTo(&batch)
	}
	receipt, err := d.sink.Begin(ctx, objects)
	if err != nil {
		return fmt.Errorf("begin batch: %w", err)
	}
	if err := d.ledger.Send(ctx, receipt, batch); err != nil {
		return fmt.Errorf("store receipt: %w", err)
	}
	d.counts().Begun()
	d.flight = newFlight(receipt, parcels, d.now())
	if err := d.sink.Publish(ctx, receipt, d.flight.bundle); err != nil {
		return d.unpublished(ctx, err)
	}
	d.counts().Published(objects, d.now().Sub(d.flight.sentAt))
	d.rows = min(maxRows, d.rows*2)
	d.log.DebugContext(ctx, "batch published", slog.String("work_id", receipt), slog.Int("count", objects))
	return nil
}

// unpublished gives the rows of a batch that the sink did not take back to the
// ledger. A batch that can never be taken is sent again in halves, down to the one
// row that is at fault.
func (d *deliverer) unpublished(ctx context.Context, cause error) error {
	f := d.flight
	if errors.Is(cause, context.Canceled) {
		return cause // the receipt is stored: the next start settles it
	}
	class := classify(cause).class
	err := d.store.Do(ctx, func(ctx context.Context) error {
		for _, p := range f.parcels {
			var err error
			if class == "permanent" && len(f.parcels) == 1 {
				err = d.ledger.Kill(ctx, p.ref, "refused_by_broker")
			} else {
				err = d.ledger.Defer(ctx, p.ref, ledger.Class(class), "not_published")
			}
			if err != nil {
				return fmt.Errorf("give back a row: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return errors.Join(cause, err) // the flight stays: its receipt is settled instead
	}
	d.flight = nil
	if class == "permanent" {
		d.rows = max(1, len(f.parcels)/2)
	}
	return fmt.Errorf("publish batch: %w", cause)
}
