package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"
)

// State is the state of a room, author or post (closed set; see the package comment).
type State string

// The states of what is delivered.
const (
	StateIdle   State = "idle" // rooms only: nothing was said there
	StateDue    State = "due"
	StateSent   State = "sent"
	StateLanded State = "landed"
	StateDead   State = "dead"
)

// Reasons of dead rows that the ledger itself gives.
const (
	deadUnconfirmed = "unconfirmed"    // lapsed too often
	deadRoomRule    = "room_rule"      // its room is no longer imported
	deadUnreadable  = "nothing_to_say" // cannot be composed from what is stored
	deadContent     = "content_gone"   // to be said again, and nobody shows it any more
)

// The tables with these states.
const (
	tableRoom   = "ledger_room"
	tableAuthor = "ledger_author"
	tablePost   = "ledger_post"
)

// row is what a transition looks at.
type row struct {
	table                  string
	id                     int64
	state                  State
	revision, landed, sent int64
	attempts               int

	room, author  int64  // row ids, of a post
	reply, thread string // of a post
	redacted      int    // of a post
}

// do runs a transition in a transaction, and wakes whoever waits for what it makes due.
func (l *Ledger) do(ctx context.Context, what string, fn func(context.Context) error) error {
	err := l.store.Do(ctx, func(ctx context.Context) error {
		if err := fn(ctx); err != nil {
			return err
		}
		l.signal(ctx)
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// find looks up the row that r names.
func (l *Ledger) find(ctx context.Context, r Ref) (row, error) {
	const columns = "x.id, x.state, x.revision, x.landed, x.sent, x.attempts"
	var found row
	dest := []any{&found.id, &found.state, &found.revision, &found.landed, &found.sent, &found.attempts}
	var query dbutil.Scannable
	switch r.Kind {
	case KindRoom:
		found.table = tableRoom
		query = l.queryRow(ctx, "SELECT "+columns+" FROM ledger_room x WHERE x.room = ?", r.Room)
	case KindAuthor:
		found.table = tableAuthor
		query = l.queryRow(ctx, "SELECT "+columns+" FROM ledger_author x WHERE x.user = ?", r.User)
	case KindPost:
		found.table = tablePost
		dest = append(dest, &found.room, &found.author, &found.reply, &found.thread, &found.redacted)
		query = l.queryRow(ctx, "SELECT "+columns+`, x.room, x.author, x.reply, x.thread, x.redacted
			FROM ledger_room r CROSS JOIN ledger_post x ON x.room = r.id WHERE r.room = ? AND x.event = ?`, r.Room, r.Event)
	case KindAttachment:
		return row{}, ErrUnknown
	default:
		return row{}, ErrUnknown
	}
	err := query.Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, ErrUnknown
	}
	if err != nil {
		return row{}, fmt.Errorf("look up %s: %w", r.Kind, err)
	}
	return found, nil
}

// raise gives a row a new revision and makes it due: idle ones stay idle, and dead ones
// stay dead until an operator requeues them.
func (l *Ledger) raise(ctx context.Context, table string, rowID int64) error {
	_, err := l.run(ctx, "UPDATE "+table+" SET revision = revision + 1, "+madeDue+" WHERE id = ?", rowID)
	if err != nil {
		return fmt.Errorf("raise revision: %w", err)
	}
	return nil
}

// madeDue is the part of an UPDATE that makes a row due for what it says by now.
const madeDue = `state = CASE state WHEN 'idle' THEN 'idle' WHEN 'dead' THEN 'dead' ELSE 'due' END,
	receipt = '', due_at = 0, attempts = 0, lapses = 0, class = CASE state WHEN 'dead' THEN class ELSE '' END,
	reason = CASE state WHEN 'dead' THEN reason ELSE '' END`
