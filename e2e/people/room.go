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
func (a *account) Creates(name string, options ...RoomOption) id.RoomID {
	a.town.stage.Helper()
	req := &mautrix.ReqCreateRoom{Name: name, Preset: "private_chat"}
	for _, o := range options {
		o(req)
	}
	resp, err := a.client.CreateRoom(a.ctx(), req)
	if err != nil {
		a.fail("create a room: %v", err)
		return ""
	}
	return resp.RoomID
}

// Invites asks somebody into a room.
func (a *account) Invites(room id.RoomID, who id.UserID) {
	a.town.stage.Helper()
	if _, err := a.client.InviteUser(a.ctx(), room, &mautrix.ReqInviteUser{UserID: who}); err != nil {
		a.fail("invite %s: %v", who, err)
	}
}

// Joins enters a room that the person was invited to.
func (a *account) Joins(room id.RoomID) {
	a.town.stage.Helper()
	if _, err := a.client.JoinRoomByID(a.ctx(), room); err != nil {
		a.fail("join %s: %v", room, err)
	}
}

// Leaves goes out of a room.
func (a *account) Leaves(room id.RoomID) {
	a.town.stage.Helper()
	if _, err := a.client.LeaveRoom(a.ctx(), room); err != nil {
		a.fail("leave %s: %v", room, err)
	}
}

// Renames gives a room another name.
func (a *account) Renames(room id.RoomID, name string) {
	a.town.stage.Helper()
	if _, err := a.client.SendStateEvent(a.ctx(), room, event.StateRoomName, "", &event.RoomNameEventContent{Name: name}); err != nil {
		a.fail("rename %s: %v", room, err)
	}
}

// Membership is what the homeserver says of somebody in a room; empty for one
// who was never there.
func (a *account) Membership(room id.RoomID, who id.UserID) event.Membership {
	a.town.stage.Helper()
	resp, err := a.client.Members(a.ctx(), room)
	if err != nil {
		a.fail("ask for the members of %s: %v", room, err)
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
func (a *account) Sees(room id.RoomID, who id.UserID) {
	a.town.stage.Helper()
	ctx, cancel := context.WithTimeout(a.ctx(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for a.Membership(room, who) != event.MembershipJoin {
		select {
		case <-tick.C:
		case <-ctx.Done():
			a.fail("%s did not join %s", who, room)
			return
		}
	}
}

// Devices are the ids of somebody's devices that have keys on the homeserver.
func (a *account) Devices(who id.UserID) []id.DeviceID {
	a.town.stage.Helper()
	resp, err := a.client.QueryKeys(a.ctx(), &mautrix.ReqQueryKeys{
		DeviceKeys: mautrix.DeviceKeysRequest{who: mautrix.DeviceIDList{}},
	})
	if err != nil {
		a.fail("ask for the devices of %s: %v", who, err)
		return nil
	}
	var devices []id.DeviceID
	for d := range resp.DeviceKeys[who] {
		devices = append(devices, d)
	}
	return devices
}
