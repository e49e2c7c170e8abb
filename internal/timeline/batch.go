package timeline

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// Batch is what one transaction of the reader learned: a /sync response, one
// page of a gap or of history, one fetched target, or one page of late keys.
type Batch struct {
	// Since and Next are the sync token before and after; both empty for a batch
	// that did not come from /sync.
	Since, Next string
	Events      []Event // per room in the order of the timeline
	Undecrypted []Undecrypted
	Unreadable  []Unreadable
	Rooms       []Room         // rooms that were seen or have changed
	Gaps        []Gap          // gaps that opened
	Progress    *GapProgress   // set by a page of a gap
	Keys        []KeyRef       // Megolm sessions that became known or better
	Retried     []Retried      // outcome of a page of late keys
	Missing     []MissingEvent // targets that the homeserver refuses to show
}

// GapKind says why a stretch of a room's timeline is to be read backwards.
type GapKind string

// The kinds of gap.
const (
	GapLimited GapKind = "limited" // a limited timeline in /sync
	GapHistory GapKind = "history" // what was said before the bot joined or was set up
)

// Gap is a stretch of a room's timeline that has not been read yet. It is read
// backwards, a page a transaction.
type Gap struct {
	ID   int64 // set by the ledger
	Room id.RoomID
	Kind GapKind
	// From is the pagination token to read backwards from (prev_batch).
	From string
	// Until is the neighbour: the newest event of that room that was stored before
	// the gap opened. Empty when the room had none: then the gap reaches to the
	// room's start or to Bound.
	Until id.EventID
	// Bound ends the walk at events sent before it; zero means no bound.
	Bound  time.Time
	Opened time.Time
	Pages  int // pages read so far
	// Request is the request of a command that asked for it; 0: nobody did.
	Request int64
}

// GapProgress is what one page did to its gap.
type GapProgress struct {
	ID   int64
	From string // where the next page starts
	Done bool
	// Lost says why the homeserver does not show the rest (e.g. "forbidden",
	// "not_found"); the gap ends as a visible row.
	Lost string
}

// KeyRef names a Megolm session whose key arrived or improved.
type KeyRef struct {
	Room       id.RoomID
	Session    id.SessionID
	FirstIndex uint32
	// Withheld is set when what arrived is a refusal (m.room_key.withheld code).
	Withheld string
	// WithheldBy is who refuses: it explains that sender's events alone. Empty: whoever sent them.
	WithheldBy id.UserID
}

// KeyNeed names a Megolm session whose key is missing.
type KeyNeed struct {
	Room    id.RoomID
	Session id.SessionID
}

// Retried is the outcome of one more attempt on an undecrypted event: it became
// readable (then it also stands in Batch.Events), or it has a new reason.
type Retried struct {
	Room     id.RoomID
	ID       id.EventID
	Readable bool
	Reason   UndecryptedReason
	Cause    string
}

// MissingEvent is a target (of a reply or thread) that the homeserver does not
// show, with the reason ("not_found", "forbidden", …).
type MissingEvent struct {
	Room   id.RoomID
	ID     id.EventID
	Reason string
}
