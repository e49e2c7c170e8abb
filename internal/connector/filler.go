package connector

import (
	"context"
	"fmt"
	"log/slog"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// filler reads what /sync does not bring: late keys, single events (targets of replies,
// posts whose content was dropped), gaps and history. Each turn does a page or an event of
// each kind, so that none of them holds up another.
type filler struct {
	ledger  *ledger.Ledger
	account *matrix.Account
	log     *slog.Logger
	vitals  *vitals // hears of failures; nil: nobody does
	paged   func()  // called when a page was read that a command asked for; nil: nobody is
}

const keyPage = 100 // undecrypted events in one transaction: about 40 ms under the crypto lock

func (f *filler) turn(ctx context.Context) (more bool, err error) {
	n, err := f.account.RetryPage(ctx, keyPage)
	if err != nil {
		return true, err
	}
	single, err := f.single(ctx)
	if err != nil {
		return true, err
	}
	gaps, err := f.ledger.Gaps(ctx, 1)
	if err != nil {
		return false, fmt.Errorf("look for gaps: %w", err)
	}
	for _, g := range gaps {
		return true, f.page(ctx, g)
	}
	return n > 0 || single, nil
}

// single fetches one target or refills one post; found is false when there is none.
func (f *filler) single(ctx context.Context) (found bool, err error) {
	targets, err := f.ledger.Targets(ctx, 1)
	if err != nil {
		return false, fmt.Errorf("look for targets: %w", err)
	}
	for _, t := range targets {
		return true, f.target(ctx, t)
	}
	refills, err := f.ledger.Refills(ctx, 1)
	if err != nil {
		return false, fmt.Errorf("look for dropped content: %w", err)
	}
	for _, r := range refills {
		return true, f.refill(ctx, r)
	}
	return false, nil
}

// refill reads the events of a post once more. One that lacks something afterwards, for
// whatever reason, waits: it must not come first for ever.
func (f *filler) refill(ctx context.Context, r ledger.Refill) error {
	wait := func(class ledger.Class) error { return f.ledger.DeferRefill(ctx, r.Post, class, "content") }
	for _, event := range r.Events {
		if err := f.account.FetchTarget(ctx, r.Post.Room, event); err != nil {
			if ctx.Err() != nil {
				return err
			}
			return f.deferred(ctx, err, r.Post.Room, wait)
		}
	}
	if err := wait("temporary"); err != nil {
		return fmt.Errorf("store outcome: %w", err)
	}
	return nil
}

func (f *filler) target(ctx context.Context, t ledger.Target) error {
	err := f.account.FetchTarget(ctx, t.Room, t.ID)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return f.deferred(ctx, err, t.Room, func(class ledger.Class) error {
		return f.ledger.DeferTarget(ctx, t, class, "fetch")
	})
}

func (f *filler) page(ctx context.Context, g timeline.Gap) error {
	done, err := f.account.Fill(ctx, g)
	if g.Request != 0 && f.paged != nil {
		f.paged() // to be told, or to be told that it waits
	}
	if err == nil {
		if done {
			f.log.InfoContext(ctx, "gap is filled", slog.String("room_id", g.Room.String()),
				slog.String("kind", string(g.Kind)), slog.Int("count", g.Pages+1))
		}
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	return f.deferred(ctx, err, g.Room, func(class ledger.Class) error {
		return f.ledger.DeferGap(ctx, g.ID, class, "fetch")
	})
}

// deferred makes one row wait for a failure that concerns it, so that one room
// does not hold up the others. A homeserver that asks for patience is obeyed by the
// whole loop.
func (f *filler) deferred(ctx context.Context, cause error, room id.RoomID, wait func(ledger.Class) error) error {
	c := classify(cause)
	if c.class == "rate_limited" || c.class == "unauthorized" {
		return cause
	}
	f.vitals.missed("fill", cause, c.class)
	f.log.WarnContext(ctx, "reading the past of a room failed", slog.String("room_id", room.String()),
		slog.String("class", c.class), slog.Any("err", cause))
	if err := wait(ledger.Class(c.class)); err != nil {
		return fmt.Errorf("store failure: %w", err)
	}
	return nil
}
