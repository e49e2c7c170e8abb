package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// settle asks the sink what became of the batch in hand, once it may be done.
func (d *deliverer) settle(ctx context.Context) error {
	f := d.flight
	if err := d.prepare(ctx); err != nil {
		return err
	}
	wait := d.rhythm.wait(len(f.bundle.Objects), d.now().Sub(f.sentAt), f.asked)
	if wait > 0 && !pause(ctx, wait, nil) {
		return ctx.Err()
	}
	verdicts, err := d.sink.Settle(ctx, f.receipt, f.bundle)
	switch {
	case errors.Is(err, stix.ErrPending):
		f.asked++
		return nil
	case errors.Is(err, stix.ErrLapsed):
		d.log.WarnContext(ctx, "receipt lapsed; its posts are sent again", slog.String("work_id", f.receipt),
			slog.Int("count", len(f.parcels)))
		if err := d.ledger.Lapse(ctx, f.receipt); err != nil {
			return fmt.Errorf("store lapse: %w", err)
		}
		d.flight, d.ahead = nil, nil
		return nil
	case err != nil:
		return fmt.Errorf("settle batch: %w", err)
	}
	d.rhythm.done(len(f.bundle.Objects), d.now().Sub(f.sentAt), wait, f.asked)
	if err := d.conclude(ctx, f.parcels, verdicts); err != nil {
		return err
	}
	d.flight = nil
	d.counts().Settled(d.now().Sub(f.sentAt))
	d.log.DebugContext(ctx, "batch settled", slog.String("work_id", f.receipt), slog.Int("count", len(f.parcels)),
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
	gone, err := d.goneTargets(ctx, parcels, verdicts)
	if err != nil {
		return err
	}
	return d.store.Do(ctx, func(ctx context.Context) error {
		landed := make([]ledger.Ref, 0, len(parcels))
		outcomes := make([]stix.Verdict, len(parcels))
		for i, p := range parcels {
			v := p.outcome(verdicts)
			if v.State == stix.Differs {
				v = amended[p.objects[0].ObjectID()]
			}
			d.tally(p, v)
			if outcomes[i] = v; v.State == stix.Landed {
				landed = append(landed, p.ref)
			}
		}
		// First what has landed: what an end is missing for takes back that its room has.
		if err := d.ledger.LandAll(ctx, landed); err != nil {
			return fmt.Errorf("store outcome: %w", err)
		}
		for _, target := range gone {
			if err := d.ledger.Leave(ctx, target); err != nil && !errors.Is(err, ledger.ErrUnknown) {
				return fmt.Errorf("store outcome: %w", err)
			}
		}
		for i, p := range parcels {
			if outcomes[i].State == stix.Landed {
				continue
			}
			d.ahead = nil // what becomes of this row may change what is due
			if err := d.note(ctx, p, outcomes[i]); err != nil {
				return fmt.Errorf("store outcome: %w", err)
			}
		}
		return nil
	})
}

// goneTargets looks for the targets of replies that were refused for a missing end. One
// that had landed and is not there was deleted by somebody: it is left alone, and what
// refers to it goes without the relation.
func (d *deliverer) goneTargets(ctx context.Context, parcels []parcel, verdicts stix.Verdicts) ([]ledger.Ref, error) {
	targets := map[stix.ID]ledger.Ref{}
	for _, p := range parcels {
		if p.draft == nil || p.outcome(verdicts).State != stix.MissingEnd {
			continue
		}
		for _, e := range []id.EventID{p.draft.Post.Reply, p.draft.Post.Thread} {
			if e != "" {
				targets[mapping.MessageID(e)] = ledger.Ref{Kind: ledger.KindPost, Room: p.ref.Room, Event: e}
			}
		}
	}
	if len(targets) == 0 {
		return nil, nil
	}
	found, err := d.sink.Find(ctx, slices.Sorted(maps.Keys(targets)))
	if err != nil {
		return nil, fmt.Errorf("look up targets: %w", err)
	}
	var gone []ledger.Ref
	for _, object := range slices.Sorted(maps.Keys(targets)) {
		if _, ok := found[object]; !ok {
			gone = append(gone, targets[object])
			d.log.WarnContext(ctx, "a landed post is gone from the platform and is left alone",
				slog.String("room_id", targets[object].Room.String()), slog.String("event_id", targets[object].Event.String()))
		}
	}
	return gone, nil
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
	if v.State == stix.Landed {
		return d.ledger.Land(ctx, p.ref, p.revision)
	}
	log := d.log.With(slog.String("kind", string(p.ref.Kind)), slog.String("room_id", p.ref.Room.String()),
		slog.String("event_id", p.ref.Event.String()), slog.String("reason", v.Reason))
	switch v.State {
	case stix.Landed:
	case stix.MissingEnd:
		log.WarnContext(ctx, "an end of a relation is missing on the platform")
		if p.author != nil {
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
			return d.ledger.Leave(ctx, p.ref)
		}
		log.WarnContext(ctx, "an object did not arrive")
		return d.ledger.Defer(ctx, p.ref, "temporary", "missing")
	}
	return fmt.Errorf("unknown verdict %q", v.State)
}

// reasonGone is why a landed post is left alone that somebody has deleted on the
// platform: sending it again would bring it back against their will.
const reasonGone = "deleted_on_platform"
