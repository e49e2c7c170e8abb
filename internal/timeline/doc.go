// Package timeline is the vocabulary that reading, remembering, mapping and
// delivering share: an [Event] is what a homeserver showed the bot, a [Post] is
// what one message says now.
//
// [Parse] reads one event into a plain [Item] and trusts no field of it.
// [Compose] folds all events of one message into its post; the order in which
// the events arrived does not matter. Both are pure: no clock, no network, no
// database, no logger.
package timeline
