package ledger

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// storedPost is what recording needs to know of a post that exists.
type storedPost struct {
	id      int64
	dropped bool // content of its events was dropped
	masked  bool // taken back
}

// recordPosts composes every message that got an event, without and with what arrived.
func (r *recorder) recordPosts(ctx context.Context, room *roomRow, fresh *freshEvents) error {
	for targets := range slices.Chunk(fresh.targets, chunk) {
		posts := map[id.EventID]storedPost{}
		in, args := list([]any{room.id}, targets)
		err := r.each(ctx, func(row dbutil.Scannable) error {
			var event id.EventID
			var post storedPost
			if err := row.Scan(&event, &post.id, &post.dropped, &post.masked); err != nil {
				return err
			}
			posts[event] = post
			return nil
		}, "SELECT event, id, dropped, redacted > 0 FROM ledger_post WHERE room = ? AND event IN "+in, args...)
		if err != nil {
			return fmt.Errorf("look up posts: %w", err)
		}
		if targets, err = r.raiseCrowds(ctx, room, targets, posts, fresh); err != nil {
			return err
		}
		// Where all that a message consists of has just arrived nothing is read back.
		lookUp := slices.DeleteFunc(slices.Clone(targets), func(target id.EventID) bool { return fresh.byID[target] != nil })
		events, err := r.eventsOf(ctx, room.id, lookUp, targets)
		if err != nil {
			return err
		}
		if err := r.addRedactions(ctx, room.id, targets, events); err != nil {
			return err
		}
		for _, target := range targets {
			all := events[target]
			if original := fresh.byID[target]; original != nil && original.event.Target == target {
				all = append(all, original.event)
			}
			stored, exists := posts[target]
			if err := r.recordPost(ctx, room, target, all, fresh, stored, exists); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *recorder) recordPost(ctx context.Context, room *roomRow, target id.EventID, all []timeline.Event, fresh *freshEvents, stored storedPost, exists bool) error {
	policy := r.policy(room.state.Room)
	if fresh.masked[target] {
		return nil
	}
	if stored.masked {
		// Only who took it back, and when, can change.
		if slices.ContainsFunc(all, func(e timeline.Event) bool {
			return fresh.items[e.ID].Class == timeline.ClassRedaction && fresh.byID[e.ID] != nil
		}) {
			return r.raise(ctx, tablePost, stored.id)
		}
		return nil
	}
	if stored.dropped {
		// Nobody can tell any more whether it says something else now: it is read again. What
		// was taken back nobody shows any more.
		hurry, changed := fresh.lost[target], fresh.taken[target] || fresh.less[target]
		for _, e := range all {
			item, ok := fresh.items[e.ID]
			switch {
			case !ok, item.Class == timeline.ClassRedaction:
			case item.Annotates():
				changed = true
			default:
				hurry = true
			}
		}
		var err error
		switch {
		case hurry:
			err = r.raise(ctx, tablePost, stored.id)
		case changed:
			err = r.raiseLater(ctx, stored.id)
		}
		if err == nil && (fresh.lost[target] || fresh.less[target]) {
			err = r.complete(ctx, room, stored.id, target) // what was lost is not awaited
		}
		return err
	}
	if !exists {
		post, says := fresh.compose(policy, all)
		if !says {
			return nil
		}
		return r.insertPost(ctx, room, post, all)
	}
	post, says := r.say(policy, all)
	before, said := r.say(policy, slices.DeleteFunc(slices.Clone(all), func(e timeline.Event) bool { return fresh.byID[e.ID] != nil }))
	lost := fresh.lost[target]
	if said == says && !lost && reflect.DeepEqual(before, post) {
		if fresh.less[target] {
			return r.raiseLater(ctx, stored.id)
		}
		return nil
	}
	if says {
		if _, err := r.run(ctx, `UPDATE ledger_post SET said_reply = said_reply AND reply = ?1, said_thread = said_thread AND thread = ?2,
			reply = ?1, thread = ?2 WHERE id = ?3`, post.Reply, post.Thread, stored.id); err != nil {
			return fmt.Errorf("update post: %w", err)
		}
		if err := r.recordFiles(ctx, room.state.Room.ID, post, stored.id, false); err != nil {
			return err
		}
	}
	if !lost && said && says && reflect.DeepEqual(before.Unannotated(), post.Unannotated()) {
		return r.raiseLater(ctx, stored.id)
	}
	return r.raise(ctx, tablePost, stored.id)
}

// compose is [timeline.Compose] of a message that is not known yet: nearly always of one
// event that has just been read.
func (f *freshEvents) compose(policy Redactions, all []timeline.Event) (timeline.Post, bool) {
	if len(all) == 1 {
		if item, ok := f.items[all[0].ID]; ok {
			return item.Post(all[0])
		}
	}
	post, says := timeline.Compose(all)
	if policy != RedactionsKeep {
		post = post.Mask()
	}
	return post, says
}

func (r *recorder) insertPost(ctx context.Context, room *roomRow, post timeline.Post, all []timeline.Event) error {
	author, err := r.author(ctx, post.Sender, post.SenderName, post.Sent)
	if err != nil {
		return err
	}
	if room.row == StateIdle {
		room.row = StateDue
		if _, err := r.run(ctx, "UPDATE ledger_room SET state = 'due', due_at = 0 WHERE id = ? AND state = 'idle'", room.id); err != nil {
			return fmt.Errorf("update room: %w", err)
		}
	}
	original := all[slices.IndexFunc(all, func(e timeline.Event) bool { return e.ID == post.ID })]
	received := original.Received.UnixMilli()
	// Live posts go in the order of arrival, which no sender can forge. History comes in
	// backwards; there the claimed time puts most targets before what refers to them.
	place := received
	if !original.Live {
		place = original.Sent.UnixMilli()
	}
	var hold int64
	if post.Reply != "" || post.Thread != "" {
		hold = r.now + r.hold.Milliseconds()
	}
	masked := 0
	if post.Masked {
		masked = redactedAs(r.policy(room.state.Room))
	}
	result, err := r.run(ctx, `INSERT INTO ledger_post (room, event, author, live, place, received, reply, thread, hold_until, redacted)
		VALUES (?,?,?,?,?,?,?,?,?,?)`, room.id, post.ID, author, original.Live, place, received, post.Reply, post.Thread, hold, masked)
	if err != nil {
		return fmt.Errorf("insert post: %w", err)
	}
	rowID, err := result.LastInsertId()
	if err != nil {
		return err
	}
	return r.recordFiles(ctx, room.state.Room.ID, post, rowID, true)
}

// eventsOf reads the readable events of messages: the originals named in originals, and
// everything else that belongs to one of targets.
func (l *Ledger) eventsOf(ctx context.Context, room int64, originals, targets []id.EventID) (map[id.EventID][]timeline.Event, error) {
	events := map[id.EventID][]timeline.Event{}
	scan := func(row dbutil.Scannable) error {
		e, err := l.scanEvent(row)
		if err != nil && e.id == 0 {
			return err
		}
		// A row that does not open says nothing; Compose goes on with the rest, and
		// a post without its original is reported by Due.
		if err == nil && !e.bare && !e.dropped {
			events[e.event.Target] = append(events[e.event.Target], e.event)
		}
		return nil
	}
	const read = "SELECT " + eventColumns + " FROM ledger_event e CROSS JOIN ledger_room r ON r.id = e.room WHERE e.room = ? AND e.state = 'read' AND "
	for originals := range slices.Chunk(originals, chunk) {
		in, args := list([]any{room}, originals)
		if err := l.each(ctx, scan, read+"e.target = e.event AND e.event IN "+in, args...); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
	}
	for targets := range slices.Chunk(targets, chunk) {
		in, args := list([]any{room}, targets)
		if err := l.each(ctx, scan, read+"e.target <> '' AND e.target <> e.event AND e.target IN "+in+" ORDER BY e.id", args...); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
	}
	return events, nil
}
