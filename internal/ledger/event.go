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
	bare          bool // there is no body: content was kept out, or dropped with its names
	dropped       bool // content was dropped; only the names are left
}

// eventColumns are what scanEvent reads, of ledger_event e joined to ledger_room r.
const eventColumns = `e.id, e.room, r.room, e.event, e.target, e.sender, e.type, e.state, e.reason, e.cause,
	e.sent, e.received, e.live, e.trust, e.session, e.sender_key, e.dropped, e.body_sealed`

// scanEvent reads a row. A body that does not open or decode is an error: it means
// that the file was damaged or tampered with.
func (l *Ledger) scanEvent(row dbutil.Scannable) (eventRow, error) {
	var (
		r              eventRow
		sent, received int64
		sealed         []byte
	)
	e := &r.event
	if err := row.Scan(&r.id, &r.room, &e.Room, &e.ID, &e.Target, &e.Sender, &e.Type, &r.state, &r.reason, &r.cause,
		&sent, &received, &e.Live, &e.Trust, &r.session, &r.senderKey, &r.dropped, &sealed); err != nil {
		return eventRow{}, err
	}
	e.Sent, e.Received = time.UnixMilli(sent).UTC(), time.UnixMilli(received).UTC()
	if sealed == nil {
		r.bare = true
		return r, nil
	}
	plain, err := l.store.Unseal(sealed, eventPlace(e.Room, e.ID))
	if err != nil {
		return r, fmt.Errorf("read event: %w", err)
	}
	b, err := decodeBody(plain)
	if err != nil {
		return r, fmt.Errorf("read event: %w", err)
	}
	e.Raw, e.Content, e.SenderName, e.RoomName, e.StateKey = b.raw, b.content, b.senderName, b.roomName, b.stateKey
	return r, nil
}

// eventPlace is what the sealed body of an event is bound to.
func eventPlace(room id.RoomID, event id.EventID) string {
	return "event " + string(room) + " " + string(event)
}

// sealBody gives nil for an event whose content is kept out.
func (l *Ledger) sealBody(r *eventRow) ([]byte, error) {
	if r.bare {
		return nil, nil
	}
	return l.store.Seal(bodyOf(r.event).encode(), eventPlace(r.event.Room, r.event.ID))
}

// insertEvent writes a new row and sets its id.
func (l *Ledger) insertEvent(ctx context.Context, r *eventRow) error {
	sealed, err := l.sealBody(r)
	if err != nil {
		return err
	}
	e := &r.event
	result, err := l.run(ctx, `INSERT INTO ledger_event
		(room, event, target, sender, type, state, reason, cause, sent, received, live, trust, session, sender_key, body_sealed)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		r.room, e.ID, e.Target, e.Sender, e.Type, r.state, r.reason, r.cause, e.Sent.UnixMilli(), e.Received.UnixMilli(),
		e.Live, e.Trust, r.session, r.senderKey, sealed)
	if err != nil {
		return fmt.Errorf("insert event: %w", err)
	}
	r.id, err = result.LastInsertId()
	return err
}

// updateEvent writes what became of a row: everything but its ids and when and how it
// first arrived.
func (l *Ledger) updateEvent(ctx context.Context, r *eventRow) error {
	sealed, err := l.sealBody(r)
	if err != nil {
		return err
	}
	e := &r.event
	_, err = l.run(ctx, `UPDATE ledger_event SET target = ?, sender = ?, type = ?, state = ?, reason = ?, cause = ?,
		sent = ?, trust = ?, session = ?, sender_key = ?, waiting = 0, body_sealed = ? WHERE id = ?`,
		e.Target, e.Sender, e.Type, r.state, r.reason, r.cause, e.Sent.UnixMilli(), e.Trust, r.session, r.senderKey, sealed, r.id)
	if err != nil {
		return fmt.Errorf("update event: %w", err)
	}
	return nil
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
