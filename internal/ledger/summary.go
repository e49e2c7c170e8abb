package ledger

import (
	"context"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
)

// Summary counts rows by state, for log, status and metrics.
type Summary struct {
	Events, Rooms, Authors, Posts, Attachments map[string]int
	// Undecrypted counts undecrypted events by reason, Skipped skipped ones.
	Undecrypted, Skipped map[string]int
	OpenGaps             int // in rooms that are imported
	LostGaps             int
	Targets              int       // still to be fetched
	Waiting              int       // undecrypted events with a key to try
	OldestDue            time.Time // when the post that goes next was received; zero: none
	Batches              int64     // see [Ledger.Counter]
}

// Counts counts.
func (l *Ledger) Counts(ctx context.Context) (Summary, error) {
	s := Summary{
		Events: map[string]int{}, Rooms: map[string]int{}, Authors: map[string]int{}, Posts: map[string]int{},
		Attachments: map[string]int{}, Undecrypted: map[string]int{}, Skipped: map[string]int{},
	}
	// Rows are never deleted, so the highest row id is their number; what is counted one
	// by one is only what is not in the state that nearly all are in.
	if err := l.count(ctx, s.Events, string(EventRead), "ledger_event", func(state, reason string, n int) {
		switch EventState(state) {
		case EventUndecrypted:
			s.Undecrypted[reason] += n
		case EventSkipped:
			s.Skipped[reason] += n
		case EventRead, EventUnreadable:
		}
	}, "SELECT state, reason, count(*) FROM ledger_event WHERE state <> 'read' AND state IN ('undecrypted', 'skipped', 'unreadable') GROUP BY state, reason"); err != nil {
		return Summary{}, err
	}
	if err := l.count(ctx, s.Posts, string(StateLanded), tablePost, nil, `SELECT 'due', '', count(*) FROM ledger_post WHERE state = 'due'
		UNION ALL SELECT 'sent', '', count(*) FROM ledger_post WHERE state = 'sent'
		UNION ALL SELECT 'dead', '', count(*) FROM ledger_post WHERE state = 'dead'`); err != nil {
		return Summary{}, err
	}
	if err := l.count(ctx, s.Attachments, string(AttachmentAttached), "ledger_attachment", nil, `SELECT 'wanted', '', count(*) FROM ledger_attachment WHERE state = 'wanted'
		UNION ALL SELECT 'fetched', '', count(*) FROM ledger_attachment WHERE state = 'fetched'
		UNION ALL SELECT state, '', count(*) FROM ledger_attachment WHERE state IN ('refused', 'lost') GROUP BY state`); err != nil {
		return Summary{}, err
	}
	for table, counts := range map[string]map[string]int{tableRoom: s.Rooms, tableAuthor: s.Authors} {
		if err := l.count(ctx, counts, string(StateLanded), table, nil, "SELECT state, '', count(*) FROM "+table+" WHERE state <> 'landed' GROUP BY state"); err != nil {
			return Summary{}, err
		}
	}
	// Only the first post of each lane is looked at; a table full of due posts would
	// otherwise be read as a whole.
	var oldest int64
	err := l.queryRow(ctx, `SELECT
		(SELECT count(*) FROM ledger_gap g JOIN ledger_room r ON r.id = g.room WHERE g.state = 'open' AND r.skip = ''),
		(SELECT count(*) FROM ledger_gap WHERE state = 'lost'),
		(SELECT count(*) FROM ledger_target WHERE state = 'wanted'),
		(SELECT count(*) FROM ledger_event WHERE waiting = 1),
		(SELECT batches FROM ledger_state),
		coalesce((SELECT min(received) FROM (
			SELECT * FROM (SELECT received FROM ledger_post WHERE state = 'due' AND dropped = 0 AND live = 1 ORDER BY live DESC, place, id LIMIT 1)
			UNION ALL SELECT * FROM (SELECT received FROM ledger_post WHERE state = 'due' AND dropped = 0 AND live = 0 ORDER BY live DESC, place, id LIMIT 1))), 0)`).
		Scan(&s.OpenGaps, &s.LostGaps, &s.Targets, &s.Waiting, &s.Batches, &oldest)
	if err != nil {
		return Summary{}, fmt.Errorf("count work: %w", err)
	}
	s.OldestDue = moment(oldest)
	return s, nil
}

// count counts the rows of a table that are not in the usual state, as query lists them
// (state, reason, number), and takes all others to be in it.
func (l *Ledger) count(ctx context.Context, counts map[string]int, usual, table string, each func(state, reason string, n int), query string) error {
	var rest int
	if err := l.queryRow(ctx, "SELECT coalesce(max(id), 0) FROM "+table).Scan(&rest); err != nil {
		return fmt.Errorf("count rows: %w", err)
	}
	err := l.each(ctx, func(row dbutil.Scannable) error {
		var state, reason string
		var n int
		if err := row.Scan(&state, &reason, &n); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		counts[state] += n
		rest -= n
		if each != nil {
			each(state, reason, n)
		}
		return nil
	}, query)
	if err != nil {
		return fmt.Errorf("count rows: %w", err)
	}
	if rest > 0 {
		counts[usual] = rest
	}
	return nil
}

// CaughtUp reports whether there is nothing left to do: nothing due or sent, no file
// to fetch or attach, no gap, target or key to work on. Rows of rooms that are not
// imported do not count, nor do those whose room, author or post is dead: they wait for
// an operator.
func (l *Ledger) CaughtUp(ctx context.Context) (bool, error) {
	var busy bool
	err := l.queryRow(ctx, `SELECT
		EXISTS (SELECT 1 FROM ledger_room WHERE state = 'due' AND skip = '')
		OR EXISTS (SELECT 1 FROM ledger_room WHERE state = 'sent')
		OR EXISTS (SELECT 1 FROM ledger_author WHERE state = 'due')
		OR EXISTS (SELECT 1 FROM ledger_author WHERE state = 'sent')
		OR EXISTS (SELECT 1 FROM ledger_post WHERE state = 'sent')
		OR EXISTS (SELECT 1 FROM ledger_event WHERE waiting = 1)
		OR EXISTS (SELECT 1 FROM ledger_gap g CROSS JOIN ledger_room r ON r.id = g.room WHERE g.state = 'open' AND r.skip = '')
		OR EXISTS (SELECT 1 FROM ledger_target t CROSS JOIN ledger_room r ON r.id = t.room WHERE t.state = 'wanted' AND r.skip = '')
		OR EXISTS (SELECT 1 FROM ledger_post p CROSS JOIN ledger_room r ON r.id = p.room CROSS JOIN ledger_author a ON a.id = p.author
			WHERE p.state = 'due' AND r.skip = '' AND NOT (r.state = 'dead' AND r.landed = 0) AND NOT (a.state = 'dead' AND a.landed = 0))
		OR EXISTS (SELECT 1 FROM ledger_attachment t CROSS JOIN ledger_post p ON p.id = t.post CROSS JOIN ledger_room r ON r.id = p.room
			CROSS JOIN ledger_author a ON a.id = p.author WHERE t.id IN (
				SELECT id FROM ledger_attachment WHERE state = 'wanted' UNION ALL SELECT id FROM ledger_attachment WHERE state = 'fetched') AND r.skip = '' AND NOT (p.state = 'dead' AND p.landed = 0)
			AND NOT (r.state = 'dead' AND r.landed = 0) AND NOT (a.state = 'dead' AND a.landed = 0))`).Scan(&busy)
	return !busy && err == nil, wrap("look for work", err)
}
