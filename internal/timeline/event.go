package timeline

import (
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/id"
)

// Event is one event of a room as the homeserver showed it, decrypted where it
// was encrypted.
type Event struct {
	Room   id.RoomID
	ID     id.EventID
	Sender id.UserID
	// Target is the message that this event belongs to: the event's own id for a
	// message, the id of the message it changes for an edit, a reaction or a
	// redaction. Empty where the event belongs to no message (state events).
	Target id.EventID
	// Reply is the message that this one answers (a reply that is not a thread
	// fall-back), Thread the root of its thread; empty where there is none. Both
	// are claims of the sender: they may name events that do not exist.
	Reply, Thread id.EventID
	// SenderName and RoomName are the display names at the time the event was
	// received. They are frozen: a later rename does not change old posts.
	SenderName, RoomName string
	// Type is the event type after decryption, e.g. "m.room.message".
	Type string
	// StateKey is nil for a message event.
	StateKey *string
	// Sent is origin_server_ts as claimed by the sender's homeserver, clamped to
	// what RFC 3339 can say (see [ClampTime]); UTC, milliseconds.
	Sent time.Time
	// Received is when this connector first saw the event; UTC, milliseconds.
	Received time.Time
	// Content is the content after decryption, with the cleartext m.relates_to of
	// the encrypted event in place of any inside the payload (Matrix C-S API,
	// "Forming relationships between events").
	Content json.RawMessage
	// Raw is the event exactly as the homeserver sent it.
	Raw json.RawMessage
	// Trust says how sure the sender is.
	Trust Trust
	// Redacts says whether the sender could take back what others say when the event was
	// received. It is known of redactions and of events that end a poll only.
	Redacts Right
	// Erased is set when the content was taken out of the store because the event was
	// redacted. Then Content is an empty object, or holds nothing but the relation.
	Erased bool
	// Live is true for what arrived by /sync as news, false for history and gaps.
	Live bool
}

// Undecrypted is an encrypted event whose key is missing or wrong. Its row is
// kept for ever and tried again when a key of its session arrives.
type Undecrypted struct {
	Event     Event // Type is "m.room.encrypted", Content the ciphertext
	Session   id.SessionID
	SenderKey id.SenderKey
	// Reason is one of the reasons of [UndecryptedReason].
	Reason UndecryptedReason
	// Cause names what probably went wrong, e.g. a failed Olm message of that
	// sender; empty when nothing is known.
	Cause string
}

// Unreadable is an event that could not be decoded at all. What was received is
// kept.
type Unreadable struct {
	Room     id.RoomID
	ID       id.EventID // made from a hash of Raw where the event shows none
	Raw      json.RawMessage
	Reason   string // a constant phrase, never text of the event
	Received time.Time
}

// UndecryptedReason says why an event could not be decrypted (closed set).
type UndecryptedReason string

// The reasons, after the errors of the Megolm layer.
const (
	ReasonNoSession    UndecryptedReason = "no_session"    // the room key has not been received
	ReasonWithheld     UndecryptedReason = "withheld"      // the sender refused the key; see Cause for the code
	ReasonUnknownIndex UndecryptedReason = "unknown_index" // the key starts later than the message
	ReasonBadMAC       UndecryptedReason = "bad_mac"       // the key proved to be wrong, and was set aside
	ReasonReplay       UndecryptedReason = "replay"        // an index used twice, see Cause for the event that has it: never tried again
	ReasonWrongRoom    UndecryptedReason = "wrong_room"    // payload belongs to another room: never tried again
	ReasonAlgorithm    UndecryptedReason = "algorithm"     // unsupported algorithm: never tried again
	ReasonMalformed    UndecryptedReason = "malformed"     // not an m.room.encrypted content, forged or damaged, or a corrupt payload
)

// Probable causes of a key that has not come, beside the codes of withheld notices.
const (
	CauseBeforeDevice = "before_device" // sent before the device existed
	CauseBeforeInvite = "before_invite" // sent before the bot was in the room
)

// Retryable reports whether a later key can make the event readable.
func (r UndecryptedReason) Retryable() bool {
	switch r {
	case ReasonNoSession, ReasonWithheld, ReasonUnknownIndex, ReasonBadMAC:
		return true
	case ReasonReplay, ReasonWrongRoom, ReasonAlgorithm, ReasonMalformed:
		return false
	}
	return false
}

// Right says whether the power levels of a room let somebody do something (closed set).
type Right int

// The answers.
const (
	RightUnknown Right = iota
	RightYes
	RightNo
)

// Trust says how sure it is that the sender of an event is who the event says
// (closed set, ordered: a higher value is better).
type Trust int

// The levels of trust.
const (
	// TrustMismatch: the Megolm session belongs to another user than the sender.
	TrustMismatch Trust = -2
	// TrustPlaintext: unencrypted in a room that is encrypted.
	TrustPlaintext Trust = -1
	// TrustNone: an unencrypted event in an unencrypted room; the homeserver vouches.
	TrustNone Trust = 0
	// TrustUnknown: decrypted, but the sending device is not known.
	TrustUnknown Trust = 1
	// TrustBackup: decrypted with a key from a backup, file or forward.
	TrustBackup Trust = 2
	// TrustDevice: sent by a device of the sender that its owner has not signed.
	TrustDevice Trust = 3
	// TrustSigned: sent by a device that its owner has cross-signed.
	TrustSigned Trust = 4
)

// Encrypted reports whether the event came encrypted.
func (t Trust) Encrypted() bool { return t == TrustMismatch || t > TrustNone }
