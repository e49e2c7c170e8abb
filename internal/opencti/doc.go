// Package opencti is one connector's side of an OpenCTI platform: it registers,
// pings, delivers bundles, changes what has landed, and uploads files. It speaks
// the part of the platform's protocol that is the same from 6.4.3 to the newest
// generation.
//
// # Delivery
//
// What is new goes by the queue, what changes something that has landed goes by
// mutation. A batch takes this road:
//
//   - [Platform.Begin] opens a work. Its id is the receipt, and the caller stores
//     it before anything else happens. There is one work at a time: the platform
//     closes an older one by force once a newer one is worked on, and newer
//     platforms then skip what is left of it.
//   - [Platform.Publish] announces the number of objects, once, and sends each in a
//     message of its own, in the order of dependency: persistent, so that it
//     survives a restart of the broker; mandatory, so that a queue that is gone
//     shows; confirmed, so that it is the broker's from then on.
//   - [Platform.Settle] asks for the work, at the pace of [Poll], until it is
//     closed. Then it reads every object back by its id.
//
// A completed work is not a receipt. Works count reports, not objects; they keep
// a hundred errors at most; an author or marking that the platform does not know
// is dropped without any; a text that comes from a user of lower confidence than
// the object's creator is ignored without one, too. So only what is read back and
// agrees with what was sent, in text, author, markings and ends, is
// [stix.Landed]. What is there and says something else is [stix.Differs], and is
// for [Platform.Amend]. What is absent is explained by the work's errors where
// they can: [stix.Refused] when sending it again is useless, [stix.MissingEnd]
// when something that it refers to is absent, and else [stix.Missing].
//
// # What may go wrong, and what comes of it
//
// The work is complete with errors: each error is matched with its object; an
// object that is there all the same has landed.
//
// The work was closed by force, or completed by a report given twice: what has
// not landed may still wait in the queue. Absence is believed only when the queue
// is empty, which the broker is asked for (the platform's count lags by seconds),
// and has lasted for [Config.SettleGrace].
//
// The work was deleted, on the platform's page or with the connector: as before.
// Publishing on it fails, or the message comes back; then the connector is
// registered again before the next work.
//
// The connector's state was reset: the platform purged the queue and leaves the
// work in progress for ever. [Platform.Ping] reports the reset, the open receipt
// lapses, and the work is deleted.
//
// The work stands still, because a worker died with a message or the process
// died between two messages: after [Config.StallAfter] without a change (15 seconds
// for what an earlier process began), and with an empty queue, what is there
// counts. When nothing is, the receipt lapses.
//
// A lapsed receipt, an error half-way through a publication, and a lost answer
// have one cure: the batch is sent again under a new receipt. Every id is
// deterministic, so what went through before is an update that changes nothing.
//
// Where the user may not read works, the broker's confirm is the receipt, as far
// as this process has seen it; [Registration.CanRead] says so and the log does,
// loudly.
//
// # Failures
//
// Each failure is classified once, where it is met, into an [Error] with one of
// the classes of [Class]; what is unknown is temporary. Nothing in this package
// tries again by itself: that is for the one who has the rows. The texts of
// errors hold codes and known phrases, never what the platform echoed of a
// request.
package opencti
