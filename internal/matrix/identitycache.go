package matrix

import "maunium.net/go/mautrix/id"

// maxIdentities is how many answers about devices and signatures are kept in memory.
const maxIdentities = 4096

// identityCache keeps what the crypto store says of the devices of those who speak and
// of who signed them: it is asked four times for every message, and changes with a
// device list only. Any write about devices, cross-signing keys or signatures empties
// it. Like the sessions it belongs to who holds the crypto lock, and does not outlive a
// rollback.
type identityCache struct {
	devices map[deviceKey]*id.Device // nil: there is none
	signers map[id.UserID]map[id.CrossSigningUsage]id.CrossSigningKey
	signed  map[signature]bool
}

type deviceKey struct {
	user id.UserID
	key  id.IdentityKey
}

type signature struct {
	user id.UserID
	key  id.Ed25519
	by   id.UserID
	with id.Ed25519
}

func (c *identityCache) clear() { *c = identityCache{} }

// remember puts an answer into one of the maps, and empties a full one first.
func remember[K comparable, V any](kept *map[K]V, key K, value V) {
	if *kept == nil || len(*kept) >= maxIdentities {
		*kept = map[K]V{}
	}
	(*kept)[key] = value
}
