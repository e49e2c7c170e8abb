package people

import (
	"maunium.net/go/mautrix/id"
)

// Trust is what a client thinks of somebody.
type Trust struct {
	// Known: there is a cross-signing identity.
	Known bool `json:"known"`
	// Verified: the user has verified it.
	Verified bool `json:"verified"`
	// Changed: it is another one than the client saw, or the user verified, before,
	// and nobody approved of that.
	Changed bool `json:"changed"`
}

// DeviceTrust is what a client thinks of a device.
type DeviceTrust struct {
	// Known: the device has keys on the homeserver.
	Known bool `json:"known"`
	// Signed: by its owner's identity.
	Signed bool `json:"signed"`
	// Verified: and the user has verified that identity, or this device alone.
	Verified bool `json:"verified"`
}

// Isolates changes whose devices get the client's room keys from the next room key
// on; see [Element.Discards].
func (e *Element) Isolates(mode Isolation) {
	e.town.stage.Helper()
	e.asks("isolate", map[string]any{"mode": mode}, nil)
}

// Discards makes the client use a new room key for what it says next in a room.
func (e *Element) Discards(room id.RoomID) {
	e.town.stage.Helper()
	e.asks("discard", map[string]any{"room": room}, nil)
}

// Trusts is what the client thinks of somebody at this moment.
func (e *Element) Trusts(who id.UserID) Trust {
	e.town.stage.Helper()
	var t Trust
	e.asks("user", map[string]any{"user": who}, &t)
	return t
}

// TrustsDevice is what the client thinks of a device at this moment.
func (e *Element) TrustsDevice(who id.UserID, device id.DeviceID) DeviceTrust {
	e.town.stage.Helper()
	var t DeviceTrust
	e.asks("device", map[string]any{"user": who, "device": device}, &t)
	return t
}

// SeesSigned waits until the client knows a device of somebody's as signed by its
// owner: the named one, or else any. A room key is shared with it after that. Like
// Element, it looks after people alone with whom it shares an encrypted room.
func (e *Element) SeesSigned(who id.UserID, device ...id.DeviceID) {
	e.town.stage.Helper()
	with := map[string]any{"user": who}
	if len(device) > 0 {
		with["device"] = device[0]
	}
	e.asks("sees-signed", with, nil)
}

// SeesVerified waits until the client holds somebody for verified.
func (e *Element) SeesVerified(who id.UserID) {
	e.town.stage.Helper()
	e.asks("sees-user", map[string]any{"user": who, "as": "verified"}, nil)
}

// SeesChanged waits until the client notices that somebody's identity is another one.
func (e *Element) SeesChanged(who id.UserID) {
	e.town.stage.Helper()
	e.asks("sees-user", map[string]any{"user": who, "as": "changed"}, nil)
}

// Approves accepts that somebody's identity has changed, and no longer wants it verified.
func (e *Element) Approves(who id.UserID) {
	e.town.stage.Helper()
	e.asks("approve-identity", map[string]any{"user": who}, nil)
}

// ResetsIdentity replaces the account's cross-signing identity by a new one. Other
// devices of the account are unsigned after that.
func (e *Element) ResetsIdentity() {
	e.town.stage.Helper()
	e.asks("reset-identity", nil, nil)
}

// SetsUpRecovery opens secret storage and a key backup for the account, and returns
// the recovery key as Element shows it. Both replace what the account had.
func (e *Element) SetsUpRecovery() string {
	e.town.stage.Helper()
	var got struct {
		Key string `json:"key"`
	}
	e.asks("set-up-recovery", nil, &got)
	return got.Key
}

// Recovers signs the client's device with a recovery key, fetches the keys of the
// account's backup, if there is one, and returns how many keys it has in the end.
func (e *Element) Recovers(key string) int {
	e.town.stage.Helper()
	var got struct {
		Keys int `json:"keys"`
	}
	e.asks("recover", map[string]any{"key": key}, &got)
	return got.Keys
}

// BacksUp waits until all of the client's room keys are in its backup.
func (e *Element) BacksUp() {
	e.town.stage.Helper()
	e.asks("back-up", nil, nil)
}

// ExportsKeys writes all room keys as Element's key file.
func (e *Element) ExportsKeys(passphrase string) []byte {
	e.town.stage.Helper()
	var got struct {
		File string `json:"file"`
	}
	e.asks("export-keys", map[string]any{"passphrase": passphrase}, &got)
	return []byte(got.File)
}

// ImportsKeys reads a key file and returns how many of its keys the client did not have.
func (e *Element) ImportsKeys(file []byte, passphrase string) int {
	e.town.stage.Helper()
	var got struct {
		Imported int `json:"imported"`
	}
	e.asks("import-keys", map[string]any{"file": string(file), "passphrase": passphrase}, &got)
	return got.Imported
}
