package ledger

import (
	"context"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// withdrawn is the reason of a walk that ended because nobody wants it any more.
const withdrawn = "withdrawn"

// Backfill is the history of one room that a request asks for: how far it is, or what
// became of it.
type Backfill struct {
	Room   id.RoomID
	State  string // open, done, lost
	Reason string // of one that is lost; of an open one, why its last page failed
	Skip   string // why the room is not imported; an open walk then waits for ever
	Seen   int    // events that were read
	Fresh  int    // of them, those that were not known, or only as too old
	Pages  int
	// Opened is when it was asked for, Reached how far back the walk has come, Since
	// where it ends; zero: none yet, no bound.
	Opened, Reached, Since time.Time
}

// OpenBackfill has the history of rooms read once more, from their newest event back to
// the time given for each; zero: to the room's start. What it brings from before the
// start date is imported all the same: somebody asked for it. Rooms that were opened for
// the request before stay as they are, so it can be repeated.
func (l *Ledger) OpenBackfill(ctx context.Context, request int64, since map[id.RoomID]time.Time) error {
	return l.do(ctx, "open backfill", func(ctx context.Context) error {
		for room, start := range since {
			_, err := l.run(ctx, `INSERT INTO ledger_gap (room, kind, from_token, bound, opened, request)
				SELECT id, ?2, '', ?3, ?4, ?5 FROM ledger_room WHERE room = ?1
				AND NOT EXISTS (SELECT 1 FROM ledger_gap g WHERE g.room = ledger_room.id AND g.request = ?5)`,
				room, timeline.GapHistory, millis(start), l.now(), request)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Backfills gives the walks of a request, in the order of their rooms.
func (l *Ledger) Backfills(ctx context.Context, request int64) ([]Backfill, error) {
	var list []Backfill
	err := l.each(ctx, func(row dbutil.Scannable) error {
		var b Backfill
		var opened, reached, bound int64
		err := row.Scan(&b.Room, &b.State, &b.Reason, &b.Skip, &b.Seen, &b.Fresh, &b.Pages, &opened, &reached, &bound)
		b.Opened, b.Reached, b.Since = moment(opened), moment(reached), moment(bound)
		list = append(list, b)
		return err
	}, `SELECT r.room, g.state, CASE g.state WHEN 'open' THEN g.class ELSE g.reason END, r.skip, g.seen, g.fresh, g.pages, g.opened, g.reached, g.bound
		FROM ledger_gap g CROSS JOIN ledger_room r ON r.id = g.room WHERE g.request > 0 AND g.request = ? ORDER BY r.id`, request)
	return list, wrap("list backfills", err)
}

// WithdrawBackfills ends what is still open of requests, but for those that are named. How
// far a walk came stays: it is not read again when the start date moves back only so far.
func (l *Ledger) WithdrawBackfills(ctx context.Context, but []int64) error {
	in, args := list([]any{withdrawn}, append([]int64{0}, but...))
	_, err := l.run(ctx, `UPDATE ledger_gap SET state = 'done', reason = ?, due_at = 0, attempts = 0, class = '',
		bound = CASE reached WHEN 0 THEN opened ELSE reached END WHERE request > 0 AND state = 'open' AND request NOT IN `+in, args...)
	return wrap("withdraw backfills", err)
}

// walk is the gap that a page belongs to.
type walk struct {
	kind    timeline.GapKind
	room    int64
	until   id.EventID
	bound   int64
	request int64

	seen, fresh int
	reached     int64 // the latest time of the page
}

// walking looks up the gap of a page.
func (r *recorder) walking(ctx context.Context, gap int64) (w walk, err error) {
	err = r.each(ctx, func(row dbutil.Scannable) error {
		return row.Scan(&w.kind, &w.room, &w.until, &w.bound, &w.request)
	}, "SELECT kind, room, until, bound, request FROM ledger_gap WHERE id = ?", gap)
	return w, wrap("look up gap", err)
}

// reach is the start date that holds for what arrives in a room: an earlier one, where
// somebody asked for the page.
func (w walk) reach(room *roomRow, start time.Time) time.Time {
	if w.request == 0 || w.room != room.id {
		return start
	}
	if since := moment(w.bound); since.IsZero() || since.Before(start) {
		return since
	}
	return start
}

// count counts what a page brought.
func (w *walk) count(rows []*eventRow) {
	w.seen += len(rows)
	for _, row := range rows {
		if !row.event.Sent.IsZero() {
			w.reached = max(w.reached, millis(row.event.Sent))
		}
	}
}

// cured closes what homeservers once refused to show and have shown now: a walk that
// somebody asked for begins at the newest event and passes all of it.
func (r *recorder) cured(ctx context.Context, gap int64, w walk) error {
	if w.request == 0 {
		return nil
	}
	_, err := r.run(ctx, `UPDATE ledger_gap SET state = 'done', reason = '' WHERE room = ?1 AND state = 'lost' AND id < ?2 AND (?3 = 0
		OR kind = ?4 AND bound >= ?3
		OR kind <> ?4 AND EXISTS (SELECT 1 FROM ledger_event e WHERE e.room = ?1 AND e.event = ledger_gap.until AND e.sent >= ?3))`,
		w.room, gap, w.bound, timeline.GapHistory)
	if err != nil {
		return fmt.Errorf("close lost gaps: %w", err)
	}
	return nil
}
