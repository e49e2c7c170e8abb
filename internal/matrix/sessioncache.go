package matrix

import (
	"container/list"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"
)

// maxSessions is how many Megolm sessions are kept in memory: about 1 KiB each. A room
// has one for each device that speaks in it.
const maxSessions = 512

// sessionCache keeps the Megolm sessions that were used last. Opening one from the
// database costs an unpickling, and a way of up to 765 hashes from its first index to
// the message; one that is kept has only the step from the message before to go.
//
// It is part of the machine: who holds the crypto lock owns it, and after a rollback it
// is gone together with the machine. Its sessions are only decrypted with, which leaves
// their first index as it is; whatever writes a session drops it here.
type sessionCache struct {
	by    map[sessionPlace]*list.Element
	order list.List // of *keptSession, the last used one first
}

type sessionPlace struct {
	room    id.RoomID
	session id.SessionID
}

type keptSession struct {
	place   sessionPlace
	session *crypto.InboundGroupSession
	beside  bool // its row stands beside another room's
}

// get gives nil for a session that is not kept.
func (c *sessionCache) get(room id.RoomID, session id.SessionID) (s *crypto.InboundGroupSession, beside bool) {
	at := c.by[sessionPlace{room, session}]
	if at == nil {
		return nil, false
	}
	c.order.MoveToFront(at)
	kept := at.Value.(*keptSession) //nolint:forcetypeassert // it holds nothing else
	return kept.session, kept.beside
}

func (c *sessionCache) keep(room id.RoomID, session id.SessionID, s *crypto.InboundGroupSession, beside bool) {
	c.drop(room, session)
	if c.by == nil {
		c.by = map[sessionPlace]*list.Element{}
	}
	place := sessionPlace{room, session}
	c.by[place] = c.order.PushFront(&keptSession{place, s, beside})
	if last := c.order.Back(); c.order.Len() > maxSessions {
		c.remove(last)
	}
}

func (c *sessionCache) drop(room id.RoomID, session id.SessionID) {
	if at := c.by[sessionPlace{room, session}]; at != nil {
		c.remove(at)
	}
}

func (c *sessionCache) remove(at *list.Element) {
	c.order.Remove(at)
	delete(c.by, at.Value.(*keptSession).place) //nolint:forcetypeassert // it holds nothing else
}

func (c *sessionCache) clear() {
	c.by = nil
	c.order.Init()
}
