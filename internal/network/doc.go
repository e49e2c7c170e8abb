// Package network is how connections leave the machine: whom TLS trusts, which
// certificate we show, which proxy stands in between, how long anything may take.
// It is made from the settings alone and opens nothing.
//
// There are three peers. The homeserver and the platform are reached over HTTP,
// each by a transport of its own ([Homeserver], [Platform]); the broker by AMQP,
// which no HTTP proxy carries ([Broker]).
//
// A mistake in a setting is a [*SettingError]. A connection that does not come
// about is an [*Error]; both name the variable to look at, in Hint, and neither
// repeats a password.
package network
