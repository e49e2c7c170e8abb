package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// RoomView is what became of a room and of what was said there.
type RoomView struct {
	ID         id.RoomID
	Name       string
	Encrypted  bool
	Membership timeline.Membership
	State      State
	Skip       string // why it is not imported
	Posts      map[State]int
	// LastImported is when the newest landed post was received. It is looked for among
	// the newest posts alone: zero where there is none.
	LastImported time.Time
	OldestDue    time.Time // when the oldest live post that is due was received; zero: none
	Undecrypted  int
	OpenGaps     int
}

// urgency orders rooms: what needs a person first, then what is behind, then what is
// busy.
func (r RoomView) urgency() [4]int {
	return [4]int{r.Posts[StateDead], r.Undecrypted, r.Posts[StateDue] + r.Posts[StateSent], r.Posts[StateLanded]}
}

// Overview gives the rooms of the account with most to tell first, at most limit, and how many
// more there are. Rooms that the bot has left and in which nothing was said are left out.
//
// It costs a walk over what is not landed, and over the posts that came since it was
// asked before: the first time over all of them.
func (l *Ledger) Overview(ctx context.Context, limit int) (rooms []RoomView, more int, err error) {
	all := map[int64]*RoomView{}
	err = l.each(ctx, func(row dbutil.Scannable) error {
		v := &RoomView{Posts: map[State]int{}}
		var rowID int64
		if err := row.Scan(&rowID, &v.ID, &v.Name, &v.Encrypted, &v.Membership, &v.State, &v.Skip); err != nil {
			return err
		}
		all[rowID] = v
		return nil
	}, "SELECT id, room, name, encrypted, membership, state, skip FROM ledger_room")
	if err != nil {
		return nil, 0, fmt.Errorf("list rooms: %w", err)
	}
	if err := l.overviewPosts(ctx, all); err != nil {
		return nil, 0, err
	}
	// +room keeps SQLite from grouping by walking over the index of all events.
	for _, q := range []struct {
		query string
		note  func(v *RoomView, n int)
	}{
		{"SELECT room, count(*) FROM ledger_event WHERE state = 'undecrypted' GROUP BY +room", func(v *RoomView, n int) { v.Undecrypted = n }},
		{"SELECT room, count(*) FROM ledger_gap WHERE state = 'open' GROUP BY room", func(v *RoomView, n int) { v.OpenGaps = n }},
	} {
		err := l.each(ctx, func(row dbutil.Scannable) error {
			var room int64
			var n int
			err := row.Scan(&room, &n)
			if v := all[room]; v != nil {
				q.note(v, n)
			}
			return err
		}, q.query)
		if err != nil {
			return nil, 0, fmt.Errorf("count by room: %w", err)
		}
	}
	for _, v := range all {
		if v.Membership == timeline.MembershipJoin || v.urgency() != [4]int{} {
			rooms = append(rooms, *v)
		}
	}
	slices.SortFunc(rooms, func(a, b RoomView) int {
		ua, ub := a.urgency(), b.urgency()
		return cmp.Or(slices.Compare(ub[:], ua[:]), cmp.Compare(a.ID, b.ID))
	})
	if len(rooms) > limit {
		rooms, more = rooms[:limit], len(rooms)-limit
	}
	return rooms, more, nil
}

// tally remembers how many posts each room has. Posts are never deleted and never move,
// so only new ones are counted again.
type tally struct {
	mu    sync.Mutex
	upTo  int64 // row id
	rooms map[int64]tallied
}

type tallied struct {
	posts  int
	newest int64 // received
}

// newestPosts is among how many posts the last imported ones are looked for.
const newestPosts = 5000

func (l *Ledger) overviewPosts(ctx context.Context, all map[int64]*RoomView) error {
	l.tally.mu.Lock()
	defer l.tally.mu.Unlock()
	var newest int64
	if err := l.queryRow(ctx, "SELECT coalesce(max(id), 0) FROM ledger_post").Scan(&newest); err != nil {
		return fmt.Errorf("count posts: %w", err)
	}
	fresh := map[int64]tallied{}
	if newest > l.tally.upTo {
		err := l.each(ctx, func(row dbutil.Scannable) error {
			var room int64
			var t tallied
			err := row.Scan(&room, &t.posts, &t.newest)
			fresh[room] = t
			return err
		}, "SELECT room, count(*), max(received) FROM ledger_post WHERE id > ? AND id <= ? GROUP BY room", l.tally.upTo, newest)
		if err != nil {
			return fmt.Errorf("count posts: %w", err)
		}
	}
	if l.tally.rooms == nil {
		l.tally.rooms = map[int64]tallied{}
	}
	for room, t := range fresh {
		before := l.tally.rooms[room]
		l.tally.rooms[room] = tallied{before.posts + t.posts, max(before.newest, t.newest)}
	}
	l.tally.upTo = newest
	for room, t := range l.tally.rooms {
		if v := all[room]; v != nil {
			v.Posts[StateLanded] = t.posts
		}
	}
	err := l.each(ctx, func(row dbutil.Scannable) error {
		var room, oldest int64
		var state State
		var n int
		if err := row.Scan(&room, &state, &n, &oldest); err != nil {
			return err
		}
		if v := all[room]; v != nil {
			v.Posts[state] = n
			v.Posts[StateLanded] = max(0, v.Posts[StateLanded]-n)
			v.OldestDue = cmp.Or(moment(oldest), v.OldestDue)
		}
		return nil
	}, `SELECT room, 'due', count(*), coalesce(min(CASE live WHEN 1 THEN place END), 0) FROM ledger_post WHERE state = 'due' GROUP BY +room
		UNION ALL SELECT room, 'sent', count(*), 0 FROM ledger_post WHERE state = 'sent' GROUP BY +room
		UNION ALL SELECT room, 'dead', count(*), 0 FROM ledger_post WHERE state = 'dead' GROUP BY +room`)
	if err != nil {
		return fmt.Errorf("count posts: %w", err)
	}
	err = l.each(ctx, func(row dbutil.Scannable) error {
		var room, received int64
		err := row.Scan(&room, &received)
		if v := all[room]; v != nil {
			v.LastImported = moment(received)
		}
		return err
	}, `SELECT room, max(received) FROM (SELECT room, received, landed FROM ledger_post ORDER BY id DESC LIMIT ?)
		WHERE landed > 0 GROUP BY room`, newestPosts)
	if err != nil {
		return fmt.Errorf("look up last imported posts: %w", err)
	}
	for room, t := range l.tally.rooms {
		// Nothing of it waits, so its newest post has landed.
		if v := all[room]; v != nil && v.LastImported.IsZero() && v.Posts[StateLanded] == t.posts {
			v.LastImported = moment(t.newest)
		}
	}
	return nil
}

// Waits reports since when the oldest live event has waited for its key; zero where
// none waits. Of each reason only the newest events are looked at.
func (l *Ledger) Waits(ctx context.Context) (time.Time, error) {
	var oldest int64
	for _, reason := range []timeline.UndecryptedReason{timeline.ReasonNoSession, timeline.ReasonUnknownIndex, timeline.ReasonBadMAC, timeline.ReasonWithheld} {
		var received int64
		err := l.queryRow(ctx, `SELECT coalesce(min(received), 0) FROM (SELECT received, live FROM ledger_event
			WHERE state <> 'read' AND state = 'undecrypted' AND reason = ? ORDER BY id DESC LIMIT ?) WHERE live = 1`, reason, newestPosts).Scan(&received)
		if err != nil {
			return time.Time{}, fmt.Errorf("look up waiting events: %w", err)
		}
		if received > 0 && (oldest == 0 || received < oldest) {
			oldest = received
		}
	}
	return moment(oldest), nil
}

// MissingGroup is what is not in OpenCTI for one reason.
type MissingGroup struct {
	What, State, Reason string
	Count               int
	Examples            []Missing // the newest few
}

// groupQueries count what is missing by state and reason. What was skipped is not
// missing: it was not wanted.
var groupQueries = []struct{ what, query, examples string }{
	{
		"post", "SELECT state, reason, count(*) FROM ledger_post WHERE state = 'dead' GROUP BY reason",
		`SELECT r.room, p.event, a.user, p.received FROM ledger_post p CROSS JOIN ledger_room r ON r.id = p.room CROSS JOIN ledger_author a ON a.id = p.author
			WHERE p.state = 'dead' AND p.state = ? AND p.reason = ? ORDER BY p.id DESC LIMIT ?`,
	},
	{
		"room", "SELECT state, reason, count(*) FROM ledger_room WHERE state = 'dead' GROUP BY reason",
		"SELECT room, '', '', 0 FROM ledger_room WHERE state = ? AND reason = ? ORDER BY id DESC LIMIT ?",
	},
	{
		"author", "SELECT state, reason, count(*) FROM ledger_author WHERE state = 'dead' GROUP BY reason",
		"SELECT '', '', user, 0 FROM ledger_author WHERE state = ? AND reason = ? ORDER BY id DESC LIMIT ?",
	},
	{
		"event", "SELECT state, reason, count(*) FROM ledger_event WHERE state <> 'read' AND state IN ('undecrypted', 'unreadable') GROUP BY state, reason",
		`SELECT r.room, e.event, e.sender, e.sent FROM ledger_event e CROSS JOIN ledger_room r ON r.id = e.room
			WHERE e.state <> 'read' AND e.state = ? AND e.reason = ? ORDER BY e.id DESC LIMIT ?`,
	},
	{
		"attachment", "SELECT state, reason, count(*) FROM ledger_attachment WHERE state IN ('refused', 'lost') GROUP BY state, reason",
		`SELECT r.room, p.event, a.user, t.sent FROM ledger_attachment t CROSS JOIN ledger_post p ON p.id = t.post CROSS JOIN ledger_room r ON r.id = p.room
			CROSS JOIN ledger_author a ON a.id = p.author WHERE t.state IN ('refused', 'lost') AND t.state = ? AND t.reason = ? ORDER BY t.id DESC LIMIT ?`,
	},
	{
		"gap", "SELECT state, reason, count(*) FROM ledger_gap WHERE state = 'lost' GROUP BY reason",
		`SELECT r.room, g.until, '', g.opened FROM ledger_gap g CROSS JOIN ledger_room r ON r.id = g.room
			WHERE g.state = ? AND g.reason = ? ORDER BY g.id DESC LIMIT ?`,
	},
	{
		"target", "SELECT state, reason, count(*) FROM ledger_target WHERE state = 'missing' GROUP BY reason",
		`SELECT r.room, t.event, '', 0 FROM ledger_target t CROSS JOIN ledger_room r ON r.id = t.room
			WHERE t.state = ? AND t.reason = ? LIMIT ?`,
	},
}

// MissingGroups counts what [Ledger.Missing] lists, without what was skipped, by kind,
// state and reason, largest first within a kind, with some examples of each.
func (l *Ledger) MissingGroups(ctx context.Context, examples int) ([]MissingGroup, error) {
	var groups []MissingGroup
	for _, q := range groupQueries {
		first := len(groups)
		err := l.each(ctx, func(row dbutil.Scannable) error {
			g := MissingGroup{What: q.what}
			err := row.Scan(&g.State, &g.Reason, &g.Count)
			groups = append(groups, g)
			return err
		}, q.query)
		if err != nil {
			return nil, fmt.Errorf("count missing: %w", err)
		}
		for i := first; i < len(groups); i++ {
			g := &groups[i]
			err := l.each(ctx, func(row dbutil.Scannable) error {
				m := Missing{What: g.What, State: g.State, Reason: g.Reason}
				var sent int64
				err := row.Scan(&m.Room, &m.Event, &m.User, &sent)
				m.Sent = moment(sent)
				g.Examples = append(g.Examples, m)
				return err
			}, q.examples, g.State, g.Reason, examples)
			if err != nil {
				return nil, fmt.Errorf("list missing: %w", err)
			}
		}
		slices.SortFunc(groups[first:], func(a, b MissingGroup) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.State, b.State), cmp.Compare(a.Reason, b.Reason))
		})
	}
	return groups, nil
}
