// Package scene holds everything that a story is played with: a homeserver with
// people, a broker, the platform's stand-in and the real connector between them.
//
//	s := scene.New(t, scene.Config{})
//	alice := s.Town.Moves("alice")
//	room := alice.Creates("Incident 7", people.Encrypted())
//	alice.Invites(room, s.Bot)
//	s.Starts()
//	alice.Sees(room, s.Bot)
//	alice.Says(room, "the sample is on its way")
//	s.Receives()
//
// At the end of every story, whether it thought of it or not, the scene asserts
// that all that was said stands on the platform exactly once and with its content,
// that every event that the homeserver shows the bot is in the ledger (package audit),
// that the connector never misused the platform, and that no secret stands anywhere in what
// it wrote: not in a log, an answer, an export, a command line or, byte by byte, the store;
// nor chat text in any of them but an export.
//
// Each part stands behind a gate, so that a story can take it away.
package scene
