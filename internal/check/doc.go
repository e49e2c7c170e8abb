// Package check looks at everything that a connector depends on, in the order in
// which a message flows, and says of each in one line whether it will do. A line
// that failed names the setting and what to do about it.
//
// It works before the first start and beside a running connector, and changes
// nothing: the store is opened for reading only, the homeserver is never asked for
// /sync in the device's name, the connector is looked up and not registered. There
// are two exceptions. An account that has no device yet is logged in with its
// password and logged out at once, since nothing else tells whether the password is
// right. And [Config.Register] registers the connector, which a platform wants
// before it tells where its broker is.
//
// Every question has ten seconds, and what does not depend on each other is asked
// at the same time, so that a dead network is told in less than half a minute.
//
// No line holds a secret, or what people wrote.
package check
