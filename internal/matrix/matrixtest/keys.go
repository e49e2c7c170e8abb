package matrixtest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"

	"maunium.net/go/mautrix/id"
)

type oneTimeKey struct {
	id  string // algorithm:name
	raw json.RawMessage
}

// OneTimeKeys is how many one-time keys of a device are left.
func (s *Server) OneTimeKeys(uid id.UserID, did id.DeviceID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.account(uid).devices[did]; d != nil {
		return len(d.oneTime)
	}
	return 0
}

// DrainOneTimeKeys takes all one-time keys of a device away, as strangers can who
// claim them.
func (s *Server) DrainOneTimeKeys(uid id.UserID, did id.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.account(uid).devices[did]; d != nil {
		d.oneTime = nil
		s.step()
	}
}

// FallbackKeys is how many fallback keys a device has uploaded.
func (s *Server) FallbackKeys(uid id.UserID, did id.DeviceID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.account(uid).devices[did]; d != nil {
		return len(d.fallback)
	}
	return 0
}

// DeviceKeys are the signed keys of a device as the server holds them, nil before
// their upload.
func (s *Server) DeviceKeys(uid id.UserID, did id.DeviceID) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.account(uid).devices[did]; d != nil {
		return bytes.Clone(d.keys)
	}
	return nil
}

// SetDeviceKeys replaces the keys of a device (nil: the server lost them) and
// announces the change.
func (s *Server) SetDeviceKeys(uid id.UserID, did id.DeviceID, keys json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.account(uid)
	if d := u.devices[did]; d != nil {
		d.keys = keys
		u.keysChanged = s.step()
	}
}

// AnnounceDeviceChange makes an account appear in device_lists.changed of whoever
// shares a room with it.
func (s *Server) AnnounceDeviceChange(uid id.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account(uid).keysChanged = s.step()
}

func (s *Server) keysUpload(c *call) {
	var req struct {
		DeviceKeys  json.RawMessage            `json:"device_keys"`
		OneTimeKeys map[string]json.RawMessage `json:"one_time_keys"`
		Fallback    map[string]json.RawMessage `json:"fallback_keys"`
	}
	if !s.decode(c, &req) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(req.DeviceKeys) > 0 && !bytes.Equal(req.DeviceKeys, []byte("null")) {
		var named struct {
			User   id.UserID   `json:"user_id"`
			Device id.DeviceID `json:"device_id"`
		}
		if err := json.Unmarshal(req.DeviceKeys, &named); err != nil || named.User != c.user.id || named.Device != c.device.id {
			s.violateLocked("device keys of another device uploaded by %s %s", c.user.id, c.device.id)
			c.fail(http.StatusBadRequest, "M_INVALID_PARAM", "device keys of another device")
			return
		}
		if !bytes.Equal(c.device.keys, req.DeviceKeys) {
			c.device.keys = req.DeviceKeys
			c.user.keysChanged = s.step()
		}
	}
	for _, kid := range sortedKeys(req.OneTimeKeys) {
		raw := req.OneTimeKeys[kid]
		at := slices.IndexFunc(c.device.oneTime, func(k oneTimeKey) bool { return k.id == kid })
		if at >= 0 && !bytes.Equal(c.device.oneTime[at].raw, raw) {
			s.violateLocked("one-time key %s of %s uploaded twice with different values", kid, c.device.id)
			c.fail(http.StatusBadRequest, "M_UNKNOWN", "One time key "+kid+" already exists")
			return
		}
		if at < 0 {
			c.device.oneTime = append(c.device.oneTime, oneTimeKey{id: kid, raw: raw})
		}
	}
	for kid, raw := range req.Fallback {
		alg := algorithm(kid)
		c.device.fallback[alg] = oneTimeKey{id: kid, raw: raw}
		c.device.fallbackUsed[alg] = false
	}
	c.ok(map[string]any{"one_time_key_counts": c.device.counts()})
}

func (d *device) counts() map[string]int {
	out := map[string]int{"signed_curve25519": 0}
	for _, k := range d.oneTime {
		out[algorithm(k.id)]++
	}
	return out
}

func (d *device) unusedFallback() []string {
	out := []string{}
	for alg, used := range d.fallbackUsed {
		if !used {
			out = append(out, alg)
		}
	}
	slices.Sort(out)
	return out
}

func algorithm(keyID string) string {
	alg, _, _ := bytes.Cut([]byte(keyID), []byte(":"))
	return string(alg)
}

func (s *Server) keysQuery(c *call) {
	var req struct {
		DeviceKeys map[id.UserID][]id.DeviceID `json:"device_keys"`
	}
	if !s.decode(c, &req) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	devices := map[id.UserID]map[id.DeviceID]json.RawMessage{}
	master, selfSigning, userSigning := map[id.UserID]json.RawMessage{}, map[id.UserID]json.RawMessage{}, map[id.UserID]json.RawMessage{}
	for uid, only := range req.DeviceKeys {
		u, ok := s.users[uid]
		if !ok {
			continue
		}
		devices[uid] = map[id.DeviceID]json.RawMessage{}
		for did, d := range u.devices {
			if d.keys != nil && (len(only) == 0 || slices.Contains(only, did)) {
				devices[uid][did] = d.keys
			}
		}
		if u.master != nil {
			master[uid] = u.master
		}
		if u.selfSigning != nil {
			selfSigning[uid] = u.selfSigning
		}
		if u.userSigning != nil && uid == c.user.id {
			userSigning[uid] = u.userSigning
		}
	}
	c.ok(map[string]any{
		"failures": struct{}{}, "device_keys": devices, "master_keys": master,
		"self_signing_keys": selfSigning, "user_signing_keys": userSigning,
	})
}

func (s *Server) keysClaim(c *call) {
	var req struct {
		OneTimeKeys map[id.UserID]map[id.DeviceID]string `json:"one_time_keys"`
	}
	if !s.decode(c, &req) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[id.UserID]map[id.DeviceID]map[string]json.RawMessage{}
	for uid, wanted := range req.OneTimeKeys {
		for did, alg := range wanted {
			u := s.users[uid]
			if u == nil || u.devices[did] == nil {
				continue
			}
			key, ok := u.devices[did].claim(alg)
			if !ok {
				continue
			}
			if out[uid] == nil {
				out[uid] = map[id.DeviceID]map[string]json.RawMessage{}
			}
			out[uid][did] = map[string]json.RawMessage{key.id: key.raw}
			s.step()
		}
	}
	c.ok(map[string]any{"failures": struct{}{}, "one_time_keys": out})
}

func (d *device) claim(alg string) (oneTimeKey, bool) {
	for i, k := range d.oneTime {
		if algorithm(k.id) == alg {
			d.oneTime = slices.Delete(d.oneTime, i, i+1)
			return k, true
		}
	}
	k, ok := d.fallback[alg]
	if ok {
		d.fallbackUsed[alg] = true
	}
	return k, ok
}

func (s *Server) keysChanges(c *call) {
	from, ok := parsePosition(c.r.URL.Query().Get("from"))
	if !ok {
		s.violate("keys/changes from a token that is none")
		c.fail(http.StatusBadRequest, "M_INVALID_PARAM", "no such token")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, left := s.deviceLists(c.user, from.stream)
	c.ok(map[string]any{"changed": changed, "left": left})
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
