package sas

import (
	"errors"
	"time"

	"maunium.net/go/mautrix/id"
)

// most is how many verifications a Book has under way, and how many ended ones it
// remembers: whoever may verify could claim as many devices as it likes.
const most = 16

// ErrFull is the error of a request while too many verifications are under way.
var ErrFull = errors.New("too many verifications at once")

// ErrUnknown is the error of an event of a verification that is not in the [Book].
var ErrUnknown = errors.New("of a verification that is not known")

// Book holds the verifications of a device, and gives each event to the one it belongs
// to. It is for one goroutine at a time.
type Book struct {
	config Config
	list   []*Verification // the oldest first
}

// NewBook makes an empty book.
func NewBook(c Config) (*Book, error) {
	if _, err := c.begin(StateAsked); err != nil {
		return nil, err
	}
	return &Book{config: c}, nil
}

// Request is the package's [Request], kept in the book.
func (b *Book) Request(them id.UserID, devices []id.DeviceID, now time.Time) (*Verification, []Message, error) {
	v, out, err := Request(b.config, them, devices, now)
	return b.add(v, out, err)
}

// RequestInRoom is the package's [RequestInRoom], kept in the book.
func (b *Book) RequestInRoom(them id.UserID, room id.RoomID, now time.Time) (*Verification, []Message, error) {
	v, out, err := RequestInRoom(b.config, them, room, now)
	return b.add(v, out, err)
}

func (b *Book) add(v *Verification, out []Message, err error) (*Verification, []Message, error) {
	if err != nil {
		return nil, nil, err
	}
	if !v.state.Ended() && len(b.UnderWay()) >= most {
		return nil, nil, ErrFull
	}
	b.list = append(b.list, v)
	ended := len(b.list) - len(b.UnderWay())
	kept := b.list[:0]
	for _, one := range b.list {
		if one.state.Ended() && ended > most {
			ended--
			continue
		}
		kept = append(kept, one)
	}
	clear(b.list[len(kept):])
	b.list = kept
	return v, out, nil
}

// UnderWay is the verifications that have not ended, the oldest first.
func (b *Book) UnderWay() []*Verification {
	var list []*Verification
	for _, v := range b.list {
		if !v.state.Ended() {
			list = append(list, v)
		}
	}
	return list
}

// Receive gives an event to its verification, or makes one of a request. What it returns
// is to be sent. The verification is nil for an event of one that is not known; the error
// says why an event was ignored, and then there is nothing to send.
func (b *Book) Receive(e Event, now time.Time) (*Verification, []Message, error) {
	f := parse(e.Content)
	for _, v := range b.list {
		if v.owns(e, f) && (e.Room != "" || e.Sender == v.their.User) {
			ended := v.state.Ended()
			if out := v.Expire(now); v.state.Ended() && !ended {
				return v, out, nil
			}
			out, err := v.Receive(e)
			return v, out, err
		}
	}
	switch {
	case e.Type == typeMessage, e.Room == "" && (e.Type == typeRequest || e.Type == typeStart):
		v, out, err := Requested(b.config, e, now)
		if v, out, err = b.add(v, out, err); err != nil {
			return nil, nil, err
		}
		return v, append(out, b.insisted(v)...), nil
	case e.Room == "":
		if out := b.stray(e, f); len(out) > 0 {
			return nil, out, nil
		}
	}
	// In a room two others may verify, or another device of ours.
	return nil, nil, ErrUnknown
}

// insisted cancels everything that a device has asked for, if it asks for more than one.
func (b *Book) insisted(v *Verification) []Message {
	var all []*Verification
	for _, one := range b.UnderWay() {
		if one.byThem && one.supported && one.their.User == v.their.User && one.their.Device == v.their.Device {
			all = append(all, one)
		}
	}
	if len(all) < 2 {
		return nil
	}
	out := make([]Message, 0, len(all))
	for _, one := range all {
		out = append(out, one.Cancel(CodeUnexpectedMessage)...)
	}
	return out
}

// stray answers a to-device message of a verification that is not known, as those are
// that were under way before a restart. Only where the device is known; cancel is never
// answered, or two sides could do so for ever.
func (b *Book) stray(e Event, f fields) []Message {
	device := e.Device
	if device == "" {
		device = f.device()
	}
	transaction, ok := e.transaction(f)
	echo := e.Sender == b.config.Own.User && device == b.config.Own.Device
	if !ok || device == "" || echo || e.Type == typeCancel || !e.Concerns() {
		return nil
	}
	v := Verification{transaction: transaction, their: Party{User: e.Sender}}
	return []Message{v.cancelling(CodeUnknownTransaction, []id.DeviceID{device})}
}

// Expire ends the verifications whose time is over, and forgets those that ended before.
func (b *Book) Expire(now time.Time) []Message {
	out := make([]Message, 0, len(b.list))
	kept := b.list[:0]
	for _, v := range b.list {
		ended := v.state.Ended()
		out = append(out, v.Expire(now)...)
		if !ended || now.Before(v.expires) {
			kept = append(kept, v)
		}
	}
	clear(b.list[len(kept):])
	b.list = kept
	return out
}
