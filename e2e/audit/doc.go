// Package audit checks, after a story, what the connector promises at any time:
//
//   - every event that the homeserver shows the bot has landed on the platform, is
//     skipped with a reason, or is listed in the ledger: as due, undecrypted, dead,
//     unreadable, or as part of a gap that is still to be read or was lost;
//   - nothing stands on the platform twice;
//   - the sync token is never ahead of the ledger: what /sync will not tell again
//     is in the ledger.
//
// It asks the three parts themselves, each in its own words: the homeserver by
// /messages and by a /sync from the ledger's own token ([Shown]), the ledger by the
// rows of its file ([Read]), the platform by what stands there. It shares no code with
// what it checks.
//
//	book, err := audit.Read(ctx, storeFolder, t.TempDir())
//	shown, err := audit.Shown(ctx, client, book.Token)
//	for _, problem := range (audit.Evidence{Shown: shown, Book: book, Landed: landed}).Problems() {
//		t.Error(problem)
//	}
package audit
