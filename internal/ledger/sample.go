package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// ErrTables is what [Readable] answers for tables that this version has not brought to
// their newest form yet.
var ErrTables = errors.New("store was written by an older version of matrix-connector")

// Readable checks that a store that was opened for reading holds a ledger of this
// version: [ErrUnknown] where there is none.
func Readable(ctx context.Context, s *store.Store) error {
	version, err := Stored(ctx, s)
	switch {
	case err != nil:
		return err
	case version == 0:
		return ErrUnknown
	case version < len(upgrades()):
		return ErrTables
	}
	return nil
}

// Sample gives the newest posts of a room as they would be sent, oldest of them first,
// at most limit. Posts whose content is no longer kept are passed over. Of a room that
// is not imported it gives what would be sent if it were. It changes nothing.
func (l *Ledger) Sample(ctx context.Context, room id.RoomID, limit int) ([]timeline.Draft, error) {
	row, err := l.findRoom(ctx, room)
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, fmt.Errorf("sample room: %w", ErrUnknown)
	}
	posts, err := l.readPosts(ctx, "p.room = ? AND p.dropped = 0 ORDER BY p.place DESC, p.id DESC LIMIT ?", row.id, limit)
	if err != nil {
		return nil, err
	}
	picker := &picker{Ledger: l, now: l.now()}
	for i := range posts {
		if err := picker.link(ctx, &posts[i]); err != nil {
			return nil, err
		}
	}
	drafts, err := l.draft(ctx, posts)
	if err != nil {
		return nil, err
	}
	if err := l.linkRoom(ctx, &row.state); err != nil {
		return nil, err
	}
	for i := range drafts {
		drafts[i].Room = row.state
	}
	if row.skip != "" {
		skipped, err := l.sampleSkipped(ctx, row)
		if err != nil {
			return nil, fmt.Errorf("sample room: %w", err)
		}
		drafts = append(drafts, skipped...)
	}
	slices.SortStableFunc(drafts, func(a, b timeline.Draft) int {
		return cmp.Or(a.Post.Sent.Compare(b.Post.Sent), cmp.Compare(a.Post.ID, b.Post.ID))
	})
	return drafts[max(0, len(drafts)-limit):], nil
}

// skippedSample is how many events of a skipped room are looked at: its newest messages
// are among them, unless the room does little else than react and edit.
const skippedSample = 500

// sampleSkipped composes what is kept of a room that is not imported.
func (l *Ledger) sampleSkipped(ctx context.Context, room *roomRow) ([]timeline.Draft, error) {
	messages := map[id.EventID][]timeline.Event{}
	err := l.each(ctx, func(row dbutil.Scannable) error {
		e, err := l.scanEvent(row)
		if err != nil && e.id == 0 {
			return err
		}
		if err != nil || e.bare {
			return nil //nolint:nilerr // damaged: it says nothing
		}
		if item, err := timeline.Parse(e.event); err == nil && item.Target != "" {
			e.event.Target = item.Target
			messages[item.Target] = append(messages[item.Target], e.event)
		}
		return nil
	}, "SELECT "+eventColumns+` FROM ledger_event e CROSS JOIN ledger_room r ON r.id = e.room
		WHERE e.room = ? AND e.state = 'skipped' AND e.reason = ? AND e.session = '' AND e.body_sealed IS NOT NULL
		ORDER BY e.id DESC LIMIT ?`, room.id, room.skip, skippedSample)
	if err != nil {
		return nil, err
	}
	drafts := make([]timeline.Draft, 0, len(messages))
	for _, events := range messages {
		post, says := timeline.Compose(events)
		if !says {
			continue
		}
		author := timeline.Author{User: post.Sender, Name: post.SenderName, Since: post.Sent, Key: string(post.Sender)}
		known, err := l.readAuthors(ctx, "a.user = ?", post.Sender)
		if err != nil {
			return nil, err
		}
		if len(known) > 0 {
			author = known[0]
		}
		drafts = append(drafts, timeline.Draft{Post: post, Revision: 1, Room: room.state, Author: author})
	}
	return drafts, nil
}
