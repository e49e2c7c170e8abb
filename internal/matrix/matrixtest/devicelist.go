package matrixtest

import (
	"slices"

	"maunium.net/go/mautrix/id"
)

// deviceLists says whose keys changed since a position among those who share a
// room with the user, and who no longer shares one; mu is held.
func (s *Server) deviceLists(u *user, since int64) (changed, left []id.UserID) {
	shares, came, went := map[id.UserID]bool{}, map[id.UserID]bool{}, map[id.UserID]bool{}
	for _, r := range s.rooms {
		me, ok := r.members[u.id]
		if !ok {
			continue
		}
		for other, m := range r.members {
			switch {
			case m.is == "join" && me.is == "join":
				shares[other] = true
				if r.events[m.since].pos > since || r.events[me.since].pos > since {
					came[other] = true
				}
			case r.events[m.since].pos > since || r.events[me.since].pos > since:
				went[other] = true
			}
		}
	}
	changed, left = []id.UserID{}, []id.UserID{}
	for other := range shares {
		if came[other] && other != u.id || s.users[other].keysChanged > since {
			changed = append(changed, other)
		}
	}
	if !shares[u.id] && u.keysChanged > since {
		changed = append(changed, u.id)
	}
	for other := range went {
		if !shares[other] && other != u.id {
			left = append(left, other)
		}
	}
	slices.Sort(changed)
	slices.Sort(left)
	return changed, left
}
