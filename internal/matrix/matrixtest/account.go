package matrixtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

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
	synced bool
	called *syncCall // the /sync that is running
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

// DeviceIDs lists the devices of an account, sorted.
func (s *Server) DeviceIDs(uid id.UserID) []id.DeviceID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []id.DeviceID
	for did := range s.account(uid).devices {
		out = append(out, did)
	}
	slices.Sort(out)
	return out
}

func (s *Server) versions(c *call) {
	c.ok(map[string]any{"versions": s.opts.Versions, "unstable_features": map[string]bool{}})
}

func (s *Server) wellKnown(c *call) {
	c.ok(map[string]any{"m.homeserver": map[string]string{"base_url": s.URL()}})
}

func (s *Server) loginFlows(c *call) {
	flows := []map[string]string{}
	for _, f := range s.opts.Flows {
		flows = append(flows, map[string]string{"type": f})
	}
	c.ok(map[string]any{"flows": flows})
}

func (s *Server) login(c *call) {
	var req struct {
		Type       string `json:"type"`
		Identifier struct {
			Type string `json:"type"`
			User string `json:"user"`
		} `json:"identifier"`
		Password    string      `json:"password"`
		DeviceID    id.DeviceID `json:"device_id"`
		DisplayName string      `json:"initial_device_display_name"`
	}
	if !s.decode(c, &req) {
		return
	}
	if !slices.Contains(s.opts.Flows, req.Type) {
		s.violate("login with a type that is not offered: %s", req.Type)
		c.fail(http.StatusBadRequest, "M_UNKNOWN", "unknown login type")
		return
	}
	uid := id.UserID(req.Identifier.User)
	if !strings.HasPrefix(req.Identifier.User, "@") {
		uid = s.UserID(req.Identifier.User)
	}
	s.mu.Lock()
	u, ok := s.users[uid]
	if !ok || u.password == "" || u.password != req.Password {
		s.mu.Unlock()
		c.fail(http.StatusForbidden, "M_FORBIDDEN", "invalid username or password")
		return
	}
	if u.locked {
		s.mu.Unlock()
		c.refuse(http.StatusUnauthorized, "M_USER_LOCKED", map[string]any{"soft_logout": true})()
		return
	}
	token := s.issue(u, req.DeviceID, req.DisplayName)
	did := s.tokens[token].id
	s.mu.Unlock()
	c.ok(map[string]any{"user_id": uid, "access_token": token, "device_id": did, "home_server": s.opts.Name})
}

func (s *Server) whoami(c *call) {
	c.ok(map[string]any{"user_id": c.user.id, "device_id": c.device.id, "is_guest": false})
}

func (s *Server) logout(c *call) {
	s.Revoke(c.user.id, c.device.id, false)
	c.empty()
}

func (s *Server) createFilter(c *call) {
	if !json.Valid(c.body) {
		s.violate("filter is no JSON")
	}
	s.mu.Lock()
	c.user.filters = append(c.user.filters, c.body)
	n := len(c.user.filters) - 1
	s.mu.Unlock()
	c.ok(map[string]string{"filter_id": fmt.Sprint(n)})
}

func (s *Server) getFilter(c *call) {
	s.mu.Lock()
	raw, ok := c.user.filter(c.r.PathValue("filter"))
	s.mu.Unlock()
	if !ok {
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "no such filter")
		return
	}
	c.ok(raw)
}

func (u *user) filter(name string) (json.RawMessage, bool) {
	for i, raw := range u.filters {
		if fmt.Sprint(i) == name {
			return raw, true
		}
	}
	return nil, false
}

func (s *Server) profile(c *call) {
	s.mu.Lock()
	u, ok := s.users[id.UserID(c.r.PathValue("user"))]
	var name string
	if ok {
		name = u.displayName
	}
	s.mu.Unlock()
	if !ok {
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "no such profile")
		return
	}
	c.ok(map[string]string{"displayname": name})
}

func (s *Server) putDisplayName(c *call) {
	var req struct {
		Name string `json:"displayname"`
	}
	if s.decode(c, &req) {
		s.SetDisplayName(c.user.id, req.Name)
		c.empty()
	}
}

func (s *Server) accountData(c *call) {
	s.mu.Lock()
	raw, ok := c.user.accountData[c.r.PathValue("type")]
	s.mu.Unlock()
	if !ok {
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "no account data of that type")
		return
	}
	c.ok(raw)
}

func (s *Server) putAccountData(c *call) {
	if !json.Valid(c.body) {
		s.violate("account data is no JSON")
	}
	s.mu.Lock()
	typ := c.r.PathValue("type")
	c.user.accountData[typ] = c.body
	c.user.accountPos[typ] = s.step()
	s.mu.Unlock()
	c.empty()
}

func (s *Server) listDevices(c *call) {
	s.mu.Lock()
	out := []map[string]any{}
	for _, d := range c.user.devices {
		out = append(out, d.shown())
	}
	s.mu.Unlock()
	c.ok(map[string]any{"devices": out})
}

func (s *Server) getDevice(c *call) {
	s.mu.Lock()
	d, ok := c.user.devices[id.DeviceID(c.r.PathValue("device"))]
	var out map[string]any
	if ok {
		out = d.shown()
	}
	s.mu.Unlock()
	if !ok {
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "no such device")
		return
	}
	c.ok(out)
}

func (d *device) shown() map[string]any {
	return map[string]any{"device_id": d.id, "display_name": d.displayName}
}
