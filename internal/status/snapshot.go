package status

import "time"

// Snapshot is what a connector is doing at one moment. It is made for reading
// alone: nothing of it is a setting.
type Snapshot struct {
	At time.Time `json:"at"`
	// Stopped is set when no connector is running, and all of this was read from its
	// store. What only a running one knows is empty then: Started, readiness, failures.
	Stopped   bool      `json:"stopped,omitempty"`
	Connector Connector `json:"connector"`
	Health    Health    `json:"health"`
	Readiness Readiness `json:"readiness"`
	Counts    Counts    `json:"counts"`
	Lag       Lag       `json:"lag"`
	Device    Device    `json:"device"`
	Disk      Disk      `json:"disk"`
	// Undecryptable are the events that cannot be read, by reason and probable cause.
	Undecryptable []Undecryptable `json:"undecryptable"`
	// Rooms are those with most to tell first; MoreRooms is how many are not shown.
	Rooms     []Room `json:"rooms"`
	MoreRooms int    `json:"more_rooms"`
	// Troubles are all things that are not in OpenCTI and will not come by
	// themselves, grouped by their reason.
	Troubles []Trouble `json:"troubles"`
	// Failures are operations that fail, or did so since the start, newest first.
	Failures    []Failure `json:"failures"`
	Invites     []Invite  `json:"invites"`
	MoreInvites int       `json:"more_invites"`
}

// Connector is who works here, and between what.
type Connector struct {
	Name       string    `json:"name"`
	ID         string    `json:"id,omitempty"` // of the platform's page; empty for an export
	Version    string    `json:"version"`
	Started    time.Time `json:"started,omitzero"`
	UserID     string    `json:"user_id"`
	DeviceID   string    `json:"device_id,omitempty"` // empty until the bot is logged in
	Homeserver string    `json:"homeserver"`
	Sink       Sink      `json:"sink"`
	// Warnings are settings and circumstances that work and should not stay, each a
	// sentence.
	Warnings []string `json:"warnings,omitempty"`
}

// Sink is where posts are delivered to.
type Sink struct {
	Kind    string `json:"kind"`              // "platform" or "directory"
	Address string `json:"address"`           // URL or path
	Version string `json:"version,omitempty"` // of the platform; empty until it has answered
}

// Level is how well something is (closed set, ordered from good to bad).
type Level string

// The levels.
const (
	Good Level = "good" // nothing to do
	Warn Level = "warn" // works, or goes on by itself; worth a look
	Bad  Level = "bad"  // a person has to act, or nothing moves
)

// Health is the one sentence that an operator reads first.
type Health struct {
	Level    Level  `json:"level"`
	Sentence string `json:"sentence"`
}

// Readiness says whether messages can come and go, and if not, all reasons why.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []Reason `json:"reasons,omitempty"`
}

// Reason is why a connector is not ready.
type Reason struct {
	// What is a constant phrase, e.g. "homeserver is unreachable".
	What string `json:"what"`
	// Since is when it began; zero where nothing began.
	Since time.Time `json:"since,omitzero"`
	// Detail is the error behind it, without secrets; may be empty.
	Detail string `json:"detail,omitempty"`
	// Cure is what a person can do; empty where it passes by itself.
	Cure string `json:"cure,omitempty"`
}

// Counts are the rows of the ledger by state.
type Counts struct {
	Events      map[string]int `json:"events"`
	Undecrypted map[string]int `json:"undecrypted"` // by reason
	Skipped     map[string]int `json:"skipped"`     // by reason
	Posts       map[string]int `json:"posts"`
	Rooms       map[string]int `json:"rooms"`
	Authors     map[string]int `json:"authors"`
	Attachments map[string]int `json:"attachments"`
	Gaps        int            `json:"gaps"`    // open ones
	Targets     int            `json:"targets"` // of replies and threads, to be fetched
}

// Lag is how far behind the connector is. Durations are in seconds; nil where
// nothing waits or nothing is known.
type Lag struct {
	LastSync   time.Time `json:"last_sync,omitzero"`
	Sync       *float64  `json:"sync_seconds"`       // since the last answer of /sync
	Decryption *float64  `json:"decryption_seconds"` // age of the oldest live event that waits for its key
	Delivery   *float64  `json:"delivery_seconds"`   // age of the oldest post that waits to be delivered
}

// Device is how the bot's device stands with those who have to give it their room keys.
type Device struct {
	// Looked is when that was last looked at; zero: not yet.
	Looked time.Time `json:"looked_at,omitzero"`
	Signed bool      `json:"signed"` // by the account's cross-signing identity
	// Problem is why it is not signed, Cure what helps; empty where it is.
	Problem string `json:"problem,omitempty"`
	Cure    string `json:"cure,omitempty"`
	// Backup is the version of the key backup that is in use; empty: none is.
	Backup        string `json:"backup,omitempty"`
	BackupProblem string `json:"backup_problem,omitempty"`
	BackupCure    string `json:"backup_cure,omitempty"`
	// Withheld are those who refused room keys in the last 7 days, the latest first.
	Withheld     []Withheld `json:"withheld"`
	MoreWithheld int        `json:"more_withheld,omitempty"`
}

// Disk is what the store takes on disk, in bytes.
type Disk struct {
	Database int64 `json:"database_bytes"`
	Spool    int64 `json:"spool_bytes"`     // attachments on their way
	SpoolMax int64 `json:"spool_max_bytes"` // MATRIX_SPOOL_MAX_SIZE
	Free     int64 `json:"free_bytes"`      // where the store lies
	Reserve  int64 `json:"reserve_bytes"`   // below which no attachments are fetched
	// Waits is why attachments are not fetched for now: "spool_full", "disk_low"; empty:
	// they are.
	Waits string `json:"waits,omitempty"`
}

// Withheld is somebody who refuses room keys.
type Withheld struct {
	User  string    `json:"user_id"`
	Code  string    `json:"code"` // of the specification, or "other"
	Room  string    `json:"room_id,omitempty"`
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
	Cure  string    `json:"cure"`
}

// Undecryptable is a group of events that cannot be read.
type Undecryptable struct {
	Reason string      `json:"reason"`          // as in the ledger
	Cause  string      `json:"cause,omitempty"` // the probable cause: a constant, or a code of the specification
	Count  int         `json:"count"`
	Oldest time.Time   `json:"oldest"` // received
	Newest time.Time   `json:"newest"`
	Says   string      `json:"says"`
	Cure   string      `json:"cure"`
	Rooms  []RoomCount `json:"rooms"` // those with most of them first
	More   int         `json:"more_rooms,omitempty"`
}

// RoomCount is how much of something a room has.
type RoomCount struct {
	ID    string `json:"id"`
	Name  string `json:"name"` // chosen by strangers: show it with [Plain]
	Count int    `json:"count"`
}

// Room is a room of the bot.
type Room struct {
	ID         string `json:"id"`
	Name       string `json:"name"` // chosen by strangers: show it with [Plain]
	Encrypted  bool   `json:"encrypted"`
	Membership string `json:"membership"`
	State      string `json:"state"`          // of the room's Channel
	Skip       string `json:"skip,omitempty"` // why the room is not imported
	// Posts counts the room's messages by state.
	Posts map[string]int `json:"posts"`
	// LastImported is when the newest imported message was received; zero where none
	// is known.
	LastImported time.Time `json:"last_imported,omitzero"`
	// OldestDue is when the oldest live message that is not delivered yet was received.
	OldestDue   time.Time `json:"oldest_due,omitzero"`
	Undecrypted int       `json:"undecrypted"` // events without a key
	Gaps        int       `json:"gaps"`        // stretches still to be read
}

// Trouble is a group of things that are not in OpenCTI for one reason.
type Trouble struct {
	What   string `json:"what"`   // "event", "post", "room", "author", "attachment", "gap", "target"
	State  string `json:"state"`  // "undecrypted", "unreadable", "dead", "refused", "lost", "missing"
	Reason string `json:"reason"` // as in the ledger
	Count  int    `json:"count"`
	Says   string `json:"says"` // the reason in words
	Cure   string `json:"cure"`
	// Examples name some of them, newest first, by room and event or by user.
	Examples []Example `json:"examples"`
}

// Example names one thing of a [Trouble].
type Example struct {
	Room  string    `json:"room_id,omitempty"`
	Event string    `json:"event_id,omitempty"`
	User  string    `json:"user_id,omitempty"`
	Sent  time.Time `json:"sent,omitzero"` // as its sender claims
}

// Failure is what became of an operation that did not always work.
type Failure struct {
	Operation string    `json:"operation"`
	Class     string    `json:"class"`
	Error     string    `json:"error"` // without secrets
	Cure      string    `json:"cure,omitempty"`
	Count     int       `json:"count"` // since the start
	At        time.Time `json:"at"`    // the last one
	// Since is the first one of those that go on; zero once it works again.
	Since time.Time `json:"since,omitzero"`
}

// Invite is an invite that nobody has accepted.
type Invite struct {
	Room     string    `json:"room_id"`
	Senders  []string  `json:"senders"`
	Received time.Time `json:"received"`
	// Setting is the line that would accept it; empty where none can be given.
	Setting string `json:"setting,omitempty"`
	// Why it is pending, a constant phrase.
	Why string `json:"why"`
}
