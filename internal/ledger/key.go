package ledger

import (
	"context"
	"fmt"
	"strings"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// retryable is the part of a WHERE that picks undecrypted events that a key may help
// (see [timeline.UndecryptedReason.Retryable]).
var retryable = func() string {
	var reasons []string
	for _, reason := range []timeline.UndecryptedReason{
		timeline.ReasonNoSession, timeline.ReasonWithheld, timeline.ReasonUnknownIndex, timeline.ReasonBadMAC,
		timeline.ReasonReplay, timeline.ReasonWrongRoom, timeline.ReasonAlgorithm, timeline.ReasonMalformed,
	} {
		if reason.Retryable() {
			reasons = append(reasons, "'"+string(reason)+"'")
		}
	}
	return "state = 'undecrypted' AND reason IN (" + strings.Join(reasons, ", ") + ")"
}()

// recordKey notes a Megolm session that became known or better, and makes the events
// that wait for it worth an attempt; or a refusal, and why they will wait on.
func (r *recorder) recordKey(ctx context.Context, key timeline.KeyRef) error {
	_, err := r.run(ctx, `INSERT INTO ledger_key (room, session, first_index, withheld) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT DO UPDATE SET first_index = CASE WHEN ?4 = '' THEN ?3 ELSE first_index END, withheld = ?4`,
		key.Room, key.Session, key.FirstIndex, key.Withheld)
	if err != nil {
		return fmt.Errorf("note key: %w", err)
	}
	const of = " WHERE session = ? AND room = (SELECT id FROM ledger_room WHERE room = ?) AND "
	if key.Withheld != "" {
		_, err = r.run(ctx, "UPDATE ledger_event SET reason = ?, cause = ?"+of+"state = 'undecrypted' AND reason IN (?, ?) AND (? = '' OR sender = ?)",
			timeline.ReasonWithheld, key.Withheld, key.Session, key.Room, timeline.ReasonNoSession, timeline.ReasonWithheld, key.WithheldBy, key.WithheldBy)
	} else {
		_, err = r.run(ctx, "UPDATE ledger_event SET waiting = 1"+of+retryable, key.Session, key.Room)
	}
	if err != nil {
		return fmt.Errorf("note key: %w", err)
	}
	return nil
}

// recordRetried notes an attempt that did not help. One that did stands among the
// events of the batch.
func (r *recorder) recordRetried(ctx context.Context, retried timeline.Retried) error {
	const of = " WHERE room = (SELECT id FROM ledger_room WHERE room = ?) AND event = ? AND state = 'undecrypted'"
	var err error
	if retried.Readable || retried.Reason == "" {
		_, err = r.run(ctx, "UPDATE ledger_event SET waiting = 0"+of, retried.Room, retried.ID)
	} else {
		_, err = r.run(ctx, "UPDATE ledger_event SET waiting = 0, reason = ?, cause = CASE ? WHEN '' THEN cause ELSE ? END"+of,
			retried.Reason, retried.Cause, retried.Cause, retried.Room, retried.ID)
	}
	if err != nil {
		return fmt.Errorf("note attempt: %w", err)
	}
	return nil
}

// Waiting lists undecrypted events for whose session a key was recorded since
// their last attempt, oldest first. The outcome is recorded as [timeline.Retried].
func (l *Ledger) Waiting(ctx context.Context, limit int) ([]timeline.Undecrypted, error) {
	var waiting []timeline.Undecrypted
	var damaged []int64
	err := l.each(ctx, func(row dbutil.Scannable) error {
		e, err := l.scanEvent(row)
		if err != nil && e.id == 0 {
			return err
		}
		if err != nil || e.bare {
			damaged = append(damaged, e.id)
			return nil //nolint:nilerr // noted in the row, below
		}
		waiting = append(waiting, timeline.Undecrypted{
			Event: e.event, Session: e.session, SenderKey: e.senderKey, Reason: timeline.UndecryptedReason(e.reason), Cause: e.cause,
		})
		return nil
	}, "SELECT "+eventColumns+` FROM ledger_event e CROSS JOIN ledger_room r ON r.id = e.room
		WHERE e.waiting = 1 ORDER BY e.id LIMIT ?+0`, limit)
	if err != nil {
		return nil, fmt.Errorf("list waiting events: %w", err)
	}
	// A row that does not open would come first for ever.
	for _, rowID := range damaged {
		if _, err := l.run(ctx, "UPDATE ledger_event SET state = 'unreadable', reason = 'damaged', waiting = 0 WHERE id = ?", rowID); err != nil {
			return nil, fmt.Errorf("note damaged event: %w", err)
		}
	}
	if len(waiting) == 0 && len(damaged) > 0 {
		return l.Waiting(ctx, limit)
	}
	return waiting, nil
}

// Needed lists sessions that undecrypted events wait for, in the order of session and room,
// from the one after after on. A key of theirs would help.
func (l *Ledger) Needed(ctx context.Context, after timeline.KeyNeed, limit int) (needed []timeline.KeyNeed, err error) {
	err = l.each(ctx, func(row dbutil.Scannable) error {
		var n timeline.KeyNeed
		if err := row.Scan(&n.Room, &n.Session); err != nil {
			return err
		}
		needed = append(needed, n)
		return nil
	}, `SELECT r.room, e.session FROM (SELECT DISTINCT session, room FROM ledger_event WHERE session <> '' AND session >= ? AND `+retryable+`) e
		CROSS JOIN ledger_room r ON r.id = e.room WHERE (e.session, r.room) > (?, ?) ORDER BY e.session, r.room LIMIT ?+0`,
		after.Session, after.Session, after.Room, limit)
	return needed, wrap("list needed keys", err)
}

// AwaitsKey reports whether an undecrypted event waits for a key of the session.
func (l *Ledger) AwaitsKey(ctx context.Context, room id.RoomID, session id.SessionID) (waits bool, err error) {
	err = l.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM ledger_event WHERE session = ? AND room = (SELECT id FROM ledger_room WHERE room = ?) AND `+
		retryable+")", session, room).Scan(&waits)
	return waits, wrap("look for waiting events", err)
}
