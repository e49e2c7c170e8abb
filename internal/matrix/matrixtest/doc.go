// Package matrixtest is a scripted homeserver for tests: it listens on
// 127.0.0.1, holds accounts, devices, keys, rooms and media in memory, and
// answers the part of the client-server API that a reading bot and the people
// who chat with it use. Device keys and one-time keys are stored and handed out
// for real, so mautrix clients do real end-to-end encryption through it
// ([Server.NewPeer]).
//
// It takes no testing.TB and imports no assertion library, so that a harness can
// also run it as a process. Instead of failing a test it writes down what its
// callers did wrong ([Server.Violations]): an unknown route, a missing or
// never-issued token, a /sync from a token that was not handed out, a second
// /sync while one is running on the same device, a path that climbs out of its
// folder. A test ends by comparing that list with nothing.
//
//	hs, err := matrixtest.New(matrixtest.Options{})
//	defer hs.Close()
//	bot := hs.Account("bot", "secret")
//	alice, err := hs.NewPeer(ctx, "alice")
//	room := hs.NewRoom(alice.User, matrixtest.RoomOptions{Name: "Den", Encrypted: true})
//	room.Join(bot)
//	event, err := alice.Say(ctx, room.ID, "hello")
//	…
//	if v := hs.Violations(); len(v) > 0 { … }
//
// By default each account's /sync is live: it shows what happened in its rooms
// since the token, with limited timelines, to-device messages, device lists and
// key counts. [Server.Script] replaces it by a list of prepared answers, for
// responses that no homeserver should send. [Server.Inject] adds faults to any
// endpoint: status codes, rate limits, cut and slow bodies, redirects.
//
// [Options.Service] gives it an authentication service (OAuth 2.0 API) with the device
// authorization grant: [Server.Approve] and [Server.Deny] are the person in front of
// its page, [Server.EndLogin] is the end of a login elsewhere. Tokens and codes run out
// by the clock of [Server.SetClock], and a refresh token is used once, or again as long
// as nothing of the answer was used.
//
// What it leaves out: federation, power levels, history visibility other than
// shared and joined, push, presence, typing, receipts. It believes whoever holds
// a token.
package matrixtest
