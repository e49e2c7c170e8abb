package people

import (
	"context"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// RoomOption shapes a room at its creation.
type RoomOption func(*mautrix.ReqCreateRoom)

// Encrypted makes a room encrypted from its first message on.
func Encrypted() RoomOption {
	return func(r *mautrix.ReqCreateRoom) {
		state := ""
		r.InitialState = append(r.InitialState, &event.Event{
			Type: event.StateEncryption, StateKey: &state,
			Content: event.Content{Parsed: &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}},
		})
	}
}

// Topic sets a room's topic.
func Topic(topic string) RoomOption {
	return func(r *mautrix.ReqCreateRoom) { r.Topic = topic }
}

// Alias gives a room the alias "#name:server".
func Alias(name string) RoomOption {
	return func(r *mautrix.ReqCreateRoom) { r.RoomAliasName = name }
}

// Creates makes a private room.
func (p *Person) Creates(name string, options ...RoomOption) id.RoomID {
	p.town.stage.Helper()
	req := &mautrix.ReqCreateRoom{Name: name, Preset: "private_chat"}
	for _, o := range options {
		o(req)
	}
	resp, err := p.client.CreateRoom(p.ctx(), req)
	if err != nil {
		p.fail("create a room: %v", err)
		return ""
	}
	return resp.RoomID
}

// Invites asks somebody into a room.
func (p *Person) Invites(room id.RoomID, who id.UserID) {
	p.town.stage.Helper()
	if _, err := p.client.InviteUser(p.ctx(), room, &mautrix.ReqInviteUser{UserID: who}); err != nil {
		p.fail("invite %s: %v", who, err)
	}
}

// Joins enters a room that the person was invited to.
func (p *Person) Joins(room id.RoomID) {
	p.town.stage.Helper()
	if _, err := p.client.JoinRoomByID(p.ctx(), room); err != nil {
		p.fail("join %s: %v", room, err)
	}
}

// Leaves goes out of a room.
func (p *Person) Leaves(room id.RoomID) {
	p.town.stage.Helper()
	if _, err := p.client.LeaveRoom(p.ctx(), room); err != nil {
		p.fail("leave %s: %v", room, err)
	}
}

// Renames gives a room another name.
func (p *Person) Renames(room id.RoomID, name string) {
	p.town.stage.Helper()
	if _, err := p.client.SendStateEvent(p.ctx(), room, event.StateRoomName, "", &event.RoomNameEventContent{Name: name}); err != nil {
		p.fail("rename %s: %v", room, err)
	}
}

// Membership is what the homeserver says of somebody in a room; empty for one
// who was never there.
func (p *Person) Membership(room id.RoomID, who id.UserID) event.Membership {
	p.town.stage.Helper()
	resp, err := p.client.Members(p.ctx(), room)
	if err != nil {
		p.fail("ask for the members of %s: %v", room, err)
		return ""
	}
	for _, e := range resp.Chunk {
		if e.GetStateKey() == who.String() {
			return e.Content.AsMember().Membership
		}
	}
	return ""
}

// Sees waits until somebody has joined a room.
func (p *Person) Sees(room id.RoomID, who id.UserID) {
	p.town.stage.Helper()
	ctx, cancel := context.WithTimeout(p.ctx(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for p.Membership(room, who) != event.MembershipJoin {
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.fail("%s did not join %s", who, room)
			return
		}
	}
}

// Devices are the ids of somebody's devices that have keys on the homeserver.
func (p *Person) Devices(who id.UserID) []id.DeviceID {
	p.town.stage.Helper()
	resp, err := p.client.QueryKeys(p.ctx(), &mautrix.ReqQueryKeys{
		DeviceKeys: mautrix.DeviceKeysRequest{who: mautrix.DeviceIDList{}},
	})
	if err != nil {
		p.fail("ask for the devices of %s: %v", who, err)
		return nil
	}
	var devices []id.DeviceID
	for d := range resp.DeviceKeys[who] {
		devices = append(devices, d)
	}
	return devices
}

// learn stores the room's state, its encryption among it, as the server tells it.
func (p *Person) learn(room id.RoomID) error {
	_, err := p.client.State(p.ctx(), room)
	return err
}
