package people

import (
	"context"
	"sync"
)

// news guards what arrives beside the story, and wakes the story when it does. Its
// zero value is ready.
type news struct {
	mu      sync.Mutex
	changed chan struct{} // closed at the next change; nil: nobody waits
}

// tell makes a change.
func (n *news) tell(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// await waits until a condition on what is guarded holds.
func (n *news) await(ctx context.Context, holds func() bool) error {
	for {
		n.mu.Lock()
		if holds() {
			n.mu.Unlock()
			return nil
		}
		if n.changed == nil {
			n.changed = make(chan struct{})
		}
		changed := n.changed
		n.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
