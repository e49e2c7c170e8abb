package ledger

import (
	"context"
	"fmt"
	"slices"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// postRow is a row of ledger_post on its way into a draft.
type postRow struct {
	id, room, author      int64
	event                 id.EventID
	live                  bool
	reply, thread         id.EventID
	saidReply, saidThread bool
	hold                  int64
	state                 State
	dueAt                 int64
	revision, landed      int64
	dropped               bool // cannot be said before it is refilled
	sent                  int64
	redacted              int
	deleted               bool

	// A target of reply or thread that may still come, as the picker found.
	replyPending, threadPending bool
}

const postColumns = `p.id, p.room, p.author, p.event, p.live, p.reply, p.thread, p.said_reply, p.said_thread, p.hold_until,
	p.state, p.due_at, p.revision, p.landed, p.dropped, p.sent, p.redacted, p.deleted`

func scanPost(row dbutil.Scannable, more ...any) (postRow, error) {
	var p postRow
	err := row.Scan(slices.Concat([]any{
		&p.id, &p.room, &p.author, &p.event, &p.live, &p.reply, &p.thread, &p.saidReply, &p.saidThread, &p.hold,
		&p.state, &p.dueAt, &p.revision, &p.landed, &p.dropped, &p.sent, &p.redacted, &p.deleted,
	}, more)...)
	return p, err
}

// toDelete reports whether the object of a redacted post is to be deleted now. What may
// be on its way to the sink lands first, as a notice: it must not come after the deletion.
func (p *postRow) toDelete() bool {
	return p.redacted == 2 && (p.deleted || p.landed > 0 || p.sent == 0)
}

func (l *Ledger) readPosts(ctx context.Context, where string, args ...any) ([]postRow, error) {
	var posts []postRow
	err := l.each(ctx, func(row dbutil.Scannable) error {
		p, err := scanPost(row)
		if err == nil {
			posts = append(posts, p)
		}
		return err
	}, "SELECT "+postColumns+" FROM ledger_post p WHERE "+where, args...)
	return posts, wrap("read posts", err)
}

func (l *Ledger) readRooms(ctx context.Context, where string, args ...any) ([]*roomRow, error) {
	var rooms []*roomRow
	err := l.each(ctx, func(row dbutil.Scannable) error {
		r, err := l.scanRoom(row)
		if err == nil {
			rooms = append(rooms, r)
		}
		return err
	}, "SELECT "+roomColumns+" FROM ledger_room r WHERE "+where, args...)
	return rooms, wrap("read rooms", err)
}

func (l *Ledger) readAuthors(ctx context.Context, where string, args ...any) ([]timeline.Author, error) {
	var authors []timeline.Author
	err := l.each(ctx, func(row dbutil.Scannable) error {
		_, a, err := l.scanAuthor(row)
		if err == nil {
			authors = append(authors, a)
		}
		return err
	}, "SELECT "+authorColumns+" FROM ledger_author a WHERE "+where, args...)
	return authors, wrap("read authors", err)
}

// draft loads everything that the posts need, with one query for each kind of row and
// room. A post that cannot be composed is left out.
func (l *Ledger) draft(ctx context.Context, posts []postRow) ([]timeline.Draft, error) {
	if len(posts) == 0 {
		return nil, nil
	}
	rooms := map[int64]timeline.RoomState{}
	authors := map[int64]timeline.Author{}
	events := map[int64]map[id.EventID][]timeline.Event{}
	byRoom := map[int64][]id.EventID{}
	var authorIDs []int64
	for _, p := range posts {
		byRoom[p.room] = append(byRoom[p.room], p.event)
		authorIDs = append(authorIDs, p.author)
	}
	var err error
	var roomIDs []int64
	for room, targets := range byRoom {
		roomIDs = append(roomIDs, room)
		if events[room], err = l.eventsOf(ctx, room, targets, targets); err != nil {
			return nil, err
		}
		if err := l.addRedactions(ctx, room, targets, events[room]); err != nil {
			return nil, err
		}
	}
	slices.Sort(authorIDs)
	if err := l.readByID(ctx, slices.Compact(authorIDs), "SELECT "+authorColumns+" FROM ledger_author a WHERE a.id IN ", func(row dbutil.Scannable) error {
		rowID, author, err := l.scanAuthor(row)
		authors[rowID] = author
		return err
	}); err != nil {
		return nil, fmt.Errorf("read authors: %w", err)
	}
	if err := l.readByID(ctx, roomIDs, "SELECT "+roomColumns+" FROM ledger_room r WHERE r.id IN ", func(row dbutil.Scannable) error {
		room, err := l.scanRoom(row)
		if err == nil {
			rooms[room.id] = room.state
		}
		return err
	}); err != nil {
		return nil, fmt.Errorf("read rooms: %w", err)
	}
	drafts := make([]timeline.Draft, 0, len(posts))
	drafted := make([]int64, 0, len(posts))
	var withFiles []int64
	for _, p := range posts {
		post, says := l.say(l.policy(rooms[p.room].Room), events[p.room][p.event])
		if !says {
			continue
		}
		if p.redacted > 0 {
			// What it answered is kept apart from its content.
			post = post.Mask()
			post.Reply, post.Thread = p.reply, p.thread
		}
		if drafted = append(drafted, p.id); len(post.Files) > 0 {
			withFiles = append(withFiles, p.id)
		}
		drafts = append(drafts, timeline.Draft{
			Post: post, Revision: p.revision, Landed: p.landed, Live: p.live,
			Room: rooms[p.room], Author: authors[p.author],
			ReplyKnown: p.saidReply, ThreadKnown: p.saidThread, Delete: p.toDelete(),
		})
	}
	attachments, err := l.attachmentsOf(ctx, withFiles)
	if err != nil {
		return nil, err
	}
	for i, post := range drafted {
		drafts[i].Attachments = attachments[post]
	}
	return drafts, nil
}

func (l *Ledger) readByID(ctx context.Context, ids []int64, query string, scan func(dbutil.Scannable) error) error {
	for ids := range slices.Chunk(ids, chunk) {
		in, args := list(nil, ids)
		if err := l.each(ctx, scan, query+in, args...); err != nil {
			return err
		}
	}
	return nil
}

// Draft gives a post as it would be sent, whatever its state; [ErrUnknown] when there
// is no such post, or when it cannot be composed. For the attacher and for commands.
func (l *Ledger) Draft(ctx context.Context, room id.RoomID, event id.EventID) (timeline.Draft, error) {
	posts, err := l.readPosts(ctx, "p.room = (SELECT id FROM ledger_room WHERE room = ?) AND p.event = ?", room, event)
	if err != nil {
		return timeline.Draft{}, err
	}
	if len(posts) == 0 {
		return timeline.Draft{}, fmt.Errorf("draft post: %w", ErrUnknown)
	}
	picker := &picker{Ledger: l, now: l.now()}
	for i := range posts {
		if err := picker.link(ctx, &posts[i]); err != nil {
			return timeline.Draft{}, err
		}
	}
	drafts, err := l.draft(ctx, posts)
	if err != nil {
		return timeline.Draft{}, err
	}
	if len(drafts) == 0 {
		return timeline.Draft{}, fmt.Errorf("draft post: nothing to say: %w", ErrUnknown)
	}
	return drafts[0], nil
}
