package ledger

import (
	"context"
	"fmt"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Reconsider applies changed settings (start date, room rules) to what is already
// recorded. Call it once at start, after Open: events of a room that is now imported
// are read, posts of a room that no longer is and that never landed become
// dead("room_rule"), and when the start date moved back history is opened again.
func (l *Ledger) Reconsider(ctx context.Context) error {
	return l.do(ctx, "reconsider", func(ctx context.Context) error {
		if err := l.straighten(ctx); err != nil {
			return err
		}
		rooms, err := l.readRooms(ctx, "1 ORDER BY r.id")
		if err != nil {
			return err
		}
		r := &recorder{Ledger: l, now: l.now(), rooms: map[id.RoomID]*roomRow{}, authors: map[id.UserID]int64{}}
		for _, room := range rooms {
			r.rooms[room.state.Room.ID] = room
		}
		for _, room := range rooms {
			if err := r.reconsiderRoom(ctx, room); err != nil {
				return err
			}
		}
		return l.reconsiderStart(ctx, rooms)
	})
}

// reconsiderRoom asks the room rules again.
func (r *recorder) reconsiderRoom(ctx context.Context, room *roomRow) error {
	skip := r.rule(room.state.Room)
	if skip == room.skip {
		return nil
	}
	room.skip = skip
	if _, err := r.run(ctx, "UPDATE ledger_room SET skip = ? WHERE id = ?", skip, room.id); err != nil {
		return fmt.Errorf("note room rule: %w", err)
	}
	if skip != "" {
		_, err := r.run(ctx, "UPDATE ledger_post SET state = 'dead', class = 'permanent', reason = ?, due_at = 0 WHERE room = ? AND state = 'due' AND landed = 0",
			deadRoomRule, room.id)
		return wrap("apply room rule", err)
	}
	_, err := r.run(ctx, "UPDATE ledger_post SET state = 'due', class = '', reason = '', attempts = 0 WHERE room = ? AND state = 'dead' AND reason = ?",
		room.id, deadRoomRule)
	if err != nil {
		return fmt.Errorf("lift room rule: %w", err)
	}
	// A key that came meanwhile opened what was not to be read: worth another attempt.
	if _, err := r.run(ctx, "UPDATE ledger_event SET waiting = 1 WHERE room = ? AND "+retryable, room.id); err != nil {
		return fmt.Errorf("retry events of the room: %w", err)
	}
	// A room may have been skipped for one reason after another.
	var reasons []string
	err = r.each(ctx, func(row dbutil.Scannable) error {
		var reason string
		err := row.Scan(&reason)
		reasons = append(reasons, reason)
		return err
	}, "SELECT DISTINCT reason FROM ledger_event WHERE state <> 'read' AND state = 'skipped' AND room = ? AND reason NOT IN (?, ?, ?)",
		room.id, skippedOwn, skippedBefore, skippedNotice)
	if err != nil {
		return fmt.Errorf("look up room rules: %w", err)
	}
	for _, reason := range reasons {
		if err := r.takeBack(ctx, room, reason); err != nil {
			return err
		}
	}
	return nil
}

// takeBack reads the events that a room rule had skipped, a page at a time.
func (r *recorder) takeBack(ctx context.Context, room *roomRow, reason string) error {
	for after := int64(0); ; {
		var page []*eventRow
		n := 0
		err := r.each(ctx, func(row dbutil.Scannable) error {
			e, err := r.scanEvent(row)
			if err != nil && e.id == 0 {
				return err
			}
			n++
			after = e.id
			if err != nil || e.bare {
				return nil //nolint:nilerr // damaged or never kept: it stays skipped
			}
			e.state, e.reason = EventRead, ""
			if e.session != "" {
				e.state, e.reason = EventUndecrypted, string(timeline.ReasonNoSession)
			}
			page = append(page, &e)
			return nil
		}, "SELECT "+eventColumns+` FROM ledger_event e CROSS JOIN ledger_room r ON r.id = e.room
			WHERE e.state <> 'read' AND e.state = 'skipped' AND e.reason = ? AND e.room = ? AND e.id > ? ORDER BY e.id LIMIT ?`, reason, room.id, after, chunk)
		if err != nil {
			return fmt.Errorf("read skipped events: %w", err)
		}
		if n == 0 {
			return nil
		}
		if err := r.recordArrived(ctx, room, page); err != nil {
			return err
		}
		for _, e := range page {
			if e.state != EventUndecrypted {
				continue
			}
			// Its key may have come long ago: worth one attempt.
			if _, err := r.run(ctx, "UPDATE ledger_event SET waiting = 1 WHERE id = ?", e.id); err != nil {
				return fmt.Errorf("retry skipped events: %w", err)
			}
		}
	}
}

// Reset forgets what has landed: the platform asks for everything again
// (opencti.md §2.4). Every post, room and author gets a new revision and is due,
// attached files are wanted again, and history is opened again from the start date.
// What is said again goes behind live posts.
func (l *Ledger) Reset(ctx context.Context) error {
	return l.do(ctx, "reset", func(ctx context.Context) error {
		const again = ` SET revision = revision + 1, landed = 0, state = CASE state WHEN 'idle' THEN 'idle' ELSE 'due' END,
			receipt = '', due_at = 0, attempts = 0, lapses = 0, class = '', reason = ''`
		for _, statement := range []string{
			"UPDATE ledger_room" + again + ", landed_name = ''",
			"UPDATE ledger_author" + again,
			"UPDATE ledger_post" + again + ", live = 0, said_reply = 0, said_thread = 0 WHERE NOT (state = 'dead' AND reason = '" + deadRoomRule + "') AND deleted = 0",
			"UPDATE ledger_attachment SET state = 'wanted', live = 0, fetched_sealed = NULL, bytes = 0, due_at = 0, attempts = 0 WHERE state = 'attached'",
			outdate,
			"UPDATE ledger_state SET told = 0",
		} {
			if _, err := l.run(ctx, statement); err != nil {
				return err
			}
		}
		rooms, err := l.readRooms(ctx, "r.membership = ? AND r.skip = ''", timeline.MembershipJoin)
		if err != nil {
			return err
		}
		for _, room := range rooms {
			if err := l.openHistory(ctx, room); err != nil {
				return err
			}
		}
		return nil
	})
}
