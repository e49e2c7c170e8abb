package matrixtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"

	"maunium.net/go/mautrix/id"
)

// backupStore is one version of a server-side key backup.
type backupStore struct {
	version   string
	algorithm string
	auth      json.RawMessage
	keys      map[id.RoomID]map[id.SessionID]BackedUp
	etag      int
}

// BackedUp is a session as the backup holds it.
type BackedUp struct {
	First    uint32          `json:"first_message_index"`
	Hops     int             `json:"forwarded_count"`
	Verified bool            `json:"is_verified"`
	Data     json.RawMessage `json:"session_data"`
}

// betterThan is the rule by which a server keeps one of two copies (Matrix C-S API, "PUT
// /room_keys/keys/{roomId}/{sessionId}").
func (b BackedUp) betterThan(old BackedUp) bool {
	if b.Verified != old.Verified {
		return b.Verified
	}
	if b.First != old.First {
		return b.First < old.First
	}
	return b.Hops < old.Hops
}

// Backup is the newest key backup of an account: its version (empty: none) and the
// sessions that it holds.
func (s *Server) Backup(uid id.UserID) (version string, keys map[id.RoomID]map[id.SessionID]BackedUp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.account(uid).backup
	if b == nil {
		return "", nil
	}
	keys = map[id.RoomID]map[id.SessionID]BackedUp{}
	for room, sessions := range b.keys {
		keys[room] = maps.Clone(sessions)
	}
	return b.version, keys
}

// BackupKey is the public key of an account's newest backup.
func (s *Server) BackupKey(uid id.UserID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var auth struct {
		Key string `json:"public_key"`
	}
	_ = json.Unmarshal(s.account(uid).backup.auth, &auth) // it was looked at when it was made
	return auth.Key
}

// PutInBackup puts a session into an account's newest backup, as a hostile homeserver can.
func (s *Server) PutInBackup(uid id.UserID, room id.RoomID, session id.SessionID, one BackedUp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account(uid).backup.put(room, session, one, true)
}

// DropBackup deletes an account's newest backup, as another client of it can.
func (s *Server) DropBackup(uid id.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account(uid).backup = nil
}

// ReplaceBackup makes a new, empty backup with another key, as another client can.
func (s *Server) ReplaceBackup(uid id.UserID, publicKey string) (version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.account(uid)
	u.newBackup("m.megolm_backup.v1.curve25519-aes-sha2", mustJSON(map[string]any{"public_key": publicKey}))
	return u.backup.version
}

func (u *user) newBackup(algorithm string, auth json.RawMessage) {
	u.backups++
	u.backup = &backupStore{
		version: strconv.Itoa(u.backups), algorithm: algorithm, auth: auth,
		keys: map[id.RoomID]map[id.SessionID]BackedUp{},
	}
}

func (b *backupStore) put(room id.RoomID, session id.SessionID, one BackedUp, force bool) {
	if b.keys[room] == nil {
		b.keys[room] = map[id.SessionID]BackedUp{}
	}
	if old, there := b.keys[room][session]; there && !force && !one.betterThan(old) {
		return
	}
	b.keys[room][session] = one
	b.etag++
}

func (b *backupStore) count() (n int) {
	for _, sessions := range b.keys {
		n += len(sessions)
	}
	return n
}

func (s *Server) backupVersion(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := c.user.backup
	if b == nil {
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "no current backup version")
		return
	}
	c.ok(map[string]any{"version": b.version, "algorithm": b.algorithm, "auth_data": b.auth, "count": b.count(), "etag": strconv.Itoa(b.etag)})
}

func (s *Server) makeBackup(c *call) {
	var req struct {
		Algorithm string          `json:"algorithm"`
		Auth      json.RawMessage `json:"auth_data"`
	}
	if !s.decode(c, &req) {
		return
	}
	var auth struct {
		Key        string                       `json:"public_key"`
		Signatures map[string]map[string]string `json:"signatures"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if json.Unmarshal(req.Auth, &auth) != nil || len(auth.Key) != 43 || len(auth.Signatures[c.user.id.String()]) == 0 {
		s.violateLocked("a key backup without a public key, or without a signature of its owner")
	}
	if _, stored := c.user.accountData["m.megolm_backup.v1"]; !stored {
		s.violateLocked("a key backup whose key is not in the secret storage yet: a crash would leave it unreadable")
	}
	c.user.newBackup(req.Algorithm, req.Auth)
	c.ok(map[string]any{"version": c.user.backup.version})
}

// ofVersion finds the backup that a request names; it has answered when that is not the
// current one.
func (c *call) ofVersion() *backupStore {
	b, version := c.user.backup, c.r.URL.Query().Get("version")
	switch {
	case b == nil:
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "no such backup version")
		return nil
	case version != b.version:
		writeJSON(c.w, http.StatusForbidden, map[string]any{
			"errcode": "M_WRONG_ROOM_KEYS_VERSION", "error": "wrong backup version", "current_version": b.version,
		})
		return nil
	}
	return b
}

func (s *Server) putKeys(c *call) {
	var req struct {
		Rooms map[id.RoomID]struct {
			Sessions map[id.SessionID]BackedUp `json:"sessions"`
		} `json:"rooms"`
	}
	if !s.decode(c, &req) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := c.ofVersion()
	if b == nil {
		return
	}
	for room, in := range req.Rooms {
		for session, one := range in.Sessions {
			if err := one.check(); err != nil {
				s.violateLocked("session %s put into the backup: %v", session, err)
			}
			b.put(room, session, one, false)
		}
	}
	c.ok(map[string]any{"count": b.count(), "etag": strconv.Itoa(b.etag)})
}

// check looks at the fields of the only known algorithm.
func (b BackedUp) check() error {
	var data map[string]string
	if err := json.Unmarshal(b.Data, &data); err != nil {
		return fmt.Errorf("its data is no object of strings: %w", err)
	}
	for _, field := range []string{"ciphertext", "ephemeral", "mac"} {
		if data[field] == "" {
			return fmt.Errorf("its data has no %s", field)
		}
	}
	if len(data) != 3 {
		return fmt.Errorf("its data has %d fields", len(data))
	}
	return nil
}

func (s *Server) getKey(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := c.ofVersion()
	if b == nil {
		return
	}
	one, ok := b.keys[id.RoomID(c.r.PathValue("room"))][id.SessionID(c.r.PathValue("session"))]
	if !ok {
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "no room keys found")
		return
	}
	c.ok(one)
}
