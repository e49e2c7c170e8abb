package timeline

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// Post is what one message says now, composed of all its events.
type Post struct {
	Room                 id.RoomID
	ID                   id.EventID // the original message's event id
	Sender               id.UserID
	SenderName, RoomName string // frozen when the original was received
	Sent                 time.Time
	Kind                 Kind
	// Text is the plain text as a person would read it: body without reply
	// fall-back, or the HTML in plain text where that says more; caption of a file,
	// "* name waves" of an emote. May be empty for a file without caption.
	Text string
	// HTML is formatted_body when format is org.matrix.custom.html; empty
	// otherwise. Never rendered as is.
	HTML string
	// Body is the plain text beside an HTML that is Text and does not say all of it;
	// empty otherwise.
	Body string
	// Reply and Thread are the messages this one answers and belongs to.
	Reply, Thread id.EventID
	Files         []File
	Trust         Trust
	// MsgType is the msgtype (or event type for stickers) as received.
	MsgType string
	// Geo is the geo URI of a location, validated and clipped.
	Geo string
	// MoreFiles counts files that are left out since there are more than [MaxFiles].
	MoreFiles int
	// Claims are what the message says beside its text; nil where it says nothing.
	Claims *Claims
	// Poll is set for a poll, with the votes that count.
	Poll *Poll
	// Reactions are what people have put under the message, most frequent first.
	Reactions []Reaction
	// Redaction is set when the message was taken back, Masked when nothing is left of
	// what it said.
	Redaction *Redaction
	Masked    bool
	// Edited is when the newest valid edit was sent, as its sender's homeserver claims;
	// zero for a message that was not edited. What is said above is what that edit says.
	Edited time.Time
	// Earlier is what the message said before, oldest first, at most [MaxVersions];
	// EarlierMore counts those that are left out between the first and the second.
	Earlier     []Version
	EarlierMore int
}

// Kind is the kind of a message (closed set).
type Kind string

// The kinds.
const (
	KindText     Kind = "text"
	KindNotice   Kind = "notice"
	KindEmote    Kind = "emote"
	KindImage    Kind = "image"
	KindFile     Kind = "file"
	KindAudio    Kind = "audio"
	KindVideo    Kind = "video"
	KindSticker  Kind = "sticker"
	KindLocation Kind = "location"
	KindPoll     Kind = "poll"
	KindGallery  Kind = "gallery" // several files
	KindOther    Kind = "other"   // unknown msgtype with a body
)

// File is an attachment as the message announces it. Every field but Key is a
// claim of the sender, cleaned (no path separators, control or bidi characters)
// and bounded.
type File struct {
	// Index is the position in the message, from 0; from [FirstEditIndex] on for a file
	// that an edit brought. It is unique in the post, and never changes.
	Index int
	// Former is set for a file that an edit took out of the message.
	Former bool
	Name   string
	// URI is the mxc:// address, valid per Matrix C-S API "Content repository".
	URI id.ContentURI
	// Key is the JSON of the EncryptedFile for an encrypted attachment, nil else.
	Key []byte
	// MimeType and Size are claims: sniffed and counted when fetched.
	MimeType string
	Size     int64
	// Duration is a claim of audio and video, Voice that it was spoken into the
	// client (MSC3245).
	Duration time.Duration
	Voice    bool
	// Problem is set when the announcement is unusable (e.g. "invalid mxc uri"):
	// such an attachment is refused with this reason.
	Problem string
	// Kind is set for a file of a gallery: what kind of message it would be alone.
	Kind Kind
}

// Attachment is a [File] with its place in the ledger and what became known by
// fetching it.
type Attachment struct {
	Room  id.RoomID
	Event id.EventID
	File  File
	Sent  time.Time // of the message
	// Set once fetched.
	Spool     string // name in the spool; ciphertext
	SpoolKey  []byte // JSON of the EncryptedFile that opens the spooled bytes
	SHA256    string // of the plaintext, lower-case hex
	Bytes     int64  // of the plaintext
	MediaType string // sniffed
	// Refused says why there will be no file: refused by policy, or lost. Empty
	// while it is wanted or once it is fetched.
	Refused string
}

// Draft is a post on its way: with its revision and with everything that mapping
// needs and that is not in the post itself.
type Draft struct {
	Post     Post
	Revision int64
	// Landed is the revision that the platform holds, 0 when it has none.
	Landed int64
	Live   bool
	Room   RoomState
	Author Author
	// ReplyKnown and ThreadKnown say that the target is a post that has landed or
	// is in the same batch, so that a relation to it cannot dangle.
	ReplyKnown, ThreadKnown bool
	// Delete says that the object of the message is to be deleted.
	Delete      bool
	Attachments []Attachment // fetched or refused, for description and export
}

// RoomState is a room with what the ledger decided about it.
type RoomState struct {
	Room Room
	// Key is what the Channel's id is made of: the room id, or the room id with a
	// short hash when that id is taken by another room (a fused Channel or a case
	// twin).
	Key      string
	Revision int64
	Landed   int64
	// SentName is the name as it was last written to the platform; empty before.
	SentName string
	// SentText is the digest of the description as it was last written; empty before, and
	// where the description is somebody else's. Text is that of the one to be written; the
	// ledger knows it only while that is on its way.
	SentText, Text string
	// Old is the room that this one replaces, New the one that replaces it, where both
	// rooms say so; nil otherwise.
	Old, New *LinkedRoom
	// Spaces are those that hold this room, where both say so, by their ids.
	Spaces []LinkedRoom
}

// LinkedRoom is a room as another one that belongs to it sees it.
type LinkedRoom struct {
	ID   id.RoomID
	Key  string
	Name string
	// Landed says that its Channel is there, so that a relation to it cannot dangle.
	Landed bool
}

// Author is a sender with what the ledger decided about it.
type Author struct {
	User id.UserID
	// Name is the display name when the author was first seen, Since the time of the
	// event by which that was (zero: unknown).
	Name  string
	Since time.Time
	// Key is what the Individual's id is made of: the MXID, or the MXID with a
	// short hash for the second of two that differ only in case.
	Key      string
	Revision int64
	Landed   int64
}
