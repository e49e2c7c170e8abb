package matrixtest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"
)

func (s *Server) versions(c *call) {
	c.ok(map[string]any{"versions": s.opts.Versions, "unstable_features": map[string]bool{}})
}

func (s *Server) wellKnown(c *call) {
	c.ok(map[string]any{"m.homeserver": map[string]string{"base_url": s.URL()}})
}

func (s *Server) loginFlows(c *call) {
	flows := make([]map[string]string, 0, len(s.opts.Flows))
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
		c.refuse("M_USER_LOCKED", map[string]any{"soft_logout": true})()
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
	if s.ofService(c) {
		s.violate("logout with a token of the authentication service, which revokes it itself")
		c.fail(http.StatusNotFound, "M_UNRECOGNIZED", "no such token here")
		return
	}
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
	c.ok(map[string]string{"filter_id": strconv.Itoa(n)})
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
		if strconv.Itoa(i) == name {
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
	out := make([]map[string]any, 0, len(c.user.devices))
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

func (s *Server) putDevice(c *call) {
	var req struct {
		Name string `json:"display_name"`
	}
	if !s.decode(c, &req) {
		return
	}
	s.mu.Lock()
	d, ok := c.user.devices[id.DeviceID(c.r.PathValue("device"))]
	if ok {
		d.displayName = req.Name
	}
	s.mu.Unlock()
	if !ok {
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "no such device")
		return
	}
	c.empty()
}

func (d *device) shown() map[string]any {
	return map[string]any{"device_id": d.id, "display_name": d.displayName}
}
