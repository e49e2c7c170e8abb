package ledger

import (
	"context"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Requeued is how many rows are tried once more.
type Requeued struct {
	Posts       int `json:"posts"`
	Rooms       int `json:"rooms"`
	Authors     int `json:"authors"`
	Attachments int `json:"attachments"`
	Events      int `json:"events"` // without a key, or unreadable
	Gaps        int `json:"gaps"`
	Targets     int `json:"targets"`
	// Left is how many of what was chosen a second try would not help.
	Left int `json:"left"`
}

// Sum is how many rows are tried once more.
func (n Requeued) Sum() int {
	return n.Posts + n.Rooms + n.Authors + n.Attachments + n.Events + n.Gaps + n.Targets
}

// requeuePage is how many rows one transaction makes due.
const requeuePage = 200

// RequeueChosen tries once more what is chosen of what is missing: dead rooms, authors and
// posts are due, refused and lost attachments wanted, lost gaps open, unreadable events and
// missing targets asked for, and keys tried on undecrypted events. It can be repeated.
//
// Left alone is what a second try cannot help: what the settings skip, files that were
// announced without an address or key, and what somebody has deleted on the platform,
// unless that is named by its event or reason.
func (l *Ledger) RequeueChosen(ctx context.Context, c Choice) (n Requeued, err error) {
	c.Waiting = false
	var page []Missing
	flush := func() error {
		defer func() { page = page[:0] }()
		return l.do(ctx, "requeue", func(ctx context.Context) error {
			var done Requeued
			for _, m := range page {
				if err := l.requeueOne(ctx, m, c, &done); err != nil {
					return err
				}
			}
			n = n.plus(done)
			return nil
		})
	}
	for m, err := range l.Missing(ctx, c) {
		if err != nil {
			return n, err
		}
		if page = append(page, m); len(page) == requeuePage {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	return n, flush()
}

func (n Requeued) plus(m Requeued) Requeued {
	return Requeued{
		n.Posts + m.Posts, n.Rooms + m.Rooms, n.Authors + m.Authors, n.Attachments + m.Attachments, n.Events + m.Events, n.Gaps + m.Gaps,
		n.Targets + m.Targets, n.Left + m.Left,
	}
}

// deletedThere is the reason of a landed post that is not on the sink any more: somebody
// has deleted it there, or it is hidden from the connector's user. See [Ledger.Leave].
const deletedThere = "deleted_on_platform"

// hopeless are reasons of attachments that no second try helps: the announcement itself is
// wrong, or was taken back.
var hopeless = []string{timeline.ProblemNoURI, timeline.ProblemURI, timeline.ProblemKey, timeline.ProblemKeyLen, reasonRedacted}

// requeueOne tries one row once more, and counts it.
func (l *Ledger) requeueOne(ctx context.Context, m Missing, c Choice, n *Requeued) error {
	named := c.Event != "" || slices.Contains(c.Reasons, m.Reason)
	switch {
	case m.What == "post" && m.Reason == reasonRedacted, m.Reason == deletedThere && !named, m.What == "attachment" && slices.Contains(hopeless, m.Reason):
		n.Left++
		return nil
	case m.State == "blocked":
		return nil // it goes with its room or author
	}
	skipped, err := l.skips(ctx, m.Room)
	if err != nil {
		return err
	}
	if skipped {
		n.Left++
		return nil
	}
	count := &n.Left
	switch m.What {
	case "room":
		count, err = &n.Rooms, l.requeueRow(ctx, Ref{Kind: KindRoom, Room: m.Room})
	case "author":
		count, err = &n.Authors, l.requeueRow(ctx, Ref{Kind: KindAuthor, User: m.User})
	case "post":
		count, err = &n.Posts, l.requeueRow(ctx, Ref{Kind: KindPost, Room: m.Room, Event: m.Event})
	case "attachment":
		count, err = &n.Attachments, l.requeueAttachment(ctx, Ref{Kind: KindAttachment, Room: m.Room, Event: m.Event, Index: m.Index})
	case "event":
		return l.requeueEvent(ctx, m, n)
	case "gap":
		return l.tally1(ctx, &n.Gaps, &n.Left, `UPDATE ledger_gap SET state = 'open', pages = 0, reason = '', class = '', due_at = 0, attempts = 0
			WHERE id = ? AND state = 'lost' AND request = 0`, m.Index)
	case "target":
		return l.tally1(ctx, &n.Targets, &n.Left, `UPDATE ledger_target SET state = 'wanted', reason = '', class = '', due_at = 0, attempts = 0
			WHERE room = (SELECT id FROM ledger_room WHERE room = ?) AND event = ? AND state = 'missing'`, m.Room, m.Event)
	}
	if err != nil {
		return err
	}
	*count++
	return nil
}

// skips reports whether a room is not imported.
func (l *Ledger) skips(ctx context.Context, room id.RoomID) (skips bool, err error) {
	err = l.queryRow(ctx, "SELECT EXISTS (SELECT 1 FROM ledger_room WHERE room = ? AND skip <> '')", room).Scan(&skips)
	if err != nil {
		return false, fmt.Errorf("look up room: %w", err)
	}
	return skips, nil
}

// tally1 runs an update, and counts whether it found its row.
func (l *Ledger) tally1(ctx context.Context, found, left *int, query string, args ...any) error {
	rows, err := l.exec(ctx, query, args...)
	if err != nil {
		return err
	}
	if rows == 0 {
		*left++
		return nil
	}
	*found += int(rows)
	return nil
}

// requeueEvent tries the keys that are known on an event that could not be decrypted, and
// asks the homeserver once more for one that could not be read.
func (l *Ledger) requeueEvent(ctx context.Context, m Missing, n *Requeued) error {
	switch EventState(m.State) {
	case EventUndecrypted:
		return l.tally1(ctx, &n.Events, &n.Left, "UPDATE ledger_event SET waiting = 1 WHERE room = (SELECT id FROM ledger_room WHERE room = ?) AND event = ? AND "+retryable, m.Room, m.Event)
	case EventUnreadable:
		return l.tally1(ctx, &n.Events, &n.Left, `INSERT INTO ledger_target (room, event) SELECT id, ?2 FROM ledger_room WHERE room = ?1
			ON CONFLICT DO UPDATE SET state = 'wanted', reason = '', class = '', due_at = 0, attempts = 0`, m.Room, m.Event)
	case EventSkipped, EventRead:
	}
	n.Left++
	return nil
}
