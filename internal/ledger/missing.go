package ledger

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"
)

// Missing is something that is not in OpenCTI, with the reason.
type Missing struct {
	What   string // "event", "post", "room", "author", "attachment", "gap", "target"
	State  string // that of its row; "blocked" for a post that waits for a dead room or author, "deleted" for one that somebody deleted on the sink
	Room   id.RoomID
	Event  id.EventID
	Index  int // of an attachment; the row of a gap
	User   id.UserID
	Reason string
	Cause  string    // see [causeGroup]
	Sent   time.Time // as claimed; zero where there is none
}

// Choice chooses among what is missing. The zero value chooses all of it.
type Choice struct {
	Room    id.RoomID
	Event   id.EventID
	Reasons []string // each a reason, the head of one ("refused"), or a probable cause
	// Waiting adds what is not there yet and is on its way.
	Waiting bool
}

// missingKind is where one kind of rows is looked for. Its columns are named x; r is the
// room, where there is one.
type missingKind struct {
	what, from, where string
	// waiting: the rows are on their way.
	waiting bool
	// What is selected: state, reason, cause, room, event, index, user, time,
	// and the row id by which pages are cut.
	state, reason, cause, room, event, index, user, sent, key string
}

const (
	fromPost       = "ledger_post x CROSS JOIN ledger_room r ON r.id = x.room CROSS JOIN ledger_author a ON a.id = x.author"
	fromAttachment = `ledger_attachment x CROSS JOIN ledger_post p ON p.id = x.post CROSS JOIN ledger_room r ON r.id = p.room
		CROSS JOIN ledger_author a ON a.id = p.author`
	postSent  = "coalesce((SELECT e.sent FROM ledger_event e WHERE e.room = x.room AND e.event = x.event), 0)"
	roomDead  = "r.state = 'dead' AND r.landed = 0"
	someDead  = "(" + roomDead + " OR a.state = 'dead' AND a.landed = 0)"
	fromRoomX = " x CROSS JOIN ledger_room r ON r.id = x.room"
)

var missingKinds = []missingKind{
	{
		what: "event", from: "ledger_event" + fromRoomX, where: "x.state <> 'read' AND x.state IN ('undecrypted', 'unreadable')",
		cause: causeGroup, event: "x.event", user: "x.sender", sent: "x.sent",
	},
	{what: "room", from: "ledger_room x CROSS JOIN ledger_room r ON r.id = x.id", where: "x.state = 'dead'"},
	{what: "author", from: "ledger_author x", where: "x.state = 'dead'", room: "''", user: "x.user"},
	{what: "post", from: fromPost, where: "x.state = 'dead'", event: "x.event", user: "a.user", sent: postSent},
	{what: "post", from: fromPost, where: "x.state = 'landed' AND x.reason <> ''", state: "'deleted'", event: "x.event", user: "a.user", sent: postSent},
	{
		what: "post", from: fromPost, where: "x.state = 'due' AND " + someDead, state: "'blocked'",
		reason: "CASE WHEN " + roomDead + " THEN 'room_dead' ELSE 'author_dead' END", event: "x.event", user: "a.user", sent: postSent,
	},
	{what: "post", from: fromPost, where: "x.deleted = 1", state: "'deleted'", reason: "'redacted'", event: "x.event", user: "a.user", sent: postSent},
	{what: "attachment", from: fromAttachment, where: "x.state IN ('refused', 'lost')", event: "p.event", index: "x.idx", user: "a.user", sent: "x.sent"},
	{what: "gap", from: "ledger_gap" + fromRoomX, where: "x.state = 'lost'", event: "x.until", index: "x.id", sent: "x.opened"},
	{what: "target", from: "ledger_target" + fromRoomX, where: "x.state = 'missing'", event: "x.event", key: "x.room"},
	{ // was not wanted, so that it comes last
		what: "event", from: "ledger_event" + fromRoomX, where: "x.state <> 'read' AND x.state = 'skipped'", event: "x.event", user: "x.sender", sent: "x.sent",
	},
	{what: "post", from: fromPost, where: "x.state = 'due' AND NOT " + someDead, event: "x.event", user: "a.user", sent: postSent, waiting: true},
	{what: "post", from: fromPost, where: "x.state = 'sent'", event: "x.event", user: "a.user", sent: postSent, waiting: true},
	{what: "attachment", from: fromAttachment, where: "x.state IN ('wanted', 'fetched')", event: "p.event", index: "x.idx", user: "a.user", sent: "x.sent", waiting: true},
	{what: "gap", from: "ledger_gap" + fromRoomX, where: "x.state = 'open'", event: "x.until", index: "x.id", sent: "x.opened", waiting: true},
	{what: "target", from: "ledger_target" + fromRoomX, where: "x.state = 'wanted'", event: "x.event", key: "x.room", waiting: true},
}

// or is the first of two texts that is not empty.
func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func (k missingKind) filled() missingKind {
	k.state, k.reason, k.cause = or(k.state, "x.state"), or(k.reason, "x.reason"), or(k.cause, "''")
	k.room, k.event = or(k.room, "r.room"), or(k.event, "''")
	k.index, k.user, k.sent, k.key = or(k.index, "0"), or(k.user, "''"), or(k.sent, "0"), or(k.key, "x.id")
	return k
}

// chosen is the condition of a choice, and its arguments.
func (k missingKind) chosen(c Choice) (where string, args []any) {
	where = k.where
	if c.Room != "" {
		where, args = where+" AND "+k.room+" = ?", append(args, c.Room)
	}
	if c.Event != "" {
		where, args = where+" AND "+k.event+" = ?", append(args, c.Event)
	}
	if len(c.Reasons) > 0 {
		reasons, _ := json.Marshal(c.Reasons) // strings always can be
		where += " AND EXISTS (SELECT 1 FROM json_each(?) j WHERE j.value IN (" + k.reason + ", " + k.cause + ") OR instr(" + k.reason + ", j.value || ': ') = 1)"
		args = append(args, string(reasons))
	}
	return where, args
}

// missingPage is how many rows are read at once: between two pages nobody is held up, however
// slowly the pages are looked at.
const missingPage = 500

// Missing walks over what is chosen of everything that is not in OpenCTI: undecrypted,
// skipped and unreadable events, dead rows and the posts that wait for them, refused and lost
// attachments, lost gaps, missing targets. Rows of a kind come together by state, reason and
// cause. It ends with the first error.
//
// It reads in pages. What changes meanwhile is listed as it was, as it is, or not at all.
func (l *Ledger) Missing(ctx context.Context, c Choice) iter.Seq2[Missing, error] {
	return func(yield func(Missing, error) bool) {
		for _, k := range missingKinds {
			if k.waiting && !c.Waiting {
				continue
			}
			k = k.filled()
			groups, err := l.missingGroups(ctx, k, c)
			if err != nil {
				yield(Missing{}, wrap("list missing", err))
				return
			}
			for _, g := range groups {
				if !l.missingOf(ctx, k, c, g, yield) {
					return
				}
			}
		}
	}
}

// missingGroups are the states, reasons and causes that rows of a kind have.
func (l *Ledger) missingGroups(ctx context.Context, k missingKind, c Choice) (groups [][3]string, err error) {
	where, args := k.chosen(c)
	err = l.each(ctx, func(row dbutil.Scannable) error {
		var g [3]string
		err := row.Scan(&g[0], &g[1], &g[2])
		groups = append(groups, g)
		return err
	}, "SELECT DISTINCT "+k.state+", "+k.reason+", "+k.cause+" FROM "+k.from+" WHERE "+where+" ORDER BY 1, 2, 3", args...)
	return groups, err
}

// missingOf walks over one group; false: no more is wanted.
func (l *Ledger) missingOf(ctx context.Context, k missingKind, c Choice, group [3]string, yield func(Missing, error) bool) bool {
	where, chosen := k.chosen(c)
	query := "SELECT " + strings.Join([]string{k.key, k.state, k.room, k.event, k.index, k.user, k.reason, k.cause, k.sent}, ", ") + " FROM " + k.from + " WHERE " + where +
		" AND " + k.state + " = ? AND " + k.reason + " = ? AND " + k.cause + " = ? AND " + k.key + " >= ? AND (" + k.key + " > ? OR " + k.key + " = ? AND " + k.event + " > ?) ORDER BY " + k.key + ", " + k.event + " LIMIT ?"
	key, event := int64(-1), ""
	for {
		var page []Missing
		args := append(slices.Clone(chosen), group[0], group[1], group[2], key, key, key, event, missingPage)
		err := l.each(ctx, func(row dbutil.Scannable) error {
			m := Missing{What: k.what}
			var sent int64
			err := row.Scan(&key, &m.State, &m.Room, &m.Event, &m.Index, &m.User, &m.Reason, &m.Cause, &sent)
			m.Sent, event = moment(sent), m.Event.String()
			page = append(page, m)
			return err
		}, query, args...)
		if err != nil {
			yield(Missing{}, wrap("list missing", err))
			return false
		}
		for _, m := range page {
			if !yield(m, nil) {
				return false
			}
		}
		if len(page) < missingPage {
			return true
		}
	}
}
