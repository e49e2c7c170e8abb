package opencti

import (
	"context"
	"net"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// What tests outside the package need of its inside.
type (
	Wire    = wire
	Broker  = broker
	Message = message
)

// Envelopes makes the messages of a bundle.
func Envelopes(b stix.Bundle, applicant, work string) ([]Message, error) {
	var objects []encoded
	for _, o := range b.Objects {
		text, err := stix.Marshal(o)
		if err != nil {
			return nil, err
		}
		objects = append(objects, encoded{o, text})
	}
	return envelopes(objects, applicant, work)
}

// ClassifyAMQP classifies an error of AMQP.
var ClassifyAMQP = brokerError

// DialBroker dials a real broker.
var DialBroker = dialer(nil)

// Operations are the documents by name.
func Operations() (names map[string]string, file string) { return operations, operationsText }

// NewerOperations are the documents that only newer platforms know.
func NewerOperations() map[string]string { return newer }

// DialWith replaces the broker.
func (p *Platform) DialWith(dial func(context.Context, Broker) (Wire, error)) { p.queue.dial = dial }

// MessageLimit is the broker's limit as far as it is known.
func (p *Platform) MessageLimit() int { return p.queue.messageLimit() }

// ReadWorkError gives what is understood of a work error.
func ReadWorkError(message, source string) (item stix.ID, reason string, final bool) {
	e := workError{Message: message, Source: source}
	return e.item(), e.refusal().reason(), e.refusal().final()
}

// QueueName is the connector's push queue.
func (p *Platform) QueueName() string { return p.home.queue }

// CutWire breaks the connection to a real broker.
func (p *Platform) CutWire() { _ = p.queue.wire.(*amqpWire).raw.Close() }

// Gatherer is a connection that can hold back.
type Gatherer struct{ *gatherer }

func Gather(c net.Conn) *Gatherer  { return &Gatherer{&gatherer{Conn: c}} }
func (g *Gatherer) Hold()          { g.hold() }
func (g *Gatherer) Release() error { return g.release() }
