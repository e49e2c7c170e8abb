package connector

import (
	"context"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

var _ matrix.Journal = (*countedJournal)(nil)

// countedJournal is the ledger, with what it records counted once it is committed.
type countedJournal struct {
	*ledger.Ledger
	store   *store.Store
	metrics *telemetry.Metrics
}

// Record records and counts.
func (j *countedJournal) Record(ctx context.Context, b timeline.Batch) error {
	if err := j.Ledger.Record(ctx, b); err != nil {
		return err
	}
	j.store.AfterCommit(ctx, func() { j.count(b) })
	return nil
}

func (j *countedJournal) count(b timeline.Batch) {
	for _, r := range b.Retried {
		if r.Readable {
			j.metrics.Decrypted()
		}
	}
	if len(b.Retried) > 0 {
		return // what they hold was counted when it came
	}
	for _, e := range b.Events {
		j.metrics.Event(e.Type, telemetry.EventRead)
		if e.Live && !e.Sent.IsZero() {
			j.metrics.EventDelay(e.Received.Sub(e.Sent))
		}
	}
	for _, u := range b.Undecrypted {
		j.metrics.Event(u.Event.Type, telemetry.EventUndecrypted)
		j.metrics.Undecrypted(string(u.Reason))
	}
	for range b.Unreadable {
		j.metrics.Event("", telemetry.EventUnreadable)
	}
}
