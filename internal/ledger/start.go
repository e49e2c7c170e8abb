package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// startIn is the start date of a room, and whether its past is wanted at all.
func (l *Ledger) startIn(room timeline.Room) (start time.Time, history bool) {
	if l.startOf != nil {
		return l.startOf(room)
	}
	return l.start, true
}

// before reports whether the start date keeps out what was sent then.
func before(sent, start time.Time) bool { return !start.IsZero() && sent.Before(start) }

func (r *recorder) beforeStart(room *roomRow, sent time.Time) bool {
	start, _ := r.startIn(room.state.Room)
	return before(sent, r.walk.reach(room, start))
}

// In rows of start dates and bounds: a start date that was never noted, and none,
// which is before all others.
const (
	neverStarted = 0
	noBound      = -1 << 62
)

func boundOf(start time.Time) int64 {
	if start.IsZero() {
		return noBound
	}
	return start.UnixMilli()
}

// reconsiderStart opens the history of rooms again whose start date moved back: behind
// what their history was opened with or, where it never was, behind the start date of
// the last time.
func (l *Ledger) reconsiderStart(ctx context.Context, rooms []*roomRow) error {
	var last int64
	if err := l.queryRow(ctx, "SELECT start FROM ledger_state").Scan(&last); err != nil {
		return fmt.Errorf("read start date: %w", err)
	}
	for _, room := range rooms {
		start, history := l.startIn(room.state.Room)
		if !history || room.skip != "" || room.state.Room.Membership != timeline.MembershipJoin {
			continue
		}
		opened, err := l.openedFrom(ctx, room, last)
		if err != nil {
			return err
		}
		if opened != neverStarted && boundOf(start) < opened {
			if err := l.openFurther(ctx, room, start); err != nil {
				return err
			}
		}
	}
	_, err := l.run(ctx, "UPDATE ledger_state SET start = ?", boundOf(l.start))
	return wrap("note start date", err)
}

// openedFrom is the earliest bound that the room's history was opened with.
func (l *Ledger) openedFrom(ctx context.Context, room *roomRow, otherwise int64) (bound int64, err error) {
	err = l.queryRow(ctx, `SELECT coalesce(min(CASE bound WHEN 0 THEN ? ELSE bound END), ?) FROM ledger_gap
		WHERE room = ? AND kind = ?`, int64(noBound), otherwise, room.id, timeline.GapHistory).Scan(&bound)
	return bound, wrap("look up history", err)
}

// openHistory opens the history of a room, from its newest event back to its start
// date, unless nothing of its past is wanted.
func (l *Ledger) openHistory(ctx context.Context, room *roomRow) error {
	start, history := l.startIn(room.state.Room)
	if !history {
		return nil
	}
	_, err := l.run(ctx, `INSERT INTO ledger_gap (room, kind, from_token, bound, opened) SELECT ?1, ?2, '', ?3, ?4 WHERE NOT EXISTS (
		SELECT 1 FROM ledger_gap WHERE room = ?1 AND kind = ?2 AND from_token = '' AND state = 'open' AND bound = ?3)`,
		room.id, timeline.GapHistory, millis(start), l.now())
	return wrap("open history", err)
}

// maxSingle is how many events that an earlier walk found too old are asked for one by
// one; where there are more, the walk begins anew.
const maxSingle = 100

// openFurther has the history of a room read further back than it was: on from where
// the walk that came furthest ended or is. What it found too old on its last pages lies
// before that, and is asked for event by event. Where no walk came to its end, or too
// much was too old, a new one begins at the room's newest event.
func (l *Ledger) openFurther(ctx context.Context, room *roomRow, start time.Time) error {
	const tooOld = " FROM ledger_event WHERE state <> 'read' AND state = 'skipped' AND reason = '" + skippedBefore + "' AND room = ?1 AND sent >= ?2"
	var single int
	if err := l.queryRow(ctx, "SELECT count(*)"+tooOld, room.id, millis(start)).Scan(&single); err != nil {
		return fmt.Errorf("count events before the start date: %w", err)
	}
	if single > maxSingle {
		return l.openHistory(ctx, room)
	}
	further, err := l.exec(ctx, "UPDATE ledger_gap SET bound = ? WHERE room = ? AND kind = ? AND state = 'open' AND request = 0 AND bound <> 0",
		millis(start), room.id, timeline.GapHistory)
	if err != nil {
		return fmt.Errorf("move history: %w", err)
	}
	if further == 0 {
		further, err = l.exec(ctx, `INSERT INTO ledger_gap (room, kind, from_token, bound, opened) SELECT ?1, ?2, from_token, ?3, ?4
			FROM ledger_gap WHERE room = ?1 AND kind = ?2 AND state = 'done' AND from_token <> '' ORDER BY bound, id DESC LIMIT 1`,
			room.id, timeline.GapHistory, millis(start), l.now())
		if err != nil {
			return fmt.Errorf("open history: %w", err)
		}
	}
	if further == 0 {
		return l.openHistory(ctx, room)
	}
	_, err = l.run(ctx, "INSERT INTO ledger_target (room, event) SELECT room, event"+tooOld+` ON CONFLICT DO UPDATE
		SET state = 'wanted', due_at = 0, attempts = 0, class = '', reason = ''`, room.id, millis(start))
	return wrap("ask for events before the start date", err)
}
