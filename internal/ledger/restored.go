package ledger

import (
	"context"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Restored forgets what has landed since a moment: the sink was restored from a backup of
// that time, or another one stood in its place. Posts that landed then are due again as if
// they never had, their rooms and authors before them, and files that were attached are
// wanted. It gives the number of posts. What somebody had deleted stays left alone.
func (l *Ledger) Restored(ctx context.Context, since time.Time) (posts int64, err error) {
	err = l.do(ctx, "forget what landed", func(ctx context.Context) error {
		at := since.UnixMilli()
		const some = "state <> 'dead' AND landed > 0 AND reason <> '" + deletedThere + "' AND landed_at >= ?"
		for table, column := range map[string]string{tableRoom: "room", tableAuthor: "author"} {
			if err := l.forget(ctx, table, "landed > 0 AND id IN (SELECT "+column+" FROM ledger_post WHERE "+some+")", at); err != nil {
				return err
			}
		}
		var err error
		posts, err = l.exec(ctx, `UPDATE ledger_post SET landed = 0, said_reply = 0, said_thread = 0, live = CASE state WHEN 'landed' THEN 0 ELSE live END,
			due_at = CASE state WHEN 'landed' THEN 0 ELSE due_at END, state = CASE state WHEN 'landed' THEN 'due' ELSE state END WHERE `+some, at)
		if err != nil {
			return err
		}
		for _, statement := range []string{
			`UPDATE ledger_attachment SET state = 'wanted', live = 0, fetched_sealed = NULL, bytes = 0, due_at = 0, attempts = 0, attached_at = 0
				WHERE state = 'attached' AND attached_at >= ?`,
			outdate + " WHERE ? > 0",
		} {
			if _, err := l.run(ctx, statement, at); err != nil {
				return err
			}
		}
		return nil
	})
	return posts, err
}

// Sample is some of what has landed, the latest first.
type Sample struct {
	Rooms   []timeline.RoomState
	Authors []timeline.Author
	Posts   []id.EventID
}

// Landed gives up to limit rows of each kind that have landed, and that nobody is known to
// have deleted.
func (l *Ledger) Landed(ctx context.Context, limit int) (s Sample, err error) {
	rooms, err := l.readRooms(ctx, "r.landed > 0 ORDER BY r.id DESC LIMIT ?+0", limit)
	if err != nil {
		return Sample{}, err
	}
	for _, r := range rooms {
		s.Rooms = append(s.Rooms, r.state)
	}
	if s.Authors, err = l.readAuthors(ctx, "a.landed > 0 ORDER BY a.id DESC LIMIT ?+0", limit); err != nil {
		return Sample{}, err
	}
	err = l.each(ctx, func(row dbutil.Scannable) error {
		var event id.EventID
		err := row.Scan(&event)
		s.Posts = append(s.Posts, event)
		return err
	}, "SELECT event FROM ledger_post WHERE state = 'landed' AND reason = '' ORDER BY id DESC LIMIT ?+0", limit)
	if err != nil {
		return Sample{}, fmt.Errorf("look up landed posts: %w", err)
	}
	return s, nil
}
