package ledger

import (
	"context"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// UndecryptedGroup is the events that cannot be read for one reason, with one probable
// cause.
type UndecryptedGroup struct {
	Reason string
	Cause  string // see [causeGroup]; empty where nothing is known
	Count  int
	Oldest time.Time // received
	Newest time.Time
	Rooms  []RoomCount // those with most of them first
	More   int         // rooms that are not listed
}

// RoomCount is how much of something a room has.
type RoomCount struct {
	Room  id.RoomID
	Name  string
	Count int
}

// causeGroup is the cause of an undecrypted event without what differs from one to the
// next, such as times and event ids.
const causeGroup = "CASE WHEN cause LIKE 'failed olm message%' THEN 'failed_olm' WHEN cause LIKE 'copy of $%' THEN '' ELSE cause END"

// keyless is the probable cause of an event without a key: what the account knows of it, or
// else that the bot was not in the room yet. It is known to have been there since the room's
// history was first to be read.
func (r *recorder) keyless(ctx context.Context, u timeline.Undecrypted) (string, error) {
	if u.Cause != "" || u.Event.Live || u.Reason != timeline.ReasonNoSession && u.Reason != timeline.ReasonUnknownIndex {
		return u.Cause, nil
	}
	var early bool
	err := r.queryRow(ctx, `SELECT coalesce((SELECT min(g.opened) FROM ledger_gap g CROSS JOIN ledger_room r ON r.id = g.room
		WHERE r.room = ? AND g.kind = ?), 0) > ?`, u.Event.Room, timeline.GapHistory, millis(u.Event.Sent)).Scan(&early)
	if err != nil {
		return "", wrap("look up when the bot came", err)
	}
	if early {
		return timeline.CauseBeforeInvite, nil
	}
	return "", nil
}

// UndecryptedGroups counts what cannot be read, by reason and probable cause, largest first,
// with up to rooms rooms of each; 0: no rooms are counted.
func (l *Ledger) UndecryptedGroups(ctx context.Context, rooms int) ([]UndecryptedGroup, error) {
	var groups []UndecryptedGroup
	err := l.each(ctx, func(row dbutil.Scannable) error {
		var g UndecryptedGroup
		var oldest, newest int64
		if err := row.Scan(&g.Reason, &g.Cause, &g.Count, &oldest, &newest); err != nil {
			return err
		}
		g.Oldest, g.Newest = moment(oldest), moment(newest)
		groups = append(groups, g)
		return nil
	}, "SELECT reason, "+causeGroup+` AS why, count(*), min(received), max(received) FROM ledger_event
		WHERE state <> 'read' AND state = 'undecrypted' GROUP BY reason, why ORDER BY count(*) DESC, reason, why LIMIT 20`)
	if err != nil {
		return nil, wrap("count undecrypted events", err)
	}
	for i := range groups {
		if rooms == 0 {
			break
		}
		g := &groups[i]
		err := l.each(ctx, func(row dbutil.Scannable) error {
			var r RoomCount
			if err := row.Scan(&r.Room, &r.Name, &r.Count); err != nil {
				return err
			}
			if len(g.Rooms) < rooms {
				g.Rooms = append(g.Rooms, r)
			} else {
				g.More++
			}
			return nil
		}, `SELECT r.room, r.name, e.n FROM (SELECT room, count(*) AS n FROM ledger_event
			WHERE state <> 'read' AND state = 'undecrypted' AND reason = ? AND `+causeGroup+` = ? GROUP BY +room) e
			CROSS JOIN ledger_room r ON r.id = e.room ORDER BY e.n DESC, r.id`, g.Reason, g.Cause)
		if err != nil {
			return nil, wrap("count undecrypted events", err)
		}
	}
	return groups, nil
}
