package matrix

import (
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"
)

// MaxSessions is maxSessions.
const MaxSessions = maxSessions

// SessionCache is sessionCache, for its bound.
type SessionCache struct{ cache sessionCache }

// Keep is keep.
func (c *SessionCache) Keep(room id.RoomID, session id.SessionID, s *crypto.InboundGroupSession) {
	c.cache.keep(room, session, s, false)
}

// Get is get.
func (c *SessionCache) Get(room id.RoomID, session id.SessionID) *crypto.InboundGroupSession {
	s, _ := c.cache.get(room, session)
	return s
}
