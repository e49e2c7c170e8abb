// Package matrix owns one account on one homeserver: its login, its device and
// keys, the sync loop, gaps and history, and media.
//
// What it promises: an event that the homeserver shows the bot is handed to the
// [Journal] in the same transaction that stores the crypto state it needed and the
// sync token that covers it. Nothing is acknowledged to the homeserver before that
// transaction is on disk, because the homeserver deletes room keys as soon as it
// sees the next token.
//
// The crypto state has one owner. [Account] holds a lock for the whole of every
// transaction that touches it; the machine of mautrix is reachable only through
// that lock, has no network of its own, and starts no work of its own. When a
// transaction does not commit, the machine and its caches are thrown away and made
// again from the database before anybody else can use them. The first error of any
// crypto store call, read or write, fails the transaction: the library only logs
// such errors, and a room key that is lost that way never comes again.
//
// One malformed event is one unreadable row, never a stuck account: responses are
// taken apart event by event, and a panic while reading an event is that event's
// own misfortune.
package matrix
