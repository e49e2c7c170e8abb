// Package request is how a command asks the running connector for something: a row in
// the store, which whoever works on the store carries out.
//
// A command that reads needs no request: it opens the store for reading. One that
// changes something must not do it beside the connector, whose memory is ahead of the
// database: it writes a request, wakes the connector through the control socket, and
// watches what becomes of it. Where no connector is running, the command takes the
// store's lock and carries its request out by itself, by the same code.
//
//	open ──Finish──▶ done(outcome)
//	  ├───Fail────▶ failed(outcome)
//	  └─Withdraw──▶ withdrawn
//
// A request survives kills and restarts: it stays open until somebody has carried it
// out, so carrying out must be safe to repeat. An interactive request is different: it is
// only meant while the person who made it sits in front of it. Its command touches it,
// and one that nobody has touched for [Forsaken] is withdrawn.
//
// What is asked for, how far it is and what came of it may hold what nobody else is to
// read: keys, passphrases. All three are sealed, each in its own place. Ended requests
// lose what was asked for at once, and go after a week.
package request
