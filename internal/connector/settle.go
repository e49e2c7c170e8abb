package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// poll is how long to wait before asking the sink once more: 20 ms at first,
// half as much again each time, two seconds at most.
func poll(n int) time.Duration {
	wait := 20 * time.Millisecond
	for range min(n, 12) {
		wait += wait / 2
	}
	return min(wait, 2*time.Second)
}

// settle asks the sink what became of the batch in hand.
func (d *deliverer) settle(ctx context.Context) error {
	f := d.flight
	verdicts, err := d.sink.Settle(ctx, f.receipt, f.bundle)
	switch {
	case errors.Is(err, stix.ErrPending):
		pause(ctx, poll(f.polls), nil)
		f.polls++
		return nil
	case errors.Is(err, stix.ErrLapsed):
		d.log.WarnContext(ctx, "receipt lapsed; its posts are sent again", slog.String("work_id", f.receipt),
			slog.Int("count", len(f.parcels)))
		if err := d.ledger.Lapse(ctx, f.receipt); err != nil {
			return fmt.Errorf("store lapse: %w", err)
		}
		d.flight = nil
		return nil
	case err != nil:
		return fmt.Errorf("settle batch: %w", err)
	}
	if err := d.conclude(ctx, f.parcels, verdicts); err != nil {
		return err
	}
	d.flight = nil
	d.counts().Settled(d.now().Sub(f.sentAt))
	d.log.InfoContext(ctx, "batch settled", slog.String("work_id", f.receipt), slog.Int("count", len(f.parcels)),
		slog.Duration("duration", d.now().Sub(f.sentAt)))
	return nil
}

// conclude writes the outcome of each row into the ledger, in one transaction: a
// crash before it asks the sink again, a crash after it has nothing to ask.
func (d *deliverer) conclude(ctx context.Context, parcels []parcel, verdicts stix.Verdicts) error {
	amended, err := d.correct(ctx, parcels, verdicts)
	if err != nil {
		return err
	}
	return d.store.Do(ctx, func(ctx context.Context) error {
		for _, p := range parcels {
			v := p.outcome(verdicts)
			if v.State == stix.Differs {
				v = amended[p.objects[0].ObjectID()]
			}
			d.tally(p, v)
			if err := d.note(ctx, p, v); err != nil {
				return fmt.Errorf("store outcome: %w", err)
			}
		}
		return nil
	})
}

// correct changes by mutation what stands on the platform with another text: an
// object sent again is ignored in silence where its creator had a higher
// confidence (opencti.md §12.2).
func (d *deliverer) correct(ctx context.Context, parcels []parcel, verdicts stix.Verdicts) (stix.Verdicts, error) {
	out := stix.Verdicts{}
	for _, p := range parcels {
		if p.outcome(verdicts).State != stix.Differs {
			continue
		}
		first := p.objects[0].ObjectID()
		v, err := d.sink.Amend(ctx, stix.NewBundle(p.objects...))
		if ctx.Err() == nil && ofOneRow(err) {
			// The batch closes without it: the row is sent and compared again later.
			d.log.WarnContext(ctx, "amending failed", slog.String("stix_id", string(first)),
				slog.String("class", classify(err).class), slog.Any("err", err))
			out[first] = stix.Verdict{State: stix.Missing, Reason: "not_amended"}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("amend: %w", err)
		}
		out[first] = p.outcome(v)
		if p.draft == nil && out[first].State == stix.Differs {
			// A Channel or Individual that others have made or renamed is theirs; only
			// its marking is ours to set.
			d.log.WarnContext(ctx, "the platform holds another Channel or Individual than was sent",
				slog.String("stix_id", string(first)), slog.String("reason", out[first].Reason))
			out[first] = stix.Verdict{State: stix.Landed}
		}
	}
	return out, nil
}

// note makes the ledger's transition for a verdict.
func (d *deliverer) note(ctx context.Context, p parcel, v stix.Verdict) error {
	log := d.log.With(slog.String("kind", string(p.ref.Kind)), slog.String("room_id", p.ref.Room.String()),
		slog.String("event_id", p.ref.Event.String()), slog.String("reason", v.Reason))
	switch v.State {
	case stix.Landed:
		return d.ledger.Land(ctx, p.ref, p.revision)
	case stix.MissingEnd:
		log.WarnContext(ctx, "an end of a relation is missing on the platform")
		if p.draft == nil {
			return d.ledger.Defer(ctx, p.ref, "temporary", "missing_end")
		}
		return d.ledger.MissingEnd(ctx, p.ref)
	case stix.Refused:
		log.ErrorContext(ctx, "the platform refused an object")
		return d.ledger.Kill(ctx, p.ref, "refused: "+v.Reason)
	case stix.Differs:
		log.ErrorContext(ctx, "the platform holds something else than was sent")
		return d.ledger.Kill(ctx, p.ref, "differs: "+v.Reason)
	case stix.Missing:
		if p.landed > 0 && p.draft != nil && v.Reason == reasonGone {
			log.WarnContext(ctx, "a landed post is gone from the platform and is left alone")
			return d.ledger.Kill(ctx, p.ref, reasonGone)
		}
		log.WarnContext(ctx, "an object did not arrive")
		return d.ledger.Defer(ctx, p.ref, "temporary", "missing")
	}
	return fmt.Errorf("unknown verdict %q", v.State)
}

// reasonGone is why a landed post is dead that somebody has deleted on the
// platform: sending it again would bring it back against their will.
const reasonGone = "deleted_on_platform"
