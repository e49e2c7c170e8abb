package matrix

import (
	"context"
	"fmt"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// RetryPage tries up to limit events again whose key came after them, and gives how
// many it tried; 0 means that none waits. It works in pages because a single key
// can unlock thousands of events, and each is decrypted under the crypto lock.
func (a *Account) RetryPage(ctx context.Context, limit int) (n int, err error) {
	waiting, err := a.journal.Waiting(ctx, limit)
	if err != nil {
		return 0, fmt.Errorf("retry late keys: %w", err)
	}
	if len(waiting) == 0 {
		return 0, nil
	}
	err = a.transact(ctx, func(ctx context.Context, m *machine) error {
		var b timeline.Batch
		for _, w := range waiting {
			again := timeline.Retried{Room: w.Event.Room, ID: w.Event.ID}
			e, no, err := a.reread(ctx, m, w)
			switch {
			case err != nil:
				return err
			case no != nil:
				again.Reason, again.Cause = no.Reason, no.Cause
			default:
				again.Readable = true
				b.Events = append(b.Events, e)
			}
			b.Retried = append(b.Retried, again)
		}
		return a.journal.Record(ctx, b)
	})
	if err != nil {
		return 0, fmt.Errorf("retry late keys: %w", err)
	}
	return len(waiting), nil
}
