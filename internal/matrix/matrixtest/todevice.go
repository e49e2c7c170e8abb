package matrixtest

import (
	"encoding/json"

	"maunium.net/go/mautrix/id"
)

type toDeviceMessage struct {
	at  int64 // place in the device's inbox
	raw json.RawMessage
}

type heldMessage struct {
	device id.DeviceID
	typ    string
	raw    json.RawMessage
}

func (s *Server) sendToDevice(c *call) {
	var req struct {
		Messages map[id.UserID]map[id.DeviceID]json.RawMessage `json:"messages"`
	}
	if !s.decode(c, &req) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	typ := c.r.PathValue("type")
	for uid, byDevice := range req.Messages {
		for did, content := range byDevice {
			s.deliver(c.user.id, uid, did, typ, content)
		}
	}
	c.empty()
}

// deliver puts a message into the inbox of a device, or of all devices for "*".
func (s *Server) deliver(from, to id.UserID, did id.DeviceID, typ string, content json.RawMessage) {
	u := s.users[to]
	if u == nil {
		return
	}
	raw := mustJSON(map[string]any{"type": typ, "sender": from, "content": content})
	for name, d := range u.devices {
		if did != "*" && did != name {
			continue
		}
		if u.hold[typ] || u.hold["*"] {
			u.held = append(u.held, heldMessage{device: name, typ: typ, raw: raw})
			continue
		}
		d.put(raw)
	}
	s.step()
}

func (d *device) put(raw json.RawMessage) {
	d.user.inboxNext++
	d.inbox = append(d.inbox, toDeviceMessage{at: d.user.inboxNext, raw: raw})
}

// SendToDevice delivers a to-device message from anybody, device "*" meaning all
// devices of the account: garbage, forgeries, repetitions.
func (s *Server) SendToDevice(from, to id.UserID, did id.DeviceID, typ string, content any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliver(from, to, did, typ, mustJSON(content))
}

// PutToDevice puts raw JSON into the inbox of a device, whatever it is.
func (s *Server) PutToDevice(to id.UserID, did id.DeviceID, raw json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.account(to).devices[did]; d != nil {
		d.put(raw)
		s.step()
	}
}

// HoldToDevice keeps back to-device messages of a type ("*": of every type) that
// are sent to an account from now on: its keys come late. The returned function
// delivers what was held, and ends the holding.
func (s *Server) HoldToDevice(to id.UserID, typ string) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account(to).hold[typ] = true
	return func() { s.endHold(to, typ, true) }
}

// LoseToDevice is HoldToDevice for ever: the returned function ends the losing,
// and what was sent meanwhile is gone.
func (s *Server) LoseToDevice(to id.UserID, typ string) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account(to).hold[typ] = true
	return func() { s.endHold(to, typ, false) }
}

func (s *Server) endHold(to id.UserID, typ string, deliver bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.account(to)
	delete(u.hold, typ)
	var rest []heldMessage
	for _, h := range u.held {
		switch d := u.devices[h.device]; {
		case typ != "*" && h.typ != typ:
			rest = append(rest, h)
		case deliver && d != nil:
			d.put(h.raw)
		}
	}
	u.held = rest
	s.step()
}

// Pending is how many to-device messages wait in the inbox of a device: delivered
// ones count until the device has acknowledged them by a newer /sync.
func (s *Server) Pending(uid id.UserID, did id.DeviceID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.account(uid).devices[did]; d != nil {
		return len(d.inbox)
	}
	return 0
}
