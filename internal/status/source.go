package status

import (
	"context"
	"sync"
	"time"
)

// Source is what is asked about a connector. It is safe for concurrent use.
type Source interface {
	// Snapshot is what the connector is doing. It may ask the store.
	Snapshot(ctx context.Context) (Snapshot, error)
	// Readiness says whether messages can come and go. It asks nobody.
	Readiness() Readiness
	// Alive is nil while every loop turns, and otherwise names the one that hangs.
	Alive() error
}

// cacheFor is how long a snapshot is given again, within bounds the asking.
const (
	cacheFor = 3 * time.Second
	within   = 10 * time.Second
)

// cache asks a source once for all who ask within [cacheFor].
type cache struct {
	source Source
	now    func() time.Time

	mu   sync.Mutex // also held while asking
	last Snapshot
	err  error
	at   time.Time
}

func (c *cache) snapshot(ctx context.Context) (Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.at.IsZero() || now.Sub(c.at) >= cacheFor {
		// Whoever asks first may go away; the answer is for those who wait, too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
		defer cancel()
		c.last, c.err = c.source.Snapshot(ctx)
		c.at = c.now()
	}
	return c.last, c.err
}
