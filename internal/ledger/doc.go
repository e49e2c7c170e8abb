// Package ledger remembers every event that a homeserver ever showed the bot,
// every post that follows from them, and what became of it.
//
// # Nothing is lost
//
// [Ledger.Record] is called by matrix inside the transaction that also holds the
// crypto state and the sync token ([github.com/matrix-connector/matrix-connector/internal/store.Store.Do]).
// An event that the ledger does not hold was therefore not acknowledged to the
// homeserver, and one that it holds is never forgotten: no path deletes its row. An
// event is in one of four states:
//
//	undecrypted(reason)  kept for ever, tried again when a key of its session comes
//	read                 readable; whether it says something is Compose's business
//	skipped(reason)      by the start date, by a room rule, or our own
//	unreadable(reason)   could not be decoded; what was received is kept
//
//	undecrypted ──key, or redacted──▶ read
//	undecrypted ──key, odd content──▶ unreadable
//	skipped ──settings changed──▶ read, undecrypted
//
// # Nothing is doubled
//
// Events are keyed by room and event id: a repeat is no new row and no new
// revision. What is sent is a post: all readable events that target one message,
// composed anew whenever it is sent. An event that changes what the post says
// raises its revision, and a post whose revision is higher than the landed one is
// due. Late originals, edits, replays, requeues and resets are that one operation,
// and an old text can never overwrite a newer one.
//
//	          ┌────────────── Defer, Lapse, MissingEnd, raise ─────────────┐
//	          ▼                                                            │
//	idle ─▶ due ──Send──▶ sent(receipt, revision) ──Land──▶ landed(revision)
//	          ▲  │                     │                        │
//	          │  └────Kill────┐        └──Kill, k lapses──┐     │
//	          │               ▼                           ▼     │
//	          ├── Requeue ─ dead(reason) ◀────────────────┘     │
//	          └────────── raise, MissingEnd, Reset ─────────────┘
//
// A landed post that somebody has deleted on the sink stays landed, with the reason
// ([Ledger.Leave]): it is left alone until somebody requeues it, or all is reset.
//
// What others say about a landed post, a reaction or a vote, makes it due after a time
// ([Config.Calm]), so that many of them are one change.
//
// [Ledger.Restored] forgets what has landed since a moment: the sink lost it.
//
// An outcome that comes for a row that was given up meanwhile changes no state.
// An amendment (a mutation that answers at once) may also go from due to landed or
// dead without a receipt. Rooms and authors have the same states and land first:
// [Ledger.Due] shows a post only when both ends of its relations have landed. A room
// is idle until it has a post: a room in which nothing was said is no Channel.
//
// # Gaps and history
//
//	         ┌─ Record, of a page ─┐
//	         ▼                     │
//	─────▶ open(token, bound) ─────┤
//	         │ │                   └─ its last page ──▶ done
//	         │ └─ WithdrawBackfills ──▶ done(withdrawn)     ▲
//	         └─ refused by the homeserver ──▶ lost(reason) ─┘ a backfill that passes it
//
// The token is where the next page begins: a kill costs the page that was on its way.
// History has a bound, the start date of its room; [Ledger.Reconsider] moves it back, and
// [Ledger.OpenBackfill] opens a walk with a bound of its own.
//
// # Redactions
//
// A redacted event keeps its row and state, and its content is erased with the redaction's
// own transaction, whichever of them arrives first; see [Redactions]. An edit or a
// reaction leaves its message then. A redacted message stays a post, which says a notice;
// where its object is to be deleted, what has landed in the end is that nothing is there:
//
//	due ──Deleted──▶ landed(revision), deleted
//
// What may be in the sink's queue lands as a notice first, and becomes due once more for
// the deletion. Files of a redacted message or edit are refused("redacted"), and those
// that the sink may hold are withdrawn:
//
//	wanted, fetched, attached ──▶ refused("redacted"), withdrawn ──Removed──▶ refused("redacted")
//
// # Attachments
//
//	wanted ──▶ fetched ──▶ attached
//	  │  ▲        │
//	  │  └─spoilt─┘
//	  └──▶ refused(reason), lost(reason) ──operator──▶ wanted
//
// A post never waits for its files, and a file is attached only to a post that has
// landed.
//
// # Content
//
// What was received stands apart from its event ([Ledger.Trim] drops it some time after
// the post landed) and the event stays, with the names that were frozen with it:
//
//	kept ──Trim, of landed posts──▶ dropped ──Record, where its post is due──▶ kept
//
// A post that is due and lacks content is not said: [Ledger.Refills] lists its events to
// be read from the homeserver once more, and what nobody shows any more is
// dead("content_gone"). So a post is never overwritten by less than it was.
//
// # At rest
//
// Ids, types, states, reasons, times and room names stand in the clear. Raw events,
// decrypted content, display names, topics, file names, file keys and hashes are
// sealed by the store, each bound to its row.
package ledger
