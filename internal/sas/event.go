package sas

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"
)

// The types of events; msgtype is that of the m.room.message that opens a verification
// in a room, and the type of the to-device message that does elsewhere.
const (
	typeMessage = "m.room.message"
	typePrefix  = "m.key.verification."
	typeRequest = typePrefix + "request"
	typeReady   = typePrefix + "ready"
	typeStart   = typePrefix + "start"
	typeAccept  = typePrefix + "accept"
	typeKey     = typePrefix + "key"
	typeMAC     = typePrefix + "mac"
	typeDone    = typePrefix + "done"
	typeCancel  = typePrefix + "cancel"

	msgtype = typeRequest
)

// Event is what was received: a to-device message, or an event in a room.
type Event struct {
	Type    string // of the decrypted event
	Sender  id.UserID
	Device  id.DeviceID     // the sender's device, where encryption proves it; otherwise empty
	Room    id.RoomID       // empty for a to-device message
	ID      id.EventID      // of an event in a room
	Sent    time.Time       // origin_server_ts of an event in a room
	Content json.RawMessage // decrypted, with the m.relates_to that stood outside of the ciphertext
}

// Message is what is to be sent: to all Devices of User, or to the Room.
type Message struct {
	Type    string
	Content json.RawMessage
	User    id.UserID
	Devices []id.DeviceID
	Room    id.RoomID
}

// Why an event was ignored.
var (
	ErrForeign  = errors.New("of another verification, account or device")
	ErrRepeated = errors.New("received before")
	ErrEnded    = errors.New("the verification has ended")
	ErrOld      = errors.New("requested too long ago, or in the future")
	ErrContent  = errors.New("content is not as specified")
)

// Concerns tells whether an event is one of a verification at all. Everything else need
// not be handed over.
func (e Event) Concerns() bool {
	if e.Type == typeMessage {
		kind, _ := parse(e.Content).text("msgtype")
		return e.Room != "" && kind == msgtype
	}
	return strings.HasPrefix(e.Type, typePrefix)
}

// transaction is which verification an event belongs to, that of the sender's or in the
// event's room.
func (e Event) transaction(f fields) (string, bool) {
	switch {
	case e.Room == "":
		return f.text("transaction_id")
	case e.Type == typeMessage:
		return string(e.ID), e.ID != ""
	default:
		return f.reference()
	}
}

// message makes one to the given devices, or to the room where the verification is in one.
func (v *Verification) message(kind string, content map[string]any, to []id.DeviceID) Message {
	if v.room != "" {
		content["m.relates_to"] = map[string]any{"rel_type": "m.reference", "event_id": v.transaction}
		return Message{Type: kind, Content: canonical(content), Room: v.room}
	}
	content["transaction_id"] = v.transaction
	return Message{Type: kind, Content: canonical(content), User: v.their.User, Devices: to}
}

// send makes a message to the device that verifies with us.
func (v *Verification) send(kind string, content map[string]any) Message {
	return v.message(kind, content, []id.DeviceID{v.their.Device})
}
