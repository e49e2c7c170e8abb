package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/matrix-connector/matrix-connector/internal/crash"
)

type transactionKey struct{}

// transaction is what a context of Do carries.
type transaction struct {
	store *Store
	// failed is the first error of a joined Do. It dooms the whole transaction,
	// also where the caller in between forgets it.
	failed error
	after  []func() // to run once it is committed

	statements map[string]*sql.Stmt // prepared ones that belong to it
}

var errPanicked = errors.New("panicked")

// Do runs fn in one transaction: everything that fn writes with the context it is
// given is committed, synced to disk, when fn returns nil, and undone otherwise,
// also when fn panics (the panic then goes on). A Do inside a Do joins the outer
// transaction; when the inner one fails, all of it fails. Transactions of one
// process wait for each other in order; no HTTP request belongs inside.
//
// When ctx ends, the transaction is undone, and the next statement fails; the context
// that fn is given does not tell. It must not outlive fn, and only one goroutine may use
// it.
func (s *Store) Do(ctx context.Context, fn func(context.Context) error) error {
	if outer, ok := ctx.Value(transactionKey{}).(*transaction); ok && outer.store == s {
		err := fn(ctx)
		if err != nil && outer.failed == nil {
			outer.failed = err
		}
		return err
	}
	select {
	case s.writer <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.writer }()

	t := &transaction{store: s, statements: map[string]*sql.Stmt{}}
	var panicked any
	err := s.db.DoTxn(context.WithValue(ctx, transactionKey{}, t), nil, func(ctx context.Context) (err error) {
		// DoTxn does not undo on a panic: the connection would keep SQLite's
		// write lock for ever.
		defer func() {
			if p := recover(); p != nil {
				panicked = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
				err = errPanicked
			}
		}()
		// The transaction ends with the context it was begun with. Were its statements to
		// watch that, too, the driver would start a goroutine for each of them.
		if err := fn(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		crash.At("store: before the commit of", "")
		return t.failed
	})
	if panicked != nil {
		panic(panicked)
	}
	if err != nil {
		// database/sql undoes by itself when ctx ends, and may then say only that the
		// transaction is over.
		if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return fmt.Errorf("transaction: %w", err)
	}
	crash.At("store: after the commit of", "")
	for _, fn := range t.after {
		fn()
	}
	return nil
}

// AfterCommit runs fn when the transaction of ctx is committed, and never when it is
// undone; at once where there is no transaction. fn must be short and must not use
// the store.
func (s *Store) AfterCommit(ctx context.Context, fn func()) {
	if t, ok := ctx.Value(transactionKey{}).(*transaction); ok && t.store == s {
		t.after = append(t.after, fn)
		return
	}
	fn()
}

// InTransaction reports whether ctx belongs to a transaction of this store.
func (s *Store) InTransaction(ctx context.Context) bool {
	t, ok := ctx.Value(transactionKey{}).(*transaction)
	return ok && t.store == s
}
