package matrixtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"maunium.net/go/mautrix/id"
)

func (s *Server) keysSigning(c *call) {
	var req struct {
		Master      json.RawMessage `json:"master_key"`
		SelfSigning json.RawMessage `json:"self_signing_key"`
		UserSigning json.RawMessage `json:"user_signing_key"`
		Auth        *struct {
			Type     string `json:"type"`
			Password string `json:"password"`
		} `json:"auth"`
	}
	if !s.decode(c, &req) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Client-server API since v1.11 (MSC3967): the first upload needs no further
	// authentication, a replacement does.
	if c.user.master != nil && (req.Auth == nil || req.Auth.Type != "m.login.password" || req.Auth.Password != c.user.password) {
		writeJSON(c.w, http.StatusUnauthorized, map[string]any{
			"session": "uia", "params": struct{}{},
			"flows": []map[string]any{{"stages": []string{"m.login.password"}}},
		})
		return
	}
	if req.Master != nil {
		c.user.master = req.Master
	}
	if req.SelfSigning != nil {
		c.user.selfSigning = req.SelfSigning
	}
	if req.UserSigning != nil {
		c.user.userSigning = req.UserSigning
	}
	c.user.keysChanged = s.step()
	c.empty()
}

func (s *Server) keysSignatures(c *call) {
	var req map[id.UserID]map[string]json.RawMessage
	if !s.decode(c, &req) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	failures := map[id.UserID]map[string]any{}
	for uid, signed := range req {
		for name, raw := range signed {
			if err := s.addSignatures(uid, name, raw); err != nil {
				if failures[uid] == nil {
					failures[uid] = map[string]any{}
				}
				failures[uid][name] = map[string]string{"errcode": "M_NOT_FOUND", "error": err.Error()}
			}
		}
	}
	c.ok(map[string]any{"failures": failures})
}

// addSignatures merges the signatures of raw into the device keys or the master
// key that name stands for.
func (s *Server) addSignatures(uid id.UserID, name string, raw json.RawMessage) error {
	u := s.users[uid]
	if u == nil {
		return errors.New("no such account")
	}
	target := &u.master
	if d := u.devices[id.DeviceID(name)]; d != nil && d.keys != nil {
		target = &d.keys
	}
	if *target == nil {
		return errors.New("no such key")
	}
	var have, add map[string]json.RawMessage
	if err := json.Unmarshal(*target, &have); err != nil {
		return fmt.Errorf("stored key is no object: %w", err)
	}
	if err := json.Unmarshal(raw, &add); err != nil {
		return fmt.Errorf("signed key is no object: %w", err)
	}
	if target == &u.master && !sameJSON(have["keys"], add["keys"]) {
		return errors.New("no such key")
	}
	old, fresh := map[string]map[string]string{}, map[string]map[string]string{}
	_ = json.Unmarshal(have["signatures"], &old) // absent: none
	if err := json.Unmarshal(add["signatures"], &fresh); err != nil {
		return fmt.Errorf("signatures are no object: %w", err)
	}
	for signer, sigs := range fresh {
		if old[signer] == nil {
			old[signer] = map[string]string{}
		}
		maps.Copy(old[signer], sigs)
	}
	have["signatures"] = mustJSON(old)
	*target = mustJSON(have)
	u.keysChanged = s.step()
	return nil
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && bytes.Equal(mustJSON(x), mustJSON(y))
}
