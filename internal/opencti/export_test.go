package opencti

import "context"

// What tests outside the package need of its inside.
type (
	Wire    = wire
	Broker  = broker
	Message = message
)

// Envelopes makes the messages of a bundle.
var Envelopes = envelopes

// BrokerError classifies an error of AMQP.
var BrokerError = brokerError

// DialBroker dials a real broker.
var DialBroker = dialBroker

// Operations are the documents by name.
func Operations() (names map[string]string, file string) { return operations, operationsText }

// DialWith replaces the broker.
func (p *Platform) DialWith(dial func(context.Context, Broker) (Wire, error)) { p.queue.dial = dial }

// MessageLimit is the broker's limit as far as it is known.
func (p *Platform) MessageLimit() int { return p.queue.messageLimit() }
