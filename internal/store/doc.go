// Package store is the home of crash consistency: one SQLite file, one kind of
// transaction, one lock for each device, one seal for what is secret at rest, and
// the spool for attachments.
//
// The crypto tables of matrix and the rows of ledger are two tenants of the same
// transaction: [Store.Do] commits both or neither, with synchronous=FULL, so that
// what is committed survives a power cut. Nothing is acknowledged to a homeserver
// before such a commit.
package store
