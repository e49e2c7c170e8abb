package ledger

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Config is what a ledger needs.
type Config struct {
	Store *store.Store
	Log   *slog.Logger // nil: silent
	// Clock tells the time of due dates; nil: time.Now.
	Clock func() time.Time
	// Self is the bot: its own events are skipped("own").
	Self id.UserID
	// Start is the import start date, a bound of history: what was sent before it is
	// skipped("before_start_date"), and of such an event only its id, times and state
	// are kept. It does not apply to news, to what was missed between two syncs, nor to
	// an event that something newer replies to or edits: that one is imported so that
	// links do not dangle. Zero: no bound.
	Start time.Time
	// StartOf is the start date of one room, where rooms differ; history is false where
	// nothing of its past is wanted, and start then is when the first start was. It must
	// be pure. nil: Start, for every room.
	StartOf func(timeline.Room) (start time.Time, history bool)
	// SkipRoom says why a room is not imported (room rules), "" when it is. It must
	// be pure, and its reasons come from a small closed set. Events of such a room
	// are skipped(reason) and kept, so that [Ledger.Reconsider] can take the room
	// back in. nil: all rooms are imported.
	SkipRoom func(timeline.Room) (reason string)
	// Redactions is the policy of a room for what is redacted. It must be pure. nil:
	// [RedactionsMask], everywhere.
	Redactions func(timeline.Room) Redactions
	// Hold is how long a first-time post waits for the target of its reply or thread
	// to land, so that the relation goes with it; 0: two minutes.
	Hold time.Duration
	// Calm is how long a landed post waits after a reaction or a vote before it is due,
	// so that many of them are one change; 0: half a minute.
	Calm time.Duration
}

// Ledger is the memory of one account. It is safe for concurrent use.
type Ledger struct {
	store *store.Store
	log   *slog.Logger
	clock func() time.Time
	self  id.UserID
	start time.Time
	// startOf is Config.StartOf, which may be nil; see startIn.
	startOf func(timeline.Room) (time.Time, bool)

	rule   func(timeline.Room) string     // Config.SkipRoom
	policy func(timeline.Room) Redactions // Config.Redactions
	hold   time.Duration
	calm   time.Duration // Config.Calm

	mu      sync.Mutex
	changed chan struct{} // closed by the next change

	latest atomic.Int64 // the latest present that NextDue has met; see straighten

	tally tally
}

// New makes a ledger. It touches nothing; call [Ledger.Open] before anything else.
func New(c Config) *Ledger {
	l := &Ledger{
		store: c.Store, log: c.Log, clock: c.Clock, self: c.Self, start: c.Start, startOf: c.StartOf, rule: c.SkipRoom, hold: c.Hold, calm: c.Calm,
		changed: make(chan struct{}),
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.clock == nil {
		l.clock = time.Now
	}
	if l.rule == nil {
		l.rule = func(timeline.Room) string { return "" }
	}
	if l.policy = c.Redactions; l.policy == nil {
		l.policy = func(timeline.Room) Redactions { return RedactionsMask }
	}
	if l.hold == 0 {
		l.hold = 2 * time.Minute
	}
	if l.calm == 0 {
		l.calm = 30 * time.Second
	}
	return l
}

//go:embed schema/*.sql
var schema embed.FS

// upgrades is built once: dbutil parses the files' first lines.
var upgrades = sync.OnceValue(func() dbutil.UpgradeTable {
	return dbutil.BuildUpgradeTable().WithFSPath(schema, "schema").Finish()
})

// Open makes the tables or brings them to their newest version.
func (l *Ledger) Open(ctx context.Context) error {
	if err := l.store.Tables(ctx, "ledger_version", upgrades()); err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	return nil
}

// Changed gives a channel that is closed after the next commit that may have made
// something due. Take it before looking for work, wait on it when there is none:
//
//	changed := l.Changed()
//	batch, err := l.Due(ctx, max)
//	if batch.Empty() { select { case <-changed: case <-timer: } }
func (l *Ledger) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// signal wakes whoever waits on Changed, once the transaction of ctx is committed.
func (l *Ledger) signal(ctx context.Context) {
	l.store.AfterCommit(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		close(l.changed)
		l.changed = make(chan struct{})
	})
}

// Counter is the number of batches that were recorded, and of other changes that give
// posts which are due a new revision: something that only grows, for the state that the
// connector shows the platform, and for whoever wants to know whether what [Ledger.Due]
// gave still holds.
func (l *Ledger) Counter(ctx context.Context) (int64, error) {
	var n int64
	if err := l.queryRow(ctx, "SELECT batches FROM ledger_state").Scan(&n); err != nil {
		return 0, fmt.Errorf("read counter: %w", err)
	}
	return n, nil
}

// outdate counts such a change.
const outdate = "UPDATE ledger_state SET batches = batches + 1"

// Token is the sync token up to which everything is recorded; empty at first.
func (l *Ledger) Token(ctx context.Context) (string, error) {
	var token string
	if err := l.queryRow(ctx, "SELECT token FROM ledger_state").Scan(&token); err != nil {
		return "", fmt.Errorf("read sync token: %w", err)
	}
	return token, nil
}

// now is the present in milliseconds, as rows hold it.
func (l *Ledger) now() int64 { return l.clock().UnixMilli() }

// run runs a statement for its effect. Its text is one of a bounded set, as are those
// of exec, queryRow and each: they are prepared once.
func (l *Ledger) run(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := l.store.Prepared(ctx, query) //nolint:sqlclosecheck // the store closes it
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

// exec is run for those who ask how many rows changed.
func (l *Ledger) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := l.run(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// queryRow runs a query for its only row.
func (l *Ledger) queryRow(ctx context.Context, query string, args ...any) dbutil.Scannable {
	stmt, err := l.store.Prepared(ctx, query) //nolint:sqlclosecheck // the store closes it
	if err != nil {
		return failedRow{err}
	}
	return stmt.QueryRowContext(ctx, args...)
}

// failedRow is the row of a query that could not be prepared.
type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// each runs a query and hands every row to scan.
func (l *Ledger) each(ctx context.Context, scan func(dbutil.Scannable) error, query string, args ...any) error {
	stmt, err := l.store.Prepared(ctx, query) //nolint:sqlclosecheck // the store closes it
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err below says what matters
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// chunk is how many values go into one statement, at most.
const chunk = 512

// list makes the placeholders of an IN and appends its values to args. There are few
// lengths of lists, so that there are few texts of statements: the last value stands
// in the free places once more, which changes nothing.
func list[T ~string | ~int64](args []any, values []T) (string, []any) {
	length := 1
	for length < len(values) {
		length *= 2
	}
	for _, v := range values {
		args = append(args, v)
	}
	for range length - len(values) {
		args = append(args, values[len(values)-1])
	}
	return "(" + strings.TrimSuffix(strings.Repeat("?,", length), ",") + ")", args
}

// millis and moment translate times that may be absent: 0 is none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
