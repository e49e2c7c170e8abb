package sas

import (
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"
)

// Request asks devices of an account to verify, by to-device messages. The first that
// answers is the one that does; the others are told.
func Request(c Config, them id.UserID, devices []id.DeviceID, now time.Time) (*Verification, []Message, error) {
	if them == "" || len(devices) == 0 || slices.Contains(devices, "") {
		return nil, nil, errors.New("request a verification: nobody to ask")
	}
	if them == c.Own.User && slices.Contains(devices, c.Own.Device) {
		return nil, nil, errors.New("request a verification: of ourselves")
	}
	v, err := c.begin(StateAsking)
	if err != nil {
		return nil, nil, err
	}
	token, err := c.random(16)
	if err != nil {
		return nil, nil, err
	}
	v.their.User, v.devices, v.supported = them, slices.Clone(devices), true
	v.transaction, v.expires = hex.EncodeToString(token), now.Add(Lifetime)
	return v, []Message{v.message(typeRequest, map[string]any{
		"from_device": string(v.own.Device),
		"methods":     []string{method},
		"timestamp":   now.UnixMilli(),
	}, v.devices)}, nil
}

// RequestInRoom asks an account to verify, in a room that both are in. The event id that
// the message gets is the verification's name: see [Verification.Opened].
func RequestInRoom(c Config, them id.UserID, room id.RoomID, now time.Time) (*Verification, []Message, error) {
	if them == "" || room == "" {
		return nil, nil, errors.New("request a verification: nobody to ask")
	}
	if them == c.Own.User {
		return nil, nil, errors.New("request a verification: of our own account, in a room")
	}
	v, err := c.begin(StateAsking)
	if err != nil {
		return nil, nil, err
	}
	v.their.User, v.room, v.supported, v.expires = them, room, true, now.Add(Lifetime)
	return v, []Message{{Type: typeMessage, Room: room, Content: canonical(map[string]any{
		"msgtype": msgtype,
		"body": string(v.own.User) + " wants to verify keys with you. Your client does not show it in the chat: " +
			"compare the fingerprints of both sessions instead.",
		"from_device": string(v.own.Device),
		"methods":     []string{method},
		"to":          string(them),
	})}}, nil
}

// Opened names the event that opened a verification in a room, once it is sent. Before
// that, nothing can be received.
func (v *Verification) Opened(event id.EventID) error {
	if v.room == "" || v.transaction != "" || v.state != StateAsking || event == "" {
		return v.notNow("open")
	}
	v.transaction = string(event)
	return nil
}

// Requested takes another side's request, or the bare start with which older clients
// begin by to-device messages. A start that offers nothing we can do is cancelled at once.
func Requested(c Config, e Event, now time.Time) (*Verification, []Message, error) {
	f := parse(e.Content)
	transaction, ok := e.transaction(f)
	if !ok || !e.Concerns() {
		return nil, nil, ErrContent
	}
	if e.Sender == c.Own.User && (e.Room != "" || f.device() == c.Own.Device) {
		return nil, nil, ErrForeign // what we said ourselves
	}
	v, err := c.begin(StateAsked)
	if err != nil {
		return nil, nil, err
	}
	v.byThem, v.transaction, v.room = true, transaction, e.Room
	v.their = Party{User: e.Sender, Device: f.device()}
	v.heard(e)
	if v.their.Device == "" {
		return nil, nil, ErrContent
	}
	if e.Device != "" && e.Device != v.their.Device {
		return nil, nil, ErrForeign
	}
	sent := e.Sent
	switch {
	case e.Type == typeMessage:
		if to, _ := f.text("to"); to != string(c.Own.User) {
			return nil, nil, ErrForeign
		}
	case e.Type == typeRequest && e.Room == "":
		if sent, ok = f.time("timestamp"); !ok {
			return nil, nil, ErrContent
		}
	case e.Type == typeStart && e.Room == "":
		return v.beginBare(e, f, now)
	default:
		return nil, nil, ErrForeign
	}
	methods, ok := f.list("methods")
	if !ok {
		return nil, nil, ErrContent
	}
	if now.Sub(sent) > Lifetime || sent.Sub(now) > Ahead {
		return nil, nil, ErrOld
	}
	v.supported = slices.Contains(methods, method)
	if v.expires = sent.Add(Lifetime); sent.After(now) {
		v.expires = now.Add(Lifetime)
	}
	return v, nil, nil
}

// Accept says that a person here wants to, too.
func (v *Verification) Accept() ([]Message, error) {
	switch {
	case v.state != StateAsked:
		return nil, v.notNow("accept")
	case !v.supported:
		return nil, ErrUnsupported
	case v.bare:
		return []Message{v.accept()}, nil
	}
	v.state = StateReady
	return []Message{v.send(typeReady, map[string]any{
		"from_device": string(v.own.Device),
		"methods":     []string{method},
	})}, nil
}

func (v *Verification) onReady(_ Event, f fields) []Message {
	methods, ok := f.list("methods")
	switch {
	case v.state != StateAsking:
		return v.Cancel(CodeUnexpectedMessage)
	case !ok || f.device() == "":
		return v.Cancel(CodeInvalidMessage)
	}
	v.their.Device = f.device()
	var out []Message
	if v.room == "" {
		out = v.others(CodeAccepted, v.their.Device)
	}
	if !slices.Contains(methods, method) {
		return append(out, v.Cancel(CodeUnknownMethod)...)
	}
	v.state = StateReady
	return out
}

// device is the device that sent a request, ready or start, as it says itself.
func (f fields) device() id.DeviceID {
	device, _ := f.text("from_device")
	return id.DeviceID(device)
}

// asked tells whether we asked that device.
func (v *Verification) asked(device id.DeviceID) bool { return slices.Contains(v.devices, device) }
