// Package people lets people chat on a real homeserver, so that a story reads
// as one:
//
//	town := people.New(t, hs)
//	alice, bob := town.Moves("alice"), town.Moves("bob")
//	room := alice.Creates("Incident 7", people.Encrypted())
//	alice.Invites(room, bob.ID)
//	bob.Joins(room)
//	said := alice.Says(room, "the sample is on its way")
//
// Each person is a full Matrix client with Go's own Olm: it keeps syncing, answers
// for its one-time keys and shares its room keys with every device of a room, as
// Element does. The town remembers what was said, so that a test can compare it with
// what arrived.
//
// A story that cannot go on ends through the [Stage]; methods are called from the
// goroutine that owns it.
package people
