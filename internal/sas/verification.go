package sas

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"maunium.net/go/mautrix/id"
)

// How old a verification may get, and how far in the future a clock may be that asks for
// one (C-S API, m.key.verification.request). A request that nobody here accepts lives as
// long: the two minutes that are proposed for a prompt are for one on a screen.
const (
	Lifetime = 10 * time.Minute
	Ahead    = 5 * time.Minute
)

// method is the one verification method that we have.
const method = "m.sas.v1"

// Config is who we are.
type Config struct {
	// Own is our account and device. Its device key is required. Its master key is given
	// only if this device believes it, for the other side will.
	Own Party
	// Rand is where secrets come from; nil means crypto/rand.
	Rand io.Reader
}

// Verification is one verification with one device of another person, or with another
// device of our own account. It is for one goroutine at a time.
type Verification struct {
	own, their  Party
	room        id.RoomID     // empty: by to-device messages
	transaction string        // the event id of the request, in a room
	devices     []id.DeviceID // those that we asked, by to-device messages
	byThem      bool          // they asked
	bare        bool          // they began with start: no ready, and no done to wait for
	supported   bool          // their request offers our method

	state        State
	expires      time.Time
	cancellation Cancellation
	seen         map[string][sha256.Size]byte // by type, what was received last

	weStarted bool
	start     []byte   // the content of the start that counts, as canonical JSON
	macs      []string // that we offer and take, the best first
	mac       string   // the one that was agreed on
	strings   []string // the kinds of strings that were agreed on
	promise   []byte   // their commitment

	ephemeral *ecdh.PrivateKey
	secret    []byte // shared
	sas       [6]byte

	supplied bool        // their keys are known
	pending  *macContent // their mac, until their keys are known
	verified Keys        // those of their keys that they vouched for
	vouched  bool        // their mac was checked
	theyDone bool
}

// begin makes a verification that has not said anything.
func (c Config) begin(state State) (*Verification, error) {
	keys, err := c.Own.Keys.clean()
	switch {
	case c.Own.User == "" || c.Own.Device == "":
		return nil, errors.New("verify keys: our own user or device id is missing")
	case err != nil:
		return nil, fmt.Errorf("verify keys: our own: %w", err)
	case keys.Device == "":
		return nil, fmt.Errorf("verify keys: our own device key: %w", ErrKey)
	case string(keys.Master) == string(c.Own.Device):
		return nil, errors.New("verify keys: our device has the name of our master key")
	}
	v := &Verification{state: state, own: c.Own, macs: []string{macV2, macV1}, seen: map[string][sha256.Size]byte{}}
	v.own.Keys = keys
	seed, err := c.random(keySize)
	if err != nil {
		return nil, err
	}
	// GenerateKey takes no source of randomness from us any more.
	if v.ephemeral, err = ecdh.X25519().NewPrivateKey(seed); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return v, nil
}

func (c Config) random(n int) ([]byte, error) {
	from := c.Rand
	if from == nil {
		from = rand.Reader
	}
	out := make([]byte, n)
	if _, err := io.ReadFull(from, out); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	return out, nil
}

// State is how far it is.
func (v *Verification) State() State { return v.state }

// Them is the other side, as far as it is known; its keys as they were supplied, not as
// they were verified.
func (v *Verification) Them() Party { return v.their }

// Room is where it takes place; empty for to-device messages.
func (v *Verification) Room() id.RoomID { return v.room }

// Transaction identifies it, together with the room or the other account.
func (v *Verification) Transaction() string { return v.transaction }

// ByThem tells whether the other side asked for it.
func (v *Verification) ByThem() bool { return v.byThem }

// Supported tells whether they offer what we can do. If not, a person may refuse, but
// cannot accept; another of our devices may.
func (v *Verification) Supported() bool { return v.supported }

// Expires is when [Verification.Expire] will end it.
func (v *Verification) Expires() time.Time { return v.expires }

// Format prints the state and the other side, whatever the verb: the rest is secret or of
// no use. It is a copy's, too.
func (v Verification) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "verification of %s %s (%s)", v.their.User, v.their.Device, v.state)
}

// Receive takes an event. What it returns is to be sent: the answer, or why we cancel.
// The error says why the event was ignored, and then there is nothing to send.
func (v *Verification) Receive(e Event) ([]Message, error) {
	f := parse(e.Content)
	if !v.owns(e, f) {
		return nil, ErrForeign
	}
	if v.state.Ended() {
		return nil, ErrEnded
	}
	if v.room != "" && e.Sender == v.own.User {
		return v.onOwn(e, f)
	}
	if e.Sender != v.their.User || !v.from(e, f) {
		return nil, ErrForeign
	}
	take, known := takes[e.Type]
	switch {
	case !known:
		return nil, fmt.Errorf("a type that is not known: %w", ErrForeign)
	case v.heard(e):
		return nil, ErrRepeated
	}
	return take(v, e, f), nil
}

// takes is who takes what the other side says.
var takes = map[string]func(*Verification, Event, fields) []Message{
	typeReady:   (*Verification).onReady,
	typeStart:   (*Verification).onStart,
	typeAccept:  (*Verification).onAccept,
	typeKey:     (*Verification).onKey,
	typeMAC:     (*Verification).onMAC,
	typeDone:    (*Verification).onDone,
	typeCancel:  (*Verification).onCancel,
	typeRequest: (*Verification).onAnother,
	typeMessage: (*Verification).onAnother,
}

// onAnother takes a second request of the same name.
func (v *Verification) onAnother(Event, fields) []Message { return v.Cancel(CodeUnexpectedMessage) }

// heard tells whether the same was received before, and remembers it. The same event may
// be read twice; said in the same words, it says nothing new.
func (v *Verification) heard(e Event) bool {
	sum := sha256.Sum256(e.Content)
	before, is := v.seen[e.Type]
	v.seen[e.Type] = sum
	return is && before == sum
}

// owns tells whether an event belongs to this verification, whoever sent it.
func (v *Verification) owns(e Event, f fields) bool {
	transaction, ok := e.transaction(f)
	return ok && v.transaction != "" && transaction == v.transaction && e.Room == v.room
}

// from tells whether an event is from the device that verifies with us, or may be.
func (v *Verification) from(e Event, f fields) bool {
	said := f.device()
	if e.Device != "" && said != "" && e.Device != said {
		return false
	}
	for _, device := range []id.DeviceID{e.Device, said} {
		switch {
		case device == "": // not said
		case v.their.Device != "":
			if device != v.their.Device {
				return false
			}
		case v.room == "" && !v.asked(device):
			return false
		}
	}
	return true
}

// onOwn takes what our own account said in the room: what we sent ourselves, which means
// nothing, and what another of our devices did.
func (v *Verification) onOwn(e Event, f fields) ([]Message, error) {
	switch {
	case e.Type == typeReady && v.state == StateAsked && f.device() != v.own.Device:
		v.end(Cancellation{Code: CodeAccepted})
		return nil, nil
	case e.Type == typeCancel:
		// An echo of ours would come when we have ended.
		code, _ := f.text("code")
		v.end(Cancellation{Code: cleanCode(code)})
		return nil, nil
	}
	return nil, ErrForeign
}
