package matrix

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// furthest is how far ahead anything of the account may wait for: its longest wait, a
// day, twice. presently is what clocks of one machine differ by from one start to the
// next.
const (
	furthest  = 48 * time.Hour
	presently = time.Minute
)

// correctTimes makes due at once what waits for a time that a clock gave which was
// ahead, and forgets when something was last done where that time has yet to come. Such
// times are the wall clock's, so that they outlive a restart.
func (a *Account) correctTimes(ctx context.Context) error {
	now := a.now()
	return a.store.Do(ctx, func(ctx context.Context) error {
		var rows int64
		for _, x := range []struct {
			column, table string
			most          time.Duration
		}{
			{"due", "matrix_stale_user", furthest},
			{"due", "matrix_invite", furthest},
			{"due", "matrix_upgrade", furthest},
			{"due", "matrix_key_search", furthest},
			{"due", "matrix_bundle", furthest},
			{"sent_at", "matrix_unwedge", presently},
			{"requested_at", "matrix_key_search", presently},
			{"checked_at", "matrix_identity", presently},
			{"checked_at", "matrix_backup", presently},
		} {
			result, err := a.store.DB().Exec(ctx, "UPDATE "+x.table+" SET "+x.column+"=0 WHERE "+x.column+">$1", now.Add(x.most).UnixMilli())
			if err != nil {
				return fmt.Errorf("correct times of %s: %w", x.table, err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return fmt.Errorf("correct times of %s: %w", x.table, err)
			}
			rows += n
		}
		if rows > 0 {
			a.log.WarnContext(ctx, "the clock was ahead: what waited for a later time is due now", slog.Int64("count", rows))
		}
		return nil
	})
}
