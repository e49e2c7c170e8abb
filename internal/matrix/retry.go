package matrix

import (
	"context"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// RetryPage tries up to max events again whose key came after them, and gives how
// many it tried; 0 means that none waits. It works in pages because a single key
// can unlock thousands of events, and each is decrypted under the crypto lock.
func (a *Account) RetryPage(ctx context.Context, max int) (n int, err error) {
	waiting, err := a.journal.Waiting(ctx, max)
	if err != nil {
		return 0, fmt.Errorf("retry late keys: %w", err)
	}
	if len(waiting) == 0 {
		return 0, nil
	}
	err = a.transact(ctx, func(ctx context.Context, m *machine) error {
		var b timeline.Batch
		for _, w := range waiting {
			if err := a.retryOne(ctx, m, &b, w); err != nil {
				return err
			}
		}
		return a.journal.Record(ctx, b)
	})
	if err != nil {
		return 0, fmt.Errorf("retry late keys: %w", err)
	}
	return len(waiting), nil
}

// retryOne tries one event. What was frozen when it arrived stays: its names, when
// it arrived, and whether it was news then.
func (a *Account) retryOne(ctx context.Context, m *machine, b *timeline.Batch, w timeline.Undecrypted) error {
	var one timeline.Batch
	if err := a.absorb(ctx, m, &one, w.Event.Room, chunkOf(w.Event.Raw), w.Event.Live); err != nil {
		return err
	}
	again := timeline.Retried{Room: w.Event.Room, ID: w.Event.ID, Reason: timeline.ReasonMalformed}
	for _, e := range one.Events {
		if !sameEvent(e, w) {
			continue
		}
		e.Received, e.SenderName, e.RoomName, e.Live = w.Event.Received, w.Event.SenderName, w.Event.RoomName, w.Event.Live
		b.Events = append(b.Events, e)
		again.Readable, again.Reason = true, ""
	}
	for _, u := range one.Undecrypted {
		if sameEvent(u.Event, w) {
			again.Reason, again.Cause = u.Reason, u.Cause
		}
	}
	b.Retried = append(b.Retried, again)
	return nil
}

func sameEvent(e timeline.Event, w timeline.Undecrypted) bool {
	return e.Room == w.Event.Room && e.ID == w.Event.ID && e.ID != id.EventID("")
}
