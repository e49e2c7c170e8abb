package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Batch is what is delivered together: rooms and authors first, then posts, each
// target of a reply or thread before what refers to it.
type Batch struct {
	Rooms   []timeline.RoomState
	Authors []timeline.Author
	Drafts  []timeline.Draft
}

// Empty reports whether there is nothing in it.
func (b Batch) Empty() bool { return b.Len() == 0 }

// Len is the number of rows.
func (b Batch) Len() int { return len(b.Rooms) + len(b.Authors) + len(b.Drafts) }

// Due lists what is to be delivered and whose time has come, at most limit rows:
// rooms and authors, then posts whose room and author have landed, live ones before
// history, oldest first. A row with Landed > 0 says something else than what has
// landed. Due moves nothing; [Ledger.Send] does.
//
// A post that has never landed waits at most [Config.Hold] for the target of its
// reply or thread to land or to be fetched, unless the target goes in the same
// batch. After that it goes without the relation, and gets a new revision when the
// target lands after all.
//
// A post that can no longer be composed from what is stored (damage on disk, or its
// original was taken back) is dead("nothing_to_say"): it must not hold up the others.
func (l *Ledger) Due(ctx context.Context, limit int) (Batch, error) {
	// Rows are read without a transaction, revisions first and content after them. What
	// is recorded in between makes a draft newer than its revision, never older.
	now := l.now()
	var b Batch
	rooms, err := l.readRooms(ctx, "r.state = 'due' AND r.due_at <= ? AND r.skip = '' ORDER BY r.due_at, r.id LIMIT ?+0", now, limit)
	if err != nil {
		return Batch{}, err
	}
	for _, r := range rooms {
		if err := l.linkRoom(ctx, &r.state); err != nil {
			return Batch{}, err
		}
		b.Rooms = append(b.Rooms, r.state)
	}
	if b.Authors, err = l.readAuthors(ctx, "a.state = 'due' AND a.due_at <= ? ORDER BY a.due_at, a.id LIMIT ?+0", now, limit-b.Len()); err != nil {
		return Batch{}, err
	}
	for b.Len() < limit {
		picker := &picker{Ledger: l, now: now, max: limit - b.Len()}
		if err := picker.pick(ctx); err != nil {
			return Batch{}, err
		}
		drafts, err := l.draft(ctx, picker.picked)
		if err != nil {
			return Batch{}, err
		}
		if len(drafts) == len(picker.picked) {
			b.Drafts = drafts
			break
		}
		// Pick again without those that say nothing: one of them may be a target.
		if err := l.killSilent(ctx, picker.picked, drafts); err != nil {
			return Batch{}, err
		}
	}
	return b, nil
}

// killSilent gives up posts that were picked, or are on their way, and could not be
// drafted.
func (l *Ledger) killSilent(ctx context.Context, picked []postRow, drafts []timeline.Draft) error {
	type place struct {
		room  int64
		event id.EventID
	}
	drafted := map[place]bool{}
	rooms := map[id.RoomID]int64{}
	for _, d := range drafts {
		room, ok := rooms[d.Post.Room]
		if !ok {
			row, err := l.findRoom(ctx, d.Post.Room)
			if err != nil {
				return err
			}
			room = row.id
			rooms[d.Post.Room] = room
		}
		drafted[place{room, d.Post.ID}] = true
	}
	return l.do(ctx, "kill", func(ctx context.Context) error {
		for _, p := range picked {
			if drafted[place{p.room, p.event}] {
				continue
			}
			_, err := l.run(ctx, `UPDATE ledger_post SET state = 'dead', due_at = 0, class = 'permanent', reason = ?, receipt = ''
				WHERE id = ? AND (state = 'due' OR state = 'sent') AND revision = ?`, deadUnreadable, p.id, p.revision)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// picker chooses posts for a batch, targets before what refers to them.
type picker struct {
	*Ledger
	now    int64
	max    int
	picked []postRow
	in     map[int64]bool // row ids of picked
	trying map[int64]bool // on the way down a chain of replies
}

// pick walks over due posts in their order until the batch is full.
func (k *picker) pick(ctx context.Context) error {
	k.in, k.trying = map[int64]bool{}, map[int64]bool{}
	page := k.max + 16
	for offset := 0; len(k.picked) < k.max; offset += page {
		var candidates []postRow
		// CROSS JOIN keeps SQLite from starting anywhere else than at the index that
		// holds the posts in order.
		err := k.each(ctx, func(row dbutil.Scannable) error {
			p, err := scanPost(row)
			candidates = append(candidates, p)
			return err
		}, `SELECT `+postColumns+` FROM ledger_post p CROSS JOIN ledger_room r ON r.id = p.room CROSS JOIN ledger_author a ON a.id = p.author
			WHERE p.state = 'due' AND p.dropped = 0 AND p.due_at <= ? AND r.landed > 0 AND r.skip = '' AND a.landed > 0
			ORDER BY p.live DESC, p.place, p.id LIMIT ?+0 OFFSET ?+0`, k.now, page, offset)
		if err != nil {
			return fmt.Errorf("look up due posts: %w", err)
		}
		for _, p := range candidates {
			if len(k.picked) == k.max {
				break
			}
			if _, err := k.take(ctx, p); err != nil {
				return err
			}
		}
		if len(candidates) < page {
			break
		}
	}
	return nil
}

// take adds a post, after its targets, unless it has to wait for one. It reports
// whether the post is in the batch.
func (k *picker) take(ctx context.Context, p postRow) (bool, error) {
	if k.in[p.id] {
		return true, nil
	}
	// Two messages that refer to each other: one of them goes first, without.
	if k.trying[p.id] {
		return false, nil
	}
	k.trying[p.id] = true
	defer delete(k.trying, p.id)
	if err := k.link(ctx, &p); err != nil {
		return false, err
	}
	if p.wait() && p.landed == 0 && p.hold > k.now {
		return false, nil
	}
	if len(k.picked) >= k.max {
		return false, nil
	}
	k.in[p.id] = true
	k.picked = append(k.picked, p)
	return true, nil
}

// wait reports whether a target of the post may still come.
func (p *postRow) wait() bool { return p.replyPending || p.threadPending }

// link finds out what is known of the targets of a post, and takes them into the batch
// where they can go with it.
func (k *picker) link(ctx context.Context, p *postRow) (err error) {
	if p.saidReply, p.replyPending, err = k.target(ctx, p, p.reply, false); err != nil {
		return err
	}
	p.saidThread, p.threadPending, err = k.target(ctx, p, p.thread, true)
	return err
}

// target reports whether a target has landed or goes in this batch, and otherwise
// whether it may do so soon. What is in a thread itself is no root of one (Matrix C-S API,
// "Threading").
func (k *picker) target(ctx context.Context, p *postRow, event id.EventID, root bool) (known, pending bool, err error) {
	if event == "" {
		return false, false, nil
	}
	var ends, authorLanded bool
	t, err := scanPost(k.queryRow(ctx, `SELECT `+postColumns+`, a.landed > 0, p.state = 'dead' OR p.state = 'landed' AND p.reason <> '' FROM ledger_post p
		CROSS JOIN ledger_author a ON a.id = p.author WHERE p.room = ? AND p.event = ?`, p.room, event), &authorLanded, &ends)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		pending, err := k.coming(ctx, p.room, event)
		return false, pending, err
	case err != nil:
		return false, false, fmt.Errorf("look up target: %w", err)
	case root && t.thread != "":
		return false, false, nil
	case ends && t.state == StateLanded: // and left alone
		return false, false, nil
	case t.redacted == 2: // it is gone, or soon will be
		return false, false, nil
	case t.landed > 0 || k.in[t.id]:
		return true, false, nil
	case ends:
		return false, false, nil
	case t.state != StateDue || t.dropped || t.dueAt > k.now || !authorLanded || k.max == 0:
		return false, true, nil
	case k.trying[t.id]:
		return false, false, nil
	}
	// One place is kept for the post itself.
	if len(k.picked)+len(k.trying) >= k.max {
		return false, true, nil
	}
	taken, err := k.take(ctx, t)
	return taken, !taken, err
}

// coming reports whether an event that is no post may become one soon: it is being
// fetched, or waits for its key.
func (k *picker) coming(ctx context.Context, room int64, event id.EventID) (bool, error) {
	var coming bool
	err := k.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM ledger_target WHERE room = ?1 AND event = ?2 AND state = 'wanted')
		OR EXISTS (SELECT 1 FROM ledger_event WHERE room = ?1 AND event = ?2 AND state = 'undecrypted')`, room, event).Scan(&coming)
	return coming, wrap("look up target", err)
}

// NextDue is the earliest time in the future at which Due, Wanted, ReadyToAttach,
// Gaps or Targets may have more to give; zero when only a change can bring more.
func (l *Ledger) NextDue(ctx context.Context) (time.Time, error) {
	now := l.now()
	if before := l.latest.Swap(now); now < before-setBack.Milliseconds() {
		if err := l.straighten(ctx); err != nil {
			return time.Time{}, err
		}
	}
	var next sql.NullInt64
	err := l.queryRow(ctx, `SELECT min(t) FROM (
		SELECT min(due_at) AS t FROM ledger_room WHERE state = 'due' AND due_at > ?1
		UNION ALL SELECT min(due_at) FROM ledger_author WHERE state = 'due' AND due_at > ?1
		UNION ALL SELECT min(due_at) FROM ledger_post WHERE state = 'due' AND due_at > 0 AND due_at > ?1
		UNION ALL SELECT min(hold_until) FROM ledger_post WHERE state = 'due' AND hold_until > 0 AND hold_until > ?1
		UNION ALL SELECT min(due_at) FROM ledger_attachment WHERE state IN ('wanted', 'fetched') AND due_at > 0 AND due_at > ?1
		UNION ALL SELECT min(due_at) FROM ledger_gap WHERE state = 'open' AND due_at > ?1
		UNION ALL SELECT min(due_at) FROM ledger_target WHERE state = 'wanted' AND due_at > ?1)`, now).Scan(&next)
	if err != nil {
		return time.Time{}, fmt.Errorf("look up next due time: %w", err)
	}
	return moment(next.Int64), nil
}
