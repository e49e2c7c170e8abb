package matrixtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/signatures"
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
			Session  string `json:"session"`
		} `json:"auth"`
	}
	if !s.decode(c, &req) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Client-server API since v1.11 (MSC3967): the first upload needs no further
	// authentication, a replacement does.
	flows := s.opts.IdentityAuth
	if c.user.master != nil {
		flows = []string{"m.login.password"}
	}
	if len(flows) > 0 && (req.Auth == nil || !slices.Contains(flows, req.Auth.Type) || req.Auth.Type != "m.login.password" ||
		req.Auth.Password != c.user.password || req.Auth.Session != "uia") {
		var offered []map[string]any
		for _, f := range flows {
			offered = append(offered, map[string]any{"stages": []string{f}})
		}
		writeJSON(c.w, http.StatusUnauthorized, map[string]any{"session": "uia", "params": struct{}{}, "flows": offered})
		return
	}
	if c.user.master != nil {
		s.violateLocked("an identity that exists is replaced: %s", c.user.id)
	}
	if err := s.checkIdentity(c.user.id, req.Master, req.SelfSigning, req.UserSigning); err != nil {
		s.violateLocked("cross-signing keys of %s: %v", c.user.id, err)
		c.fail(http.StatusBadRequest, "M_INVALID_SIGNATURE", err.Error())
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

// ResetIdentity takes an account's cross-signing keys away, as its owner can from another
// client; what they have signed stays signed by nobody.
func (s *Server) ResetIdentity(uid id.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.account(uid)
	u.master, u.selfSigning, u.userSigning = nil, nil, nil
	u.keysChanged = s.step()
}

// ShowSelfSigning shows something else as an account's self-signing key, as a hostile
// homeserver can.
func (s *Server) ShowSelfSigning(uid id.UserID, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account(uid).selfSigning = json.RawMessage(text)
	s.account(uid).keysChanged = s.step()
}

// checkIdentity looks at what a server looks at: the master key has signed the others.
func (s *Server) checkIdentity(uid id.UserID, master json.RawMessage, others ...json.RawMessage) error {
	var m mautrix.CrossSigningKeys
	if err := json.Unmarshal(master, &m); err != nil || m.UserID != uid || len(m.Keys) != 1 {
		return errors.New("no master key")
	}
	for _, raw := range others {
		ok, err := signatures.VerifySignatureJSON(raw, uid, m.FirstKey().String(), m.FirstKey())
		if err != nil || !ok {
			return errors.New("a key is not signed by the master key")
		}
	}
	return nil
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
