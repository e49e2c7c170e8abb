// Package store is the home of crash consistency: one SQLite file, one kind of
// transaction, one lock for each device, one seal for what is secret at rest, and
// the spool for attachments.
//
// The crypto tables of matrix and the rows of ledger are two tenants of the same
// transaction: [Store.Do] commits both or neither, with synchronous=FULL, so that
// what is committed survives a power cut. Nothing is acknowledged to a homeserver
// before such a commit.
//
// What lies in the store's folder:
//
//	matrix-connector.db   every row; ids, states, times and room names in the clear,
//	                      everything else sealed. Losing it means reading history again.
//	matrix-connector.db-wal, -shm
//	                      part of the database; never to be deleted by hand.
//	store.key             the seal's key, only where none was given. With it a stolen
//	                      disk is readable; without it the database is lost.
//	spool/                attachments on their way, as ciphertext. A file that no row
//	                      names may be deleted; one that a row names is fetched again.
//	device-*.lock         empty locks. They may be deleted while nothing runs.
//
// Everything is made readable by its owner only (0600, folders 0700).
package store
