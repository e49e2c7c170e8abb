package opencti

import "context"

// carrier takes the messages of a batch to the workers: over the broker, or
// through the platform where the broker cannot be reached.
type carrier interface {
	// open makes sure that messages can be handed over now.
	open(ctx context.Context) error
	// pack makes the messages of a bundle for a receipt.
	pack(h home, receipt string, objects []encoded) ([]message, error)
	// carry hands the messages over in their order and returns once each is taken.
	// After an error it is unknown which ones were.
	carry(ctx context.Context, h home, receipt string, messages []message) error
	// waiting reports whether messages of the connector wait for a worker.
	waiting(ctx context.Context, h home) (bool, error)
}

// byBroker carries over AMQP.
type byBroker struct{ queue *queue }

var _ carrier = byBroker{}

func (c byBroker) open(ctx context.Context) error { return c.queue.open(ctx) }

func (byBroker) pack(h home, receipt string, objects []encoded) ([]message, error) {
	return envelopes(objects, h.applicant, receipt)
}

func (c byBroker) carry(ctx context.Context, h home, _ string, messages []message) error {
	return c.queue.publish(ctx, h.exchange, h.routing, messages)
}

func (c byBroker) waiting(ctx context.Context, h home) (bool, error) {
	n, err := c.queue.depth(ctx, h.queue)
	return n > 0, err
}
