package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// setBack is how far a clock goes back before it counts as corrected: what time servers
// do every day is far less.
const setBack = time.Minute

// furthest is how far ahead anything may be due: the longest wait of the retry curve,
// twice.
const furthest = 2 * time.Hour

// straighten makes due at once what waits for a time that a clock gave which was ahead.
// Due times are the wall clock's, so that they outlive a restart; without this a row that
// failed while the clock showed another year would wait until that year.
//
// It is done at start, and by whoever notices that the clock has gone back. A clock that
// goes forward only makes things due early.
func (l *Ledger) straighten(ctx context.Context) error {
	return l.do(ctx, "correct due times", func(ctx context.Context) error {
		var rows int64
		for _, waits := range []struct{ table, column, where string }{
			{tableRoom, "due_at", "state = 'due'"},
			{tableAuthor, "due_at", "state = 'due'"},
			{tablePost, "due_at", "state = 'due' AND due_at > 0"},
			{tablePost, "hold_until", "state = 'due' AND hold_until > 0"},
			{"ledger_attachment", "due_at", "state IN ('wanted', 'fetched') AND due_at > 0"},
			{"ledger_gap", "due_at", "state = 'open'"},
			{"ledger_target", "due_at", "state = 'wanted'"},
		} {
			n, err := l.exec(ctx, "UPDATE "+waits.table+" SET "+waits.column+" = 0 WHERE "+waits.where+" AND "+waits.column+" > ?",
				l.now()+furthest.Milliseconds())
			if err != nil {
				return fmt.Errorf("%s: %w", waits.table, err)
			}
			rows += n
		}
		if rows > 0 {
			l.log.WarnContext(ctx, "the clock was ahead: what waited for a later time is due now", slog.Int64("count", rows))
		}
		return nil
	})
}
