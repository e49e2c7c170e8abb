package matrix

import (
	"context"
	"fmt"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// transact runs fn as the one owner of the crypto state, inside one transaction of
// the store. What fn and the machine write is committed together, or not at all;
// in that case the machine is made again from the database before the lock is
// released, because its memory is ahead of what is stored.
//
// An error of any crypto store call made with fn's context fails the transaction
// even where the library only logs it. fn makes no request and must not call
// transact.
func (a *Account) transact(ctx context.Context, fn func(ctx context.Context, m *machine) error) (err error) {
	select {
	case a.crypto <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.crypto }()

	if a.machine == nil {
		if a.machine, err = a.loadMachine(ctx); err != nil {
			return fmt.Errorf("load crypto state: %w", err)
		}
	}
	m := a.machine
	m.keys, m.refusals, m.heard = nil, nil, nil

	committed := false
	defer func() {
		if committed {
			return
		}
		// Also on a panic: then the machine is made again by the next owner.
		m.discard()
		a.machine = nil
		if err != nil {
			// Best effort here, so that the next owner finds it ready; where the
			// database is out of reach, the next owner tries again.
			if fresh, loadErr := a.loadMachine(context.WithoutCancel(ctx)); loadErr == nil {
				a.machine = fresh
			}
		}
	}()

	var calls storeCalls
	// The account's own cross-signing keys are in the store once they are known; a
	// machine that finds none there asks, and hears that there are none.
	none := answers{bodies: map[string][]byte{"/keys/query": []byte("{}")}}
	err = a.store.Do(none.attach(calls.attach(ctx)), func(ctx context.Context) error {
		err := fn(ctx, m)
		if first := calls.err(); first != nil {
			return first
		}
		return err
	})
	committed = err == nil
	if committed && len(m.keys) > 0 {
		a.keysUnsaved.Store(true)
	}
	if committed && len(m.heard) > 0 {
		a.overhears(m.heard)
	}
	if committed && m.outdated {
		m.discard()
		a.machine = nil
	}
	return err
}

// keysReceived are the Megolm sessions that became known, better or refused since
// the current transaction began.
func (m *machine) keysReceived() []timeline.KeyRef { return m.keys }
