package ledger

import (
	"context"
	"fmt"
	"slices"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"
)

// LandAll is [Ledger.Land] of many rows, each at its Ref's revision, in one transaction
// and with few statements. An error is about one of them, and none has landed then.
func (l *Ledger) LandAll(ctx context.Context, refs []Ref) error {
	return l.do(ctx, "land", func(ctx context.Context) error {
		var order []id.RoomID
		posts := map[id.RoomID]map[id.EventID]int64{}
		for _, r := range refs {
			if r.Kind != KindPost {
				if err := l.land(ctx, r, r.Revision); err != nil {
					return err
				}
				continue
			}
			if posts[r.Room] == nil {
				posts[r.Room] = map[id.EventID]int64{}
				order = append(order, r.Room)
			}
			posts[r.Room][r.Event] = r.Revision
		}
		for _, room := range order {
			if err := l.landPosts(ctx, room, posts[room]); err != nil {
				return err
			}
		}
		return nil
	})
}

// landPosts lands posts of one room: what was sent and says nothing newer, which is
// nearly always all of them, together, and the rest one by one.
func (l *Ledger) landPosts(ctx context.Context, name id.RoomID, revisions map[id.EventID]int64) error {
	var room int64
	if err := l.each(ctx, func(row dbutil.Scannable) error { return row.Scan(&room) }, "SELECT id FROM ledger_room WHERE room = ?", name); err != nil {
		return fmt.Errorf("look up room: %w", err)
	}
	var events []id.EventID
	for event := range revisions {
		events = append(events, event)
	}
	slices.Sort(events) // the same input takes the same way
	for events := range slices.Chunk(events, chunk) {
		plain, rest, err := l.plainLandings(ctx, room, events, revisions)
		if err != nil {
			return err
		}
		if len(plain) > 0 {
			in, args := list([]any{l.now()}, plain)
			if _, err := l.run(ctx, `UPDATE ledger_post SET state = 'landed', landed = revision, landed_at = ?, due_at = 0, attempts = 0, lapses = 0,
				class = '', reason = '', receipt = '' WHERE id IN `+in, args...); err != nil {
				return err
			}
			landed := slices.DeleteFunc(slices.Clone(events), func(e id.EventID) bool { return slices.Contains(rest, e) })
			if err := l.releaseReferrers(ctx, room, landed); err != nil {
				return err
			}
		}
		for _, event := range rest {
			if err := l.land(ctx, Ref{Kind: KindPost, Room: name, Event: event}, revisions[event]); err != nil {
				return err
			}
		}
	}
	return nil
}

// plainLandings tells posts that were sent at just the revision that they still have
// from the others.
func (l *Ledger) plainLandings(ctx context.Context, room int64, events []id.EventID, revisions map[id.EventID]int64) (plain []int64, rest []id.EventID, err error) {
	taken := map[id.EventID]bool{}
	in, args := list([]any{room}, events)
	err = l.each(ctx, func(row dbutil.Scannable) error {
		var rowID, revision int64
		var event id.EventID
		if err := row.Scan(&rowID, &event, &revision); err != nil {
			return err
		}
		if revision == revisions[event] {
			plain = append(plain, rowID)
			taken[event] = true
		}
		return nil
	}, "SELECT id, event, revision FROM ledger_post WHERE room = ? AND state = 'sent' AND redacted < 2 AND event IN "+in, args...)
	for _, event := range events {
		if !taken[event] {
			rest = append(rest, event)
		}
	}
	return plain, rest, wrap("look up posts", err)
}

// releaseReferrers lets posts go that waited for one of the targets, and raises those
// that went without the relation.
func (l *Ledger) releaseReferrers(ctx context.Context, room int64, targets []id.EventID) error {
	// Most posts are never referred to, and looking is cheaper than four times changing
	// nothing.
	var referred bool
	replies, args := list([]any{room}, targets)
	threads, args := list(append(args, room), targets)
	err := l.queryRow(ctx, "SELECT EXISTS (SELECT 1 FROM ledger_post WHERE room = ? AND reply <> '' AND reply IN "+replies+
		") OR EXISTS (SELECT 1 FROM ledger_post WHERE room = ? AND thread <> '' AND thread IN "+threads+")", args...).Scan(&referred)
	if err != nil || !referred {
		return err
	}
	for _, column := range []string{"reply", "thread"} {
		valid := ""
		if column == "thread" { // see picker.target
			valid = " AND NOT EXISTS (SELECT 1 FROM ledger_post root WHERE root.room = ledger_post.room AND root.event = ledger_post.thread AND root.thread <> '')"
		}
		in, args := list([]any{room}, targets)
		_, err := l.run(ctx, "UPDATE ledger_post SET hold_until = 0 WHERE room = ? AND "+column+" <> '' AND hold_until > 0 AND "+column+" IN "+in, args...)
		if err != nil {
			return err
		}
		_, err = l.run(ctx, "UPDATE ledger_post SET revision = revision + 1, "+madeDue+" WHERE room = ? AND "+column+` <> ''
			AND said_`+column+` = 0 AND (state = 'sent' OR state = 'landed') AND `+column+" IN "+in+valid, args...)
		if err != nil {
			return err
		}
	}
	return nil
}
