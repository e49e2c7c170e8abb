package ledger

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Trimmed is what one call of [Ledger.Trim] did.
type Trimmed struct {
	Posts, Events int // whose content was dropped
	// Next is where the pass goes on; the zero value when it is at its end.
	Next TrimPlace
}

// TrimPlace is a place in a pass of [Ledger.Trim]. The zero value is its beginning.
type TrimPlace struct{ landed, post int64 }

// Done reports whether the pass is at its end.
func (t Trimmed) Done() bool { return t.Next == TrimPlace{} }

// Trim drops content that has done its work, of about limit posts, in one transaction:
// that of posts that have landed at their newest revision before the given time and
// have no file on its way; of events that belong to no message and were received before
// it; and the rows of receipts and gaps that were done before it. What arrived but did not land stays:
// undecrypted, unreadable and skipped events, and posts that are due, sent or dead.
//
// Of a dropped event its ids, type, sender, times, trust and relation stay, and sealed
// the names that were frozen with it. A post whose content is dropped is not said again
// until it has been read again (see [Ledger.Refills]).
//
// A crash between two calls costs nothing: what was dropped is no more among what is
// looked for.
func (l *Ledger) Trim(ctx context.Context, before time.Time, from TrimPlace, limit int) (done Trimmed, err error) {
	err = l.store.Do(ctx, func(ctx context.Context) error {
		done = Trimmed{}
		posts, next, err := l.trimmable(ctx, before, from, limit)
		if err != nil {
			return err
		}
		done.Posts, done.Next = len(posts), next
		if done.Events, err = l.dropPosts(ctx, posts); err != nil || !done.Done() {
			return err
		}
		loose, err := l.dropLoose(ctx, before, limit)
		if err != nil {
			return err
		}
		done.Events += loose
		if loose == limit {
			done.Next = TrimPlace{before.UnixMilli(), math.MaxInt64} // behind all posts
			return nil
		}
		return l.dropWork(ctx, before)
	})
	return done, wrap("trim", err)
}

// trimmable lists posts whose content may go, by room, and where to look on.
func (l *Ledger) trimmable(ctx context.Context, before time.Time, from TrimPlace, limit int) (posts []postRow, next TrimPlace, err error) {
	n := 0
	err = l.each(ctx, func(row dbutil.Scannable) error {
		var p postRow
		var busy bool
		if err := row.Scan(&p.id, &p.room, &p.event, &next.landed, &busy); err != nil {
			return err
		}
		n++
		next.post = p.id
		if !busy {
			posts = append(posts, p)
		}
		return nil
	}, `SELECT p.id, p.room, p.event, p.landed_at,
			EXISTS (SELECT 1 FROM ledger_attachment t WHERE t.post = p.id AND t.state IN ('wanted', 'fetched'))
		FROM ledger_post p WHERE p.state = 'landed' AND p.dropped = 0 AND p.redacted = 0 AND (p.landed_at, p.id) > (?, ?) AND p.landed_at <= ?
		ORDER BY p.landed_at, p.id LIMIT ?+0`, from.landed, from.post, before.UnixMilli(), limit)
	if err != nil {
		return nil, TrimPlace{}, fmt.Errorf("look up landed posts: %w", err)
	}
	if n < limit {
		next = TrimPlace{}
	}
	return posts, next, nil
}

// dropPosts drops the content of posts and gives the number of their events.
func (l *Ledger) dropPosts(ctx context.Context, posts []postRow) (events int, err error) {
	byRoom := map[int64][]id.EventID{}
	var rooms []int64
	ids := make([]int64, 0, len(posts))
	for _, p := range posts {
		if byRoom[p.room] == nil {
			rooms = append(rooms, p.room)
		}
		byRoom[p.room] = append(byRoom[p.room], p.event)
		ids = append(ids, p.id)
	}
	for _, room := range rooms {
		n, err := l.dropEvents(ctx, room, byRoom[room])
		if err != nil {
			return 0, err
		}
		events += n
	}
	for ids := range slices.Chunk(ids, chunk) {
		in, args := list(nil, ids)
		if _, err := l.run(ctx, "UPDATE ledger_post SET dropped = 1 WHERE id IN "+in, args...); err != nil {
			return 0, fmt.Errorf("note dropped posts: %w", err)
		}
	}
	return events, nil
}

// dropEvents drops the content of the readable events of messages. The names that were
// frozen with them stay: a later rename must not change an old post that is said again.
func (l *Ledger) dropEvents(ctx context.Context, room int64, targets []id.EventID) (int, error) {
	var rows, within []int64
	for targets := range slices.Chunk(targets, chunk) {
		in, args := list([]any{room}, targets)
		for _, which := range []string{"e.target = e.event AND e.event IN ", "e.target <> '' AND e.target <> e.event AND e.target IN "} {
			all, old, err := l.droppable(ctx, "e.room = ? AND e.state = 'read' AND e.dropped = 0 AND e.erased = 0 AND e.type <> "+redactionType+" AND "+which+in, args...)
			if err != nil {
				return 0, err
			}
			rows, within = append(rows, all...), append(within, old...)
		}
	}
	if err := l.keepNames(ctx, within); err != nil {
		return 0, err
	}
	return len(rows), l.dropContent(ctx, rows)
}

// droppable lists events, and those of them that hold their content in their own row.
func (l *Ledger) droppable(ctx context.Context, where string, args ...any) (rows, within []int64, err error) {
	err = l.each(ctx, func(row dbutil.Scannable) error {
		var rowID int64
		var apart bool
		if err := row.Scan(&rowID, &apart); err != nil {
			return err
		}
		rows = append(rows, rowID)
		if !apart {
			within = append(within, rowID)
		}
		return nil
	}, "SELECT e.id, EXISTS (SELECT 1 FROM ledger_content c WHERE c.event = e.id) FROM ledger_event e WHERE "+where, args...)
	return rows, within, wrap("look up events", err)
}

// keepNames takes the content out of rows that hold it themselves.
func (l *Ledger) keepNames(ctx context.Context, rows []int64) error {
	for _, rowID := range rows {
		e, err := l.scanEvent(l.queryRow(ctx, "SELECT "+eventColumns+" FROM ledger_event e CROSS JOIN ledger_room r ON r.id = e.room WHERE e.id = ?", rowID))
		if err != nil && e.id == 0 {
			return fmt.Errorf("read event: %w", err)
		}
		var names []byte
		if err == nil && !e.bare { // a body that does not open holds no names
			if names, err = l.sealNames(&e); err != nil {
				return err
			}
		}
		if _, err := l.run(ctx, "UPDATE ledger_event SET body_sealed = ? WHERE id = ?", names, rowID); err != nil {
			return fmt.Errorf("drop content: %w", err)
		}
	}
	return nil
}

func (l *Ledger) dropContent(ctx context.Context, rows []int64) error {
	for rows := range slices.Chunk(rows, chunk) {
		in, args := list(nil, rows)
		for _, query := range []string{"DELETE FROM ledger_content WHERE event IN ", "UPDATE ledger_event SET dropped = 1 WHERE id IN "} {
			if _, err := l.run(ctx, query+in, args...); err != nil {
				return fmt.Errorf("drop content: %w", err)
			}
		}
	}
	return nil
}

// dropLoose drops the content of events that belong to no message, and of which nothing
// is ever said.
func (l *Ledger) dropLoose(ctx context.Context, before time.Time, limit int) (int, error) {
	rows, within, err := l.droppable(ctx, "e.state = 'read' AND e.target = '' AND e.dropped = 0 AND e.erased = 0 AND e.received <= ? LIMIT ?+0", before.UnixMilli(), limit)
	if err != nil {
		return 0, err
	}
	if err := l.keepNames(ctx, within); err != nil {
		return 0, err
	}
	return len(rows), l.dropContent(ctx, rows)
}

// dropWork deletes receipts that are settled and gaps that are filled: they say nothing
// about any event.
func (l *Ledger) dropWork(ctx context.Context, before time.Time) error {
	_, err := l.run(ctx, `DELETE FROM ledger_receipt WHERE created <= ? AND receipt NOT IN (
		SELECT receipt FROM ledger_room WHERE state = 'sent'
		UNION SELECT receipt FROM ledger_author WHERE state = 'sent'
		UNION SELECT receipt FROM ledger_post WHERE state = 'sent')`, before.UnixMilli())
	if err != nil {
		return fmt.Errorf("drop receipts: %w", err)
	}
	// History stays: a start date is compared with how far back a room was read.
	_, err = l.run(ctx, "DELETE FROM ledger_gap WHERE state = 'done' AND kind = ? AND opened <= ?", timeline.GapLimited, before.UnixMilli())
	return wrap("drop gaps", err)
}
