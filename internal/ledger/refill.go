package ledger

import (
	"context"
	"fmt"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Refill is a post that is to be said again and whose content was dropped: events to
// be read from the homeserver once more.
type Refill struct {
	Post   Ref
	Events []id.EventID
}

// Refills lists posts to refill whose time has come, in no particular order: it moves
// nothing. Record of an event fills it in; when all are there the post goes its way. A room
// with an open gap is left to that: the walk brings a hundred at a time.
//
// An edit or a reaction that was taken back meanwhile leaves its post. Otherwise, where the
// homeserver no longer shows an event as it was ([timeline.Batch.Missing], or a
// copy that says nothing) the post is dead("content_gone"): what the sink holds of it
// stays there. It comes back by itself when the event is shown again.
func (l *Ledger) Refills(ctx context.Context, limit int) ([]Refill, error) {
	var refills []Refill
	var rooms []int64
	err := l.each(ctx, func(row dbutil.Scannable) error {
		f := Refill{Post: Ref{Kind: KindPost}}
		var room int64
		err := row.Scan(&f.Post.Room, &f.Post.Event, &room)
		refills = append(refills, f)
		rooms = append(rooms, room)
		return err
	}, `SELECT r.room, p.event, r.id FROM ledger_room r CROSS JOIN ledger_post p ON p.room = r.id
		WHERE r.skip = '' AND p.state = 'due' AND p.dropped = 1 AND p.due_at <= ?
		AND NOT EXISTS (SELECT 1 FROM ledger_gap g WHERE g.room = r.id AND g.state = 'open') LIMIT ?+0`, l.now(), limit)
	if err != nil {
		return nil, fmt.Errorf("list posts to refill: %w", err)
	}
	for i := range refills {
		err := l.each(ctx, func(row dbutil.Scannable) error {
			var event id.EventID
			err := row.Scan(&event)
			refills[i].Events = append(refills[i].Events, event)
			return err
		}, `SELECT event FROM ledger_event WHERE room = ?1 AND event = ?2 AND dropped = 1
			UNION ALL SELECT event FROM ledger_event WHERE room = ?1 AND target = ?2 AND target <> '' AND target <> event AND dropped = 1`,
			rooms[i], refills[i].Post.Event)
		if err != nil {
			return nil, fmt.Errorf("list events to refill: %w", err)
		}
	}
	return refills, nil
}

// DeferRefill makes a post that could not be refilled wait by the retry curve; one that
// has its content, or is no longer due, stays as it is.
func (l *Ledger) DeferRefill(ctx context.Context, post Ref, class Class, reason string) error {
	return l.do(ctx, "defer refill", func(ctx context.Context) error {
		row, err := l.find(ctx, post)
		if err != nil {
			return err
		}
		var wanted bool
		if err := l.queryRow(ctx, "SELECT state = 'due' AND dropped = 1 FROM ledger_post WHERE id = ?", row.id).Scan(&wanted); err != nil || !wanted {
			return err
		}
		return l.deferRow(ctx, row, class, reason)
	})
}

// lacking finds the post that an event belongs to and that waits for its content; 0
// for none: what nobody wants to say stays dropped.
func (l *Ledger) lacking(ctx context.Context, room int64, post id.EventID) (rowID int64, err error) {
	err = l.each(ctx, func(row dbutil.Scannable) error { return row.Scan(&rowID) },
		"SELECT id FROM ledger_post WHERE room = ? AND event = ? AND dropped = 1 AND (state = 'due' OR (state = 'dead' AND reason = ?))",
		room, post, deadContent)
	return rowID, wrap("look up dropped post", err)
}

// refill puts the content of a dropped event back, when its post waits for it and the
// event is what it was. What was frozen or decided about it stays as it is.
func (r *recorder) refill(ctx context.Context, room *roomRow, old, arrived *eventRow, item timeline.Item) error {
	if room.skip != "" || old.event.Target == "" {
		return nil
	}
	post, err := r.lacking(ctx, room.id, old.event.Target)
	if err != nil || post == 0 {
		return err
	}
	is, was := &arrived.event, &old.event
	if was.ID != was.Target && arrived.state == EventRead && item.Redacted && is.Sender == was.Sender {
		err := r.leave(ctx, room, post, old.id, was.Target)
		was.Target = ""
		return err
	}
	if arrived.state != EventRead || item.Redacted || item.Target != was.Target || is.Sender != was.Sender || is.Type != was.Type {
		return r.contentGone(ctx, post)
	}
	was.Raw, was.Content = is.Raw, is.Content
	if old.bare {
		was.SenderName, was.RoomName = is.SenderName, is.RoomName
	}
	old.bare = false
	names, err := r.sealNames(old)
	if err != nil {
		return err
	}
	if _, err := r.run(ctx, "UPDATE ledger_event SET dropped = 0, body_sealed = coalesce(body_sealed, ?) WHERE id = ?", names, old.id); err != nil {
		return fmt.Errorf("refill event: %w", err)
	}
	if err := r.writeContent(ctx, old); err != nil {
		return err
	}
	old.dropped = false
	return r.complete(ctx, room, post, was.Target)
}

// complete lets a post go its way once nothing of it is dropped any more.
func (r *recorder) complete(ctx context.Context, room *roomRow, post int64, target id.EventID) error {
	completed, err := r.exec(ctx, `UPDATE ledger_post SET dropped = 0, due_at = 0, attempts = 0, class = '', reason = '', state = 'due' WHERE id = ?1
		AND NOT EXISTS (SELECT 1 FROM ledger_event e WHERE e.room = ?2 AND e.event = ?3 AND e.dropped = 1)
		AND NOT EXISTS (SELECT 1 FROM ledger_event e WHERE e.room = ?2 AND e.target = ?3 AND e.target <> '' AND e.target <> e.event AND e.dropped = 1)`,
		post, room.id, target)
	if err != nil || completed == 0 {
		return wrap("refill post", err)
	}
	// An edit may have gone meanwhile, and its file with it.
	events, err := r.eventsOf(ctx, room.id, []id.EventID{target}, []id.EventID{target})
	if err != nil {
		return err
	}
	if err := r.addRedactions(ctx, room.id, []id.EventID{target}, events); err != nil {
		return err
	}
	said, says := r.say(r.policy(room.state.Room), events[target])
	if !says {
		return nil
	}
	return r.recordFiles(ctx, room.state.Room.ID, said, post, false)
}

// leave takes an edit or a reaction that was taken back out of its message, which stands
// without it: the homeserver shows both so by now.
func (r *recorder) leave(ctx context.Context, room *roomRow, post, event int64, target id.EventID) error {
	if _, err := r.run(ctx, "UPDATE ledger_event SET target = '' WHERE id = ?", event); err != nil {
		return fmt.Errorf("take event out of its post: %w", err)
	}
	return r.complete(ctx, room, post, target)
}

// contentGone gives up a post that is to be said again and cannot be read again: an
// empty one must never replace what the sink holds.
func (l *Ledger) contentGone(ctx context.Context, post int64) error {
	_, err := l.run(ctx, `UPDATE ledger_post SET state = 'dead', due_at = 0, class = 'permanent', reason = ?, receipt = ''
		WHERE id = ? AND state = 'due'`, deadContent, post)
	return wrap("give up dropped post", err)
}

// missingContent notes that the homeserver does not show a dropped event. It reports
// false for an event that is not dropped.
func (r *recorder) missingContent(ctx context.Context, room *roomRow, event id.EventID) (bool, error) {
	dropped, annotates := false, false
	var target id.EventID
	var rowID int64
	err := r.each(ctx, func(row dbutil.Scannable) error {
		dropped = true
		return row.Scan(&rowID, &target, &annotates)
	}, "SELECT id, target, type IN "+annotations+" FROM ledger_event WHERE room = ? AND event = ? AND dropped = 1", room.id, event)
	if err != nil || !dropped {
		return false, wrap("look up dropped event", err)
	}
	post, err := r.lacking(ctx, room.id, target)
	if err != nil || post == 0 {
		return true, err
	}
	if annotates { // the message says the same without it
		return true, r.leave(ctx, room, post, rowID, target)
	}
	return true, r.contentGone(ctx, post)
}
