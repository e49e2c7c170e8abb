package ledger

import (
	"context"
	"iter"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"
)

// Missing is something that is not in OpenCTI, with the reason.
type Missing struct {
	What   string // "event", "post", "room", "author", "attachment", "gap", "target"
	State  string
	Room   id.RoomID
	Event  id.EventID
	Index  int // of an attachment
	User   id.UserID
	Reason string
	Cause  string
	Sent   time.Time // as claimed; zero where there is none
}

// Missing walks over everything that is not in OpenCTI and is not on its way:
// undecrypted, skipped and unreadable events, dead rows, refused and lost
// attachments, lost gaps, missing targets. It ends with the first error.
func (l *Ledger) Missing(ctx context.Context) iter.Seq2[Missing, error] {
	return func(yield func(Missing, error) bool) {
		for _, query := range missingQueries {
			stopped := false
			err := l.each(ctx, func(row dbutil.Scannable) error {
				var m Missing
				var sent int64
				if err := row.Scan(&m.What, &m.State, &m.Room, &m.Event, &m.Index, &m.User, &m.Reason, &m.Cause, &sent); err != nil {
					return err
				}
				m.Sent = moment(sent)
				if !yield(m, nil) {
					stopped = true
					return errStopped
				}
				return nil
			}, query)
			if stopped {
				return
			}
			if err != nil {
				yield(Missing{}, wrap("list missing", err))
				return
			}
		}
	}
}

type stoppedError struct{}

func (stoppedError) Error() string { return "stopped" }

var errStopped = stoppedError{}

// What, state, room, event, index, user, reason, cause, sent.
var missingQueries = []string{
	`SELECT 'event', e.state, r.room, e.event, 0, e.sender, e.reason, e.cause, e.sent
		FROM ledger_event e CROSS JOIN ledger_room r ON r.id = e.room WHERE e.state <> 'read' AND e.state IN ('undecrypted', 'unreadable', 'skipped')`,
	`SELECT 'room', r.state, r.room, '', 0, '', r.reason, '', 0 FROM ledger_room r WHERE r.state = 'dead'`,
	`SELECT 'author', a.state, '', '', 0, a.user, a.reason, '', 0 FROM ledger_author a WHERE a.state = 'dead'`,
	`SELECT 'post', p.state, r.room, p.event, 0, a.user, p.reason, '', coalesce((SELECT e.sent FROM ledger_event e WHERE e.room = p.room AND e.event = p.event), 0)
		FROM ledger_post p CROSS JOIN ledger_room r ON r.id = p.room CROSS JOIN ledger_author a ON a.id = p.author WHERE p.state = 'dead'`,
	`SELECT 'attachment', t.state, r.room, p.event, t.idx, a.user, t.reason, '', t.sent
		FROM ledger_attachment t CROSS JOIN ledger_post p ON p.id = t.post CROSS JOIN ledger_room r ON r.id = p.room
		CROSS JOIN ledger_author a ON a.id = p.author WHERE t.state IN ('refused', 'lost')`,
	`SELECT 'gap', g.state, r.room, g.until, 0, '', g.reason, '', g.opened
		FROM ledger_gap g CROSS JOIN ledger_room r ON r.id = g.room WHERE g.state = 'lost'`,
	`SELECT 'target', t.state, r.room, t.event, 0, '', t.reason, '', 0
		FROM ledger_target t CROSS JOIN ledger_room r ON r.id = t.room WHERE t.state = 'missing'`,
}
