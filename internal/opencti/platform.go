package opencti

import (
	"context"
	"sync"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// Platform is a connector's side of one OpenCTI platform. [Platform.Start]
// registers it; from then on its methods may be called from several goroutines,
// but deliveries one at a time: the platform closes an older work by force when
// a newer one is worked on.
type Platform struct {
	config  Config
	client  *client
	queue   *queue
	carrier carrier

	mu sync.Mutex // guards what follows
	// home is the answer of the last registration.
	home home
	// canRead says that works and objects can be read; without it the broker's
	// confirm is the receipt.
	canRead  bool
	markings map[stix.ID]marking
	// pushTakesWork: a bundle that goes through the API can name a work.
	pushTakesWork bool
	// stale is set when the broker or the platform does not know the connector
	// any more: it is registered again before anything else.
	stale bool
	// unreached is the failed connection to the broker that made it stale, nil where
	// it was something else.
	unreached error
	// expectReset is set while the answer to one ping is still to be empty for a
	// reset that Start has reported already.
	expectReset bool
	// watch is what is known of the open work.
	watch watch
	// voidForeign is set after a reset that was asked for while no connector ran:
	// receipts of an earlier process lead to nothing.
	voidForeign bool
}

// New checks the configuration and reports all of its mistakes. It opens
// nothing.
func New(c Config) (*Platform, error) {
	c.setDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	client, err := newClient(c)
	if err != nil {
		return nil, err
	}
	p := &Platform{
		config:   c,
		client:   client,
		queue:    newQueue(dialer(c.MQ.Explain), c.ConfirmTimeout, c.MaxMessageBytes),
		markings: map[stix.ID]marking{},
	}
	p.carrier = byBroker{p.queue}
	if c.ThroughAPI {
		p.carrier = byPlatform{p}
	}
	return p, nil
}

// Close lets go of the broker and of idle connections. The connector stays
// registered, so that the platform keeps its state and its queue.
func (p *Platform) Close(context.Context) error {
	p.client.http.CloseIdleConnections()
	return p.queue.close()
}
