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
// Element does by default. The town remembers what was said, so that a test can compare
// it with what arrived.
//
// Whom Element trusts, and what it does to a device that it does not, only its own
// crypto can show. An [Element] is somebody with that: the Rust crypto that Element
// ships, compiled to WebAssembly by its authors, in a Node process (e2e/element). It
// costs a second of CPU and some 120 MB, so a story takes one where trust matters:
//
//	dana := town.MovesWithElement("dana", people.OnlySigned())
//	dana.Invites(room, alice.ID)
//	alice.Joins(room)
//	dana.Sees(room, alice.ID)
//	secret := dana.Says(room, "not for an unsigned device")
//	alice.IsRefused(secret.Event) // m.unverified
//	alice.Signs()
//	dana.SeesSigned(alice.ID)
//	alice.Hears(dana.Says(room, "for a signed one").Event)
//
// A story that cannot go on ends through the [Stage]; methods are called from the
// goroutine that owns it.
package people
