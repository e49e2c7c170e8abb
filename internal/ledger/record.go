package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// ErrToken is what Record answers for a batch of /sync that does not continue from
// the recorded token: two loops, or an answer that came too late.
var ErrToken = errors.New("batch does not continue from the recorded sync token")

// Record stores a batch, in the transaction of ctx where there is one.
//
// Repeats change nothing. A row changes only when more is known: an undecrypted event
// became readable, an unreadable one arrived in a better shape, a skipped one
// qualifies after all. For each message that got an event, the post is composed
// without and with it; when they differ, it has a new revision and is due.
func (l *Ledger) Record(ctx context.Context, b timeline.Batch) error {
	err := l.store.Do(ctx, func(ctx context.Context) error {
		r := &recorder{Ledger: l, now: l.now(), rooms: map[id.RoomID]*roomRow{}, authors: map[id.UserID]int64{}}
		return r.record(ctx, b)
	})
	if err != nil {
		return fmt.Errorf("record batch: %w", err)
	}
	return nil
}

// recorder holds what is looked up once for one batch. It lives within one
// transaction.
type recorder struct {
	*Ledger
	now     int64
	rooms   map[id.RoomID]*roomRow
	authors map[id.UserID]int64
	// missed is set for a page of a limited gap: what was said while nobody listened.
	missed bool
	// walk is the gap whose page is recorded; zero: it is no page.
	walk walk
}

func (r *recorder) record(ctx context.Context, b timeline.Batch) error {
	if err := r.recordToken(ctx, b); err != nil {
		return err
	}
	for _, room := range b.Rooms {
		if err := r.recordRoom(ctx, room); err != nil {
			return err
		}
	}
	if b.Progress != nil {
		var err error
		if r.walk, err = r.walking(ctx, b.Progress.ID); err != nil {
			return err
		}
		// With a neighbour, the gap lies behind something that was heard.
		r.missed = r.walk.kind == timeline.GapLimited && r.walk.until != ""
	}
	if err := r.recordEvents(ctx, b); err != nil {
		return err
	}
	for _, gap := range b.Gaps {
		if err := r.recordGap(ctx, gap); err != nil {
			return err
		}
	}
	if b.Progress != nil {
		if err := r.recordProgress(ctx, *b.Progress); err != nil {
			return err
		}
	}
	for _, retried := range b.Retried {
		if err := r.recordRetried(ctx, retried); err != nil {
			return err
		}
	}
	for _, key := range b.Keys {
		if err := r.recordKey(ctx, key); err != nil {
			return err
		}
	}
	for _, missing := range b.Missing {
		if err := r.recordMissing(ctx, missing); err != nil {
			return err
		}
	}
	if len(b.Rooms)+len(b.Events)+len(b.Undecrypted)+len(b.Gaps)+len(b.Keys)+len(b.Retried)+len(b.Missing) > 0 || b.Progress != nil {
		r.signal(ctx)
	}
	return nil
}

func (r *recorder) recordToken(ctx context.Context, b timeline.Batch) error {
	if b.Next == "" {
		_, err := r.run(ctx, "UPDATE ledger_state SET batches = batches + 1")
		return err
	}
	token, err := r.Token(ctx)
	if err != nil {
		return err
	}
	// An empty Since starts from scratch on purpose: a new device.
	if b.Since != "" && b.Since != token {
		return ErrToken
	}
	_, err = r.run(ctx, "UPDATE ledger_state SET batches = batches + 1, token = ?", b.Next)
	return err
}

// recordEvents writes the events of all rooms, room by room in the order in which they
// first stand.
func (r *recorder) recordEvents(ctx context.Context, b timeline.Batch) error {
	var order []id.RoomID
	arrived := map[id.RoomID][]*eventRow{}
	add := func(row *eventRow) {
		room := row.event.Room
		if _, ok := arrived[room]; !ok {
			order = append(order, room)
		}
		arrived[room] = append(arrived[room], row)
	}
	for _, e := range b.Events {
		add(&eventRow{event: e, state: EventRead})
	}
	for _, u := range b.Undecrypted {
		cause, err := r.keyless(ctx, u)
		if err != nil {
			return err
		}
		add(&eventRow{event: u.Event, state: EventUndecrypted, reason: string(u.Reason), cause: cause, session: u.Session, senderKey: u.SenderKey})
	}
	for _, u := range b.Unreadable {
		e := timeline.Event{Room: u.Room, ID: u.ID, Raw: u.Raw, Received: u.Received, Sent: u.Received}
		add(&eventRow{event: e, state: EventUnreadable, reason: u.Reason})
	}
	for _, name := range order {
		room, err := r.room(ctx, name)
		if err != nil {
			return err
		}
		if err := r.recordNewest(ctx, room, b); err != nil {
			return err
		}
		r.walk.count(arrived[name])
		if err := r.recordArrived(ctx, room, arrived[name]); err != nil {
			return err
		}
	}
	return nil
}

// recordNewest keeps the neighbour of a gap that may open next. What is read beside an
// undecrypted event is as good a neighbour as that one: the walk meets either.
func (r *recorder) recordNewest(ctx context.Context, room *roomRow, b timeline.Batch) error {
	var newest id.EventID
	pick := func(e timeline.Event) {
		if e.Room == room.state.Room.ID && (b.Next != "" || e.Live || room.newest == "") {
			newest = e.ID
		}
	}
	for _, u := range b.Undecrypted {
		pick(u.Event)
	}
	for _, e := range b.Events {
		pick(e)
	}
	if newest == "" || newest == room.newest {
		return nil
	}
	room.newest = newest
	_, err := r.run(ctx, "UPDATE ledger_room SET newest = ? WHERE id = ?", newest, room.id)
	return err
}

// recordArrived writes the events of one room and raises the posts that they change.
func (r *recorder) recordArrived(ctx context.Context, room *roomRow, rows []*eventRow) error {
	rows = withBecause(rows)
	ids := make([]id.EventID, len(rows))
	for i, row := range rows {
		ids[i] = row.event.ID
	}
	stored, err := r.storedEvents(ctx, room, ids)
	if err != nil {
		return err
	}
	asked, err := r.askedFor(ctx, room, rows)
	if err != nil {
		return err
	}
	fresh := newFreshEvents()
	arrived := make([]*eventRow, 0, len(rows))
	for _, row := range rows {
		row.room = room.id
		if row.event.Received.IsZero() {
			row.event.Received = time.UnixMilli(r.now).UTC()
		}
		old := stored[row.event.ID]
		item := r.classify(room, row, old, asked)
		if old.content() && item.Redacted && row.state == EventRead && old.event.Sender == row.event.Sender {
			// It was shown whole before: somebody took it back, whoever that was.
			fresh.stripped[row.event.ID] = true
			arrived = append(arrived, old)
			if r.policy(room.state.Room) != RedactionsKeep {
				continue
			}
		}
		if old != nil && old.dropped {
			if err := r.refill(ctx, room, old, row, item); err != nil {
				return err
			}
			continue
		}
		if old != nil && !better(old, row) {
			continue
		}
		if old == nil {
			err = r.insertEvent(ctx, row)
			if row.reason == skippedNotice {
				r.log.WarnContext(ctx, "the homeserver has a notice for the bot's account; read it with another client",
					slog.String("room_id", room.state.Room.ID.String()), slog.String("event_id", row.event.ID.String()))
			}
		} else {
			// When and how it first arrived stays: names are frozen, and so is the lane.
			row.id = old.id
			row.event.Received, row.event.Live = old.event.Received, old.event.Live
			if !old.bare && old.event.SenderName != "" {
				row.event.SenderName, row.event.RoomName = old.event.SenderName, old.event.RoomName
			}
			err = r.updateEvent(ctx, row)
		}
		if err != nil {
			return err
		}
		if row.state != EventSkipped {
			r.walk.fresh++
		}
		stored[row.event.ID] = row
		fresh.add(row, item, asked[row.event.ID] && r.beforeStart(room, row.event.Sent))
		arrived = append(arrived, row)
	}
	if err := r.meetTargets(ctx, room, ids); err != nil {
		return err
	}
	if err := r.wantTargets(ctx, room, fresh); err != nil {
		return err
	}
	if err := r.followRedactions(ctx, room, fresh); err != nil {
		return err
	}
	if err := r.redact(ctx, room, arrived, fresh); err != nil {
		return err
	}
	return r.recordPosts(ctx, room, fresh)
}

func newFreshEvents() *freshEvents {
	set := func() map[id.EventID]bool { return map[id.EventID]bool{} }
	return &freshEvents{
		byID: map[id.EventID]*eventRow{}, items: map[id.EventID]timeline.Item{}, targeted: set(), taken: set(), told: set(),
		lost: set(), less: set(), masked: set(), stripped: set(),
	}
}

// freshEvents are the rows of one room that are readable and were not before.
type freshEvents struct {
	byID    map[id.EventID]*eventRow
	items   map[id.EventID]timeline.Item // as they were read
	targets []id.EventID                 // messages that they belong to, each once
	refs    []id.EventID                 // what they refer to and may have to be fetched

	targeted map[id.EventID]bool // the set of targets
	taken    map[id.EventID]bool // of targets, those of which a part was redacted
	told     map[id.EventID]bool // of targets, those that got more than what others say about them
	lost     map[id.EventID]bool // targets that lost an edit, of which nothing is left
	less     map[id.EventID]bool // targets that lost a reaction or a vote
	masked   map[id.EventID]bool // targets whose post was masked
	stripped map[id.EventID]bool // events that the homeserver shows without their content now
}

func (f *freshEvents) add(row *eventRow, item timeline.Item, fetched bool) {
	if row.state != EventRead || item.Target == "" {
		return
	}
	f.byID[row.event.ID] = row
	f.items[row.event.ID] = item
	f.target(item.Target)
	if !item.Annotates() {
		f.told[item.Target] = true
	}
	// What was fetched only because something newer refers to it is where fetching
	// ends: otherwise one reply would pull in a whole chain.
	if fetched {
		return
	}
	switch item.Class {
	case timeline.ClassEdit:
		f.refs = append(f.refs, item.Target)
	case timeline.ClassMessage:
		f.refs = append(f.refs, item.Reply, item.Thread)
	case timeline.ClassReaction, timeline.ClassRedaction, timeline.ClassVote, timeline.ClassPollEnd, timeline.ClassState, timeline.ClassOther:
	}
}

// target notes a message that has changed.
func (f *freshEvents) target(message id.EventID) {
	if !f.targeted[message] {
		f.targeted[message] = true
		f.targets = append(f.targets, message)
	}
}

// tooOld reports whether the start date keeps a row out. It is a bound of history: news
// count whatever their sender's clock says, and so does what was missed between two
// syncs, also when a start date that moves on with the days has passed it meanwhile.
// What was taken in once stays in, and what was asked for is what something newer
// refers to.
func (r *recorder) tooOld(room *roomRow, row, old *eventRow, asked map[id.EventID]bool) bool {
	switch {
	case !r.beforeStart(room, row.event.Sent), row.state == EventUnreadable:
		return false
	case row.event.Live, r.missed, asked[row.event.ID]:
		return false
	}
	return old == nil || old.state == EventSkipped
}

// classify decides the state of a row that arrived, and reads it.
func (r *recorder) classify(room *roomRow, row, old *eventRow, asked map[id.EventID]bool) timeline.Item {
	e := &row.event
	skip := func(reason string) {
		row.state, row.reason = EventSkipped, reason
	}
	switch {
	case r.self != "" && e.Sender == r.self:
		skip(skippedOwn)
	case room.skip != "":
		skip(room.skip)
	case r.tooOld(room, row, old, asked):
		skip(skippedBefore)
		row.bare = true
	case row.state == EventRead:
		item, err := timeline.Parse(*e)
		if err != nil {
			row.state, row.reason = EventUnreadable, err.Error() // a constant phrase, by contract
			return timeline.Item{}
		}
		if serverNotice(room, *e, item, r.self) {
			skip(skippedNotice)
			return timeline.Item{}
		}
		e.Target = item.Target
		return item
	}
	return timeline.Item{}
}

// serverNotice reports whether an event is the homeserver speaking to the bot's account:
// of use to whoever runs the connector, and nothing that people said. Anybody can send
// the msgtype; so it counts of the bot's own homeserver, in a room that the sender made,
// and everybody else's is a message as any other.
func serverNotice(room *roomRow, e timeline.Event, item timeline.Item, self id.UserID) bool {
	return item.MsgType == timeline.MsgServerNotice && self != "" && e.Sender == room.state.Room.Creator && e.Sender.Homeserver() == self.Homeserver()
}

// better reports whether what arrived says more than what is stored.
func better(old, arrived *eventRow) bool {
	switch old.state {
	case EventRead:
		return false
	case EventUndecrypted:
		return arrived.state == EventRead || arrived.state == EventUnreadable
	case EventUnreadable:
		return arrived.state == EventRead
	case EventSkipped:
		return arrived.state != EventSkipped || arrived.reason != old.reason
	}
	return false
}

// storedEvents looks up which of the ids are recorded. Content is read only where it
// may be needed.
func (r *recorder) storedEvents(ctx context.Context, room *roomRow, ids []id.EventID) (map[id.EventID]*eventRow, error) {
	stored := map[id.EventID]*eventRow{}
	for ids := range slices.Chunk(ids, chunk) {
		in, args := list([]any{room.id}, ids)
		err := r.each(ctx, func(row dbutil.Scannable) error {
			e, err := r.scanEvent(row)
			if err != nil && e.id == 0 {
				return err
			}
			stored[e.event.ID] = &e
			return nil
		}, `SELECT `+eventColumns+` FROM ledger_event e CROSS JOIN ledger_room r ON r.id = e.room
			WHERE e.room = ? AND e.event IN `+in, args...)
		if err != nil {
			return nil, fmt.Errorf("look up events: %w", err)
		}
	}
	return stored, nil
}
