package ledger

import (
	"context"
	"fmt"
)

// Mark says which store this is and how far it is: what the connector leaves with the
// platform, so that an old copy of the store is noticed.
type Mark struct {
	Store   string // made by chance with the store; a copy has the same
	Commits int64  // see [Ledger.Counter]
	Told    int64  // the commits that the platform was told last; 0: none, or it was reset since
}

// Mark gives the store's mark.
func (l *Ledger) Mark(ctx context.Context) (Mark, error) {
	var m Mark
	if err := l.queryRow(ctx, "SELECT store, batches, told FROM ledger_state").Scan(&m.Store, &m.Commits, &m.Told); err != nil {
		return Mark{}, fmt.Errorf("read mark: %w", err)
	}
	return m, nil
}

// Tell notes that the platform keeps the mark with so many commits.
func (l *Ledger) Tell(ctx context.Context, commits int64) error {
	_, err := l.exec(ctx, "UPDATE ledger_state SET told = ? WHERE told <> ?", commits, commits)
	return wrap("note what was told", err)
}
