// Package connector wires the parts and runs their loops: it alone sees all of
// them.
//
// Two halves share the ledger and nothing else. The reading half (sync, fill,
// invite, fetch) talks to the homeserver; the delivering half (deliver, attach,
// ping) talks to a [Sink]. Either may be without its other side for hours: what is
// read waits in the ledger, and what cannot be delivered stays due there.
//
//	sync    one /sync after the other; each is one transaction
//	fill    late keys, targets of replies, then one page of a gap or of history
//	invite  joins rooms that people who may invite have invited the bot to, and those that
//	        replace rooms of the bot
//	fetch   attachments into the spool
//	deliver one batch at a time: begin, store the receipt, publish, settle, read back
//	attach  spooled attachments to posts that have landed
//	ping    tells the platform that the connector lives, and hears of resets
//
// Each loop is a Run of its own goroutine under one group. It looks for work in the
// ledger, and waits for the ledger's change, for the next due time, or for the end.
//
// Shutdown follows the flow: reading stops at once, delivery finishes the batch in
// hand and goes on with what is due for [DrainTime], then broker and store are
// closed. What is left is in the ledger.
package connector
