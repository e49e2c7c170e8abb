package store

import (
	"context"
	"fmt"
)

type transactionKey struct{}

// Do runs fn in one transaction: everything that fn writes with the context it is
// given is committed, synced to disk, when fn returns nil, and undone otherwise.
// A Do inside a Do joins the outer transaction. Transactions of one process wait
// for each other in order; no HTTP request belongs inside.
func (s *Store) Do(ctx context.Context, fn func(context.Context) error) error {
	if ctx.Value(transactionKey{}) == s {
		return fn(ctx)
	}
	select {
	case s.writer <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.writer }()
	err := s.db.DoTxn(context.WithValue(ctx, transactionKey{}, s), nil, fn)
	if err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	return nil
}
