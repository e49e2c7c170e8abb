package main

import (
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
)

// room is a room of the demo.
type room struct {
	id   id.RoomID
	name string
	// nature is what to say of it.
	nature string
}

// chat is what the demo's people say.
func chat(town *people.Town, bot id.UserID) []room {
	alice, bob, carol := town.Moves("alice", "Alice"), town.Moves("bob", "Bob"), town.Moves("carol", "Carol")
	rooms := []room{
		{alice.Creates("Phishing wave", people.Topic("Reports from the help desk")), "Phishing wave", "plain"},
		{alice.Creates("War room", people.Encrypted()), "War room", "end-to-end encrypted"},
	}
	for _, r := range rooms {
		alice.Invites(r.id, bot)
		alice.Invites(r.id, bob.ID)
		bob.Joins(r.id)
		alice.Invites(r.id, carol.ID)
		carol.Joins(r.id)
		alice.Sees(r.id, bot)
	}
	plain, sealed := rooms[0].id, rooms[1].id

	report := carol.Says(plain, "Three calls this morning about a mail from payroll-update[.]example")
	bob.Says(plain, "Same sender as last week?", people.ReplyTo(report.Event))
	carol.Sends(plain, people.Picture("mail-screenshot.png", 1), "This is how it looks")
	alice.Says(plain, "Thanks, moving to the war room")

	found := alice.Says(sealed, "The link leads to 198.51.100.23, two people typed their password")
	bob.Says(sealed, "Both accounts are locked, sessions revoked", people.ReplyTo(found.Event))
	bob.Sends(sealed, people.Document("timeline.pdf", "08:12 first mail, 08:40 first login"), "What we know so far")
	carol.Emotes(sealed, "calls the two colleagues")
	alice.Sends(sealed, people.Picture("login-page.png", 2), "")
	return rooms
}
