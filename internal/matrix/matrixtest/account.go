package matrixtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"maunium.net/go/mautrix/id"
)

// user is an account. Server.mu guards it.
type user struct {
	id          id.UserID
	password    string
	displayName string
	locked      bool
	devices     map[id.DeviceID]*device
	inboxNext   int64 // place of the next to-device message, of all devices: tokens outlive a device
	accountData map[string]json.RawMessage
	accountPos  map[string]int64 // stream position of each type's last change
	filters     []json.RawMessage

	// cross-signing keys as uploaded, nil before
	master, selfSigning, userSigning json.RawMessage
	keysChanged                      int64 // stream position of the last change of any key

	backup  *backupStore // the newest one
	backups int          // made so far

	script *script
	held   []heldMessage
	hold   map[string]bool // to-device types held back
}

// device is a login of an account. Server.mu guards it, but for running.
type device struct {
	user        *user
	id          id.DeviceID
	displayName string

	keys         json.RawMessage // signed device keys, nil before the upload
	oneTime      []oneTimeKey    // oldest first
	fallback     map[string]oneTimeKey
	fallbackUsed map[string]bool

	inbox []toDeviceMessage

	since  string          // token of the last accepted /sync
	issued map[string]bool // tokens handed out since
	called *syncCall       // the /sync that is running
}

type revocation struct{ soft bool }

// UserID makes the identifier of a local account.
func (s *Server) UserID(localpart string) id.UserID {
	return id.UserID("@" + localpart + ":" + s.opts.Name)
}

// Account makes an account, or changes the password of one that exists.
func (s *Server) Account(localpart, password string) id.UserID {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.account(s.UserID(localpart))
	u.password = password
	return u.id
}

// Stranger makes an account of another server, which nobody can log in to.
func (s *Server) Stranger(user id.UserID) id.UserID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.account(user).id
}

func (s *Server) account(uid id.UserID) *user {
	u, ok := s.users[uid]
	if !ok {
		u = &user{
			id: uid, displayName: uid.Localpart(), devices: map[id.DeviceID]*device{},
			accountData: map[string]json.RawMessage{}, accountPos: map[string]int64{}, hold: map[string]bool{},
		}
		s.users[uid] = u
	}
	return u
}

// SetDisplayName changes the global display name of an account.
func (s *Server) SetDisplayName(uid id.UserID, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account(uid).displayName = name
}

// Lock locks or unlocks an account: every request is refused with M_USER_LOCKED.
func (s *Server) Lock(uid id.UserID, locked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account(uid).locked = locked
}

// Revoke ends the tokens of a device, as a logout elsewhere or an administrator
// does. A soft logout keeps the device and its keys; a hard one deletes them.
func (s *Server) Revoke(uid id.UserID, did id.DeviceID, soft bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoke(uid, did, soft)
}

func (s *Server) revoke(uid id.UserID, did id.DeviceID, soft bool) {
	for token, d := range s.tokens {
		if d.user.id == uid && d.id == did {
			delete(s.tokens, token)
			s.revoked[token] = revocation{soft: soft}
		}
	}
	if u := s.users[uid]; u != nil && !soft {
		delete(u.devices, did)
		u.keysChanged = s.step()
	}
}

// Token logs a device in without a request and returns its access token. The
// device is made where it does not exist.
func (s *Server) Token(uid id.UserID, did id.DeviceID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issue(s.account(uid), did, "")
}

func (s *Server) issue(u *user, did id.DeviceID, name string) string {
	if did == "" {
		did = id.DeviceID(fmt.Sprintf("DEVICE%d", s.nextSerial()))
	}
	d, ok := u.devices[did]
	if !ok {
		d = &device{user: u, id: did, displayName: name, issued: map[string]bool{}, fallback: map[string]oneTimeKey{}, fallbackUsed: map[string]bool{}}
		u.devices[did] = d
	}
	token := fmt.Sprintf("syt_%s_%d", u.id.Localpart(), s.nextSerial())
	s.tokens[token] = d
	return token
}

// DeviceName is the name of a device, as others see it.
func (s *Server) DeviceName(uid id.UserID, did id.DeviceID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.account(uid).devices[did]; ok {
		return d.displayName
	}
	return ""
}

// DeviceIDs lists the devices of an account, sorted.
func (s *Server) DeviceIDs(uid id.UserID) []id.DeviceID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.account(uid).devices))
}
