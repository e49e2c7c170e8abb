package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// EventState is the state of an event (closed set; see the package comment).
type EventState string

// The states of an event.
const (
	EventUndecrypted EventState = "undecrypted"
	EventRead        EventState = "read"
	EventSkipped     EventState = "skipped"
	EventUnreadable  EventState = "unreadable"
)

// Reasons of skipped events that do not come from a room rule.
const (
	skippedOwn    = "own"
	skippedBefore = "before_start_date"
	skippedNotice = "server_notice"
)

// eventRow is a row of ledger_event with its content.
type eventRow struct {
	id            int64
	room          int64
	event         timeline.Event
	state         EventState
	reason, cause string
	session       id.SessionID
	senderKey     id.SenderKey
	bare          bool // nothing is sealed: content was kept out
	dropped       bool // content was dropped; only the names are left
	erased        bool // content was redacted
	within        bool // content, if any, stands in the row itself, as in the former version
}

// eventColumns are what scanEvent reads, of ledger_event e joined to ledger_room r.
const eventColumns = `e.id, e.room, r.room, e.event, e.target, e.sender, e.type, e.state, e.reason, e.cause,
	e.sent, e.received, e.live, e.trust, e.session, e.sender_key, e.dropped, e.erased, e.body_sealed,
	(SELECT c.sealed FROM ledger_content c WHERE c.event = e.id)`

// scanEvent reads a row. A body that does not open or decode is an error: it means
// that the file was damaged or tampered with.
func (l *Ledger) scanEvent(row dbutil.Scannable) (eventRow, error) {
	var (
		r              eventRow
		sent, received int64
		names, content []byte // sealed
	)
	e := &r.event
	if err := row.Scan(&r.id, &r.room, &e.Room, &e.ID, &e.Target, &e.Sender, &e.Type, &r.state, &r.reason, &r.cause,
		&sent, &received, &e.Live, &e.Trust, &r.session, &r.senderKey, &r.dropped, &r.erased, &names, &content); err != nil {
		return eventRow{}, err
	}
	e.Sent, e.Received = time.UnixMilli(sent).UTC(), time.UnixMilli(received).UTC()
	if names == nil {
		r.bare = true
		return r, nil
	}
	b, err := l.openBody(names, eventPlace(e.Room, e.ID))
	if err != nil {
		return r, err
	}
	e.SenderName, e.RoomName, e.StateKey, e.Redacts = b.senderName, b.roomName, b.stateKey, b.redacts
	if r.within = content == nil; !r.within {
		if b, err = l.openBody(content, contentPlace(e.Room, e.ID)); err != nil {
			return r, err
		}
	}
	e.Raw, e.Content = b.raw, b.content
	if r.erased {
		e.Raw, e.Content, e.Erased, r.within = nil, []byte(`{}`), true, false
	}
	return r, nil
}

// content reports whether the row is of an event whose content was received and not
// erased, be it that it was dropped or cannot be read yet. There may be no row.
func (r *eventRow) content() bool {
	return r != nil && !r.erased && (r.state == EventRead || r.state == EventUndecrypted) && string(r.event.Content) != "{}"
}

func (l *Ledger) openBody(sealed []byte, place string) (body, error) {
	plain, err := l.store.Unseal(sealed, place)
	if err != nil {
		return body{}, fmt.Errorf("read event: %w", err)
	}
	b, err := decodeBody(plain)
	return b, wrap("read event", err)
}

// eventPlace and contentPlace are what the sealed parts of an event are bound to: its
// names, and what was received.
func eventPlace(room id.RoomID, event id.EventID) string {
	return "event " + string(room) + " " + string(event)
}

func contentPlace(room id.RoomID, event id.EventID) string {
	return "content " + string(room) + " " + string(event)
}

// sealNames gives nil for an event whose content is kept out.
func (l *Ledger) sealNames(r *eventRow) ([]byte, error) {
	if r.bare {
		return nil, nil
	}
	b := body{senderName: r.event.SenderName, roomName: r.event.RoomName, stateKey: r.event.StateKey, redacts: r.event.Redacts}
	return l.store.Seal(b.encode(), eventPlace(r.event.Room, r.event.ID))
}

// writeContent stores what was received, in place of what may be there.
func (l *Ledger) writeContent(ctx context.Context, r *eventRow) error {
	if r.bare {
		_, err := l.run(ctx, "DELETE FROM ledger_content WHERE event = ?", r.id)
		return wrap("keep content out", err)
	}
	b := body{raw: r.event.Raw, content: r.event.Content}
	sealed, err := l.store.Seal(b.encode(), contentPlace(r.event.Room, r.event.ID))
	if err != nil {
		return err
	}
	_, err = l.run(ctx, "INSERT INTO ledger_content (event, sealed) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET sealed = ?2", r.id, sealed)
	return wrap("write content", err)
}

// insertEvent writes a new row and sets its id.
func (l *Ledger) insertEvent(ctx context.Context, r *eventRow) error {
	names, err := l.sealNames(r)
	if err != nil {
		return err
	}
	e := &r.event
	result, err := l.run(ctx, `INSERT INTO ledger_event
		(room, event, target, sender, type, state, reason, cause, sent, received, live, trust, session, sender_key, body_sealed)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		r.room, e.ID, e.Target, e.Sender, e.Type, r.state, r.reason, r.cause, e.Sent.UnixMilli(), e.Received.UnixMilli(),
		e.Live, e.Trust, r.session, r.senderKey, names)
	if err != nil {
		return fmt.Errorf("insert event: %w", err)
	}
	if r.id, err = result.LastInsertId(); err != nil {
		return err
	}
	return l.writeContent(ctx, r)
}

// updateEvent writes what became of a row: everything but its ids and when and how it
// first arrived.
func (l *Ledger) updateEvent(ctx context.Context, r *eventRow) error {
	names, err := l.sealNames(r)
	if err != nil {
		return err
	}
	e := &r.event
	_, err = l.run(ctx, `UPDATE ledger_event SET target = ?, sender = ?, type = ?, state = ?, reason = ?, cause = ?,
		sent = ?, trust = ?, session = ?, sender_key = ?, waiting = 0, body_sealed = ? WHERE id = ?`,
		e.Target, e.Sender, e.Type, r.state, r.reason, r.cause, e.Sent.UnixMilli(), e.Trust, r.session, r.senderKey, names, r.id)
	if err != nil {
		return fmt.Errorf("update event: %w", err)
	}
	return l.writeContent(ctx, r)
}

// Known reports which of the events are recorded and need nothing more: an event
// that was skipped for a start date which has moved is not known.
func (l *Ledger) Known(ctx context.Context, room id.RoomID, ids []id.EventID) (map[id.EventID]bool, error) {
	known := make(map[id.EventID]bool, len(ids))
	row, err := l.findRoom(ctx, room)
	if err != nil || row == nil {
		return known, err
	}
	start, _ := l.startIn(row.state.Room)
	for ids := range slices.Chunk(ids, chunk) {
		args := []any{room}
		in, args := list(args, ids)
		err := l.each(ctx, func(row dbutil.Scannable) error {
			var (
				event  id.EventID
				state  EventState
				reason string
				sent   int64
			)
			if err := row.Scan(&event, &state, &reason, &sent); err != nil {
				return err
			}
			if state != EventSkipped || reason != skippedBefore || before(time.UnixMilli(sent), start) {
				known[event] = true
			}
			return nil
		}, `SELECT e.event, e.state, e.reason, e.sent FROM ledger_room r CROSS JOIN ledger_event e ON e.room = r.id
			WHERE r.room = ? AND e.event IN `+in, args...)
		if err != nil {
			return nil, fmt.Errorf("look up events: %w", err)
		}
	}
	return known, nil
}

// Newest is the newest event of a room by /sync, empty for none: the neighbour of
// a gap that opens. Gaps and history arrive later and are older; they do not count
// unless nothing else is there.
func (l *Ledger) Newest(ctx context.Context, room id.RoomID) (id.EventID, error) {
	var newest id.EventID
	err := l.each(ctx, func(row dbutil.Scannable) error { return row.Scan(&newest) },
		"SELECT newest FROM ledger_room WHERE room = ?", room)
	if err != nil {
		return "", fmt.Errorf("look up newest event: %w", err)
	}
	return newest, nil
}
