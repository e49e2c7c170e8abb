package people

import (
	"net/http"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Public lets anybody join a room.
func Public() RoomOption {
	return func(r *mautrix.ReqCreateRoom) { r.Preset = "public_chat" }
}

// Version makes a room of a version other than the homeserver's default.
func Version(version string) RoomOption {
	return func(r *mautrix.ReqCreateRoom) { r.RoomVersion = id.RoomVersion(version) }
}

// Space makes a room that holds others.
func Space() RoomOption {
	return func(r *mautrix.ReqCreateRoom) { r.CreationContent = map[string]any{"type": event.RoomTypeSpace} }
}

// Direct makes a room without a name, for those who are invited at once.
func Direct(with ...id.UserID) RoomOption {
	return func(r *mautrix.ReqCreateRoom) { r.Name, r.IsDirect, r.Invite = "", true, with }
}

// Upgrades replaces a room by one of another version, as the homeserver does it, and
// gives the new one.
func (a *account) Upgrades(room id.RoomID, version string) id.RoomID {
	a.town.stage.Helper()
	var resp struct {
		Room id.RoomID `json:"replacement_room"`
	}
	_, err := a.client.MakeRequest(a.ctx(), http.MethodPost, a.client.BuildClientURL("v3", "rooms", room, "upgrade"),
		map[string]string{"new_version": version}, &resp)
	if err != nil {
		a.fail("upgrade %s: %v", room, err)
	}
	return resp.Room
}

// Puts sends a state event with whatever content.
func (a *account) Puts(room id.RoomID, kind, key string, content any) {
	a.town.stage.Helper()
	if _, err := a.client.SendStateEvent(a.ctx(), room, event.Type{Type: kind, Class: event.StateEventType}, key, content); err != nil {
		a.fail("send %s to %s: %v", kind, room, err)
	}
}

// Kicks takes somebody out of a room.
func (a *account) Kicks(room id.RoomID, who id.UserID) {
	a.town.stage.Helper()
	if _, err := a.client.KickUser(a.ctx(), room, &mautrix.ReqKickUser{UserID: who}); err != nil {
		a.fail("kick %s: %v", who, err)
	}
}

// Bans takes somebody out of a room for good.
func (a *account) Bans(room id.RoomID, who id.UserID) {
	a.town.stage.Helper()
	if _, err := a.client.BanUser(a.ctx(), room, &mautrix.ReqBanUser{UserID: who}); err != nil {
		a.fail("ban %s: %v", who, err)
	}
}

// Unbans lets somebody be invited again.
func (a *account) Unbans(room id.RoomID, who id.UserID) {
	a.town.stage.Helper()
	if _, err := a.client.UnbanUser(a.ctx(), room, &mautrix.ReqUnbanUser{UserID: who}); err != nil {
		a.fail("unban %s: %v", who, err)
	}
}
