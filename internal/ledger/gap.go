package ledger

import (
	"context"
	"fmt"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// recordGap opens a gap. The same one opened again, by a batch that is repeated, is
// still one.
func (r *recorder) recordGap(ctx context.Context, gap timeline.Gap) error {
	room, err := r.room(ctx, gap.Room)
	if err != nil {
		return err
	}
	opened := millis(gap.Opened)
	if opened == 0 {
		opened = r.now
	}
	bound, state := millis(gap.Bound), "open"
	if gap.Kind == timeline.GapHistory && r.startOf != nil {
		start, history := r.startOf(room.state.Room)
		if bound = millis(start); !history {
			state = "done" // noted, so that a start date that moves back later is seen to do so
		}
	}
	_, err = r.run(ctx, `INSERT INTO ledger_gap (room, kind, from_token, until, bound, opened, state)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (
			SELECT 1 FROM ledger_gap WHERE room = ?1 AND kind = ?2 AND from_token = ?3 AND until = ?4 AND state = 'open' AND pages = 0)`,
		room.id, gap.Kind, gap.From, gap.Until, bound, opened, state)
	if err != nil {
		return fmt.Errorf("open gap: %w", err)
	}
	return nil
}

// recordProgress moves a gap by one page.
func (r *recorder) recordProgress(ctx context.Context, p timeline.GapProgress) error {
	state, reason := "open", ""
	switch {
	case p.Lost != "":
		state, reason = "lost", p.Lost
	case p.Done:
		state = "done"
	}
	// A token of long ago may be forgotten: then the walk begins at the newest event.
	const anew = "kind = 'history' AND pages = 0 AND from_token <> '' AND ?4 = 'refused'"
	n, err := r.exec(ctx, `UPDATE ledger_gap SET from_token = CASE WHEN `+anew+` THEN '' WHEN ?2 = '' THEN from_token ELSE ?2 END,
		pages = pages + 1, state = CASE WHEN `+anew+` THEN 'open' ELSE ?3 END, reason = CASE WHEN `+anew+` THEN '' ELSE ?4 END,
		due_at = 0, attempts = 0, class = '', seen = seen + ?5, fresh = fresh + ?6,
		reached = CASE WHEN ?7 = 0 THEN reached WHEN reached = 0 THEN ?7 ELSE min(reached, ?7) END WHERE id = ?1 AND state = 'open'`,
		p.ID, p.From, state, reason, r.walk.seen, r.walk.fresh, r.walk.reached)
	if err == nil && p.Done {
		err = r.cured(ctx, p.ID, r.walk)
	}
	if err == nil && n == 0 {
		err = ErrUnknown
	}
	if err != nil {
		return fmt.Errorf("move gap: %w", err)
	}
	return nil
}

// Gaps lists open gaps whose time has come, limited ones before history, oldest
// first; none of rooms that are not imported. Their pages are recorded with
// [timeline.Batch.Progress]. A history gap with an empty From starts at the newest
// event of the room.
func (l *Ledger) Gaps(ctx context.Context, limit int) ([]timeline.Gap, error) {
	var gaps []timeline.Gap
	err := l.each(ctx, func(row dbutil.Scannable) error {
		var g timeline.Gap
		var bound, opened int64
		err := row.Scan(&g.ID, &g.Room, &g.Kind, &g.From, &g.Until, &bound, &opened, &g.Pages, &g.Request)
		g.Bound, g.Opened = moment(bound), moment(opened)
		gaps = append(gaps, g)
		return err
	}, `SELECT g.id, r.room, g.kind, g.from_token, g.until, g.bound, g.opened, g.pages, g.request
		FROM ledger_gap g CROSS JOIN ledger_room r ON r.id = g.room
		WHERE g.state = 'open' AND g.due_at <= ? AND r.skip = ''
		ORDER BY g.kind = ? DESC, g.pages, g.id LIMIT ?+0`, l.now(), timeline.GapLimited, limit)
	return gaps, wrap("list gaps", err)
}

// DeferGap makes a gap wait by the retry curve.
func (l *Ledger) DeferGap(ctx context.Context, gap int64, class Class, reason string) error {
	return l.do(ctx, "defer gap", func(ctx context.Context) error {
		return l.later(ctx, "ledger_gap", "id = ? AND state = 'open'", class, reason, gap)
	})
}

// later makes a row of work that failed wait by the retry curve.
func (l *Ledger) later(ctx context.Context, table, where string, class Class, reason string, args ...any) error {
	attempts := -1
	err := l.each(ctx, func(row dbutil.Scannable) error { return row.Scan(&attempts) }, "SELECT attempts FROM "+table+" WHERE "+where, args...)
	if err != nil {
		return err
	}
	if attempts < 0 {
		return ErrUnknown
	}
	args = append([]any{attempts + 1, l.now() + Delay(attempts+1).Milliseconds(), class, reason}, args...)
	_, err = l.run(ctx, "UPDATE "+table+" SET attempts = ?, due_at = ?, class = ?, reason = ? WHERE "+where, args...)
	return err
}

// Target is an event that a reply, thread or edit refers to and that the ledger
// does not hold.
type Target struct {
	Room id.RoomID
	ID   id.EventID
}

// Targets lists events to fetch whose time has come. A target is resolved by Record:
// its event arrives, or stands in [timeline.Batch.Missing].
func (l *Ledger) Targets(ctx context.Context, limit int) ([]Target, error) {
	var targets []Target
	err := l.each(ctx, func(row dbutil.Scannable) error {
		var t Target
		err := row.Scan(&t.Room, &t.ID)
		targets = append(targets, t)
		return err
	}, `SELECT r.room, t.event FROM ledger_target t CROSS JOIN ledger_room r ON r.id = t.room
		WHERE t.state = 'wanted' AND t.due_at <= ? AND r.skip = '' ORDER BY t.due_at LIMIT ?+0`, l.now(), limit)
	return targets, wrap("list targets", err)
}

// DeferTarget makes a target wait by the retry curve.
func (l *Ledger) DeferTarget(ctx context.Context, t Target, class Class, reason string) error {
	return l.do(ctx, "defer target", func(ctx context.Context) error {
		return l.later(ctx, "ledger_target", "room = (SELECT id FROM ledger_room WHERE room = ?) AND event = ? AND state = 'wanted'",
			class, reason, t.Room, t.ID)
	})
}
