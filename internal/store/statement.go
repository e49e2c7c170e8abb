package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"go.mau.fi/util/dbutil"
)

// statements are the prepared statements of a store. Parsing one costs as much as
// running it, so what runs for every event is parsed once for each connection.
//
// SQLite parses a statement again whenever a variable is bound whose value its planner
// has looked at, and it looks at that of LIMIT: "LIMIT ?" costs 30 µs a query, and
// "LIMIT ?+0", which it does not look into, costs 1.4.
type statements struct {
	mu sync.Mutex
	by map[string]*sql.Stmt
}

// Prepared gives the prepared form of a query, which belongs to the transaction of ctx
// where there is one. The query must be a constant: each different text is kept until
// the store is closed. It is not to be closed.
func (s *Store) Prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	t, _ := ctx.Value(transactionKey{}).(*transaction)
	if t != nil && t.store == s {
		if stmt, ok := t.statements[query]; ok {
			return stmt, nil
		}
	}
	stmt, err := s.prepare(ctx, query)
	if err != nil || t == nil || t.store != s {
		return stmt, err
	}
	tx, ok := s.db.Execable(ctx).(*dbutil.LoggingTxn)
	if !ok {
		return stmt, nil
	}
	stmt = tx.UnderlyingTx.StmtContext(ctx, stmt)
	t.statements[query] = stmt
	return stmt, nil
}

func (s *Store) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	s.prepared.mu.Lock()
	defer s.prepared.mu.Unlock()
	if stmt, ok := s.prepared.by[query]; ok {
		return stmt, nil
	}
	stmt, err := s.db.RawDB.PrepareContext(ctx, query) //nolint:sqlclosecheck // closed with the store
	if err != nil {
		return nil, fmt.Errorf("prepare statement: %w", err)
	}
	if s.prepared.by == nil {
		s.prepared.by = map[string]*sql.Stmt{}
	}
	s.prepared.by[query] = stmt
	return stmt, nil
}

func (s *statements) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first error
	for _, stmt := range s.by {
		if err := stmt.Close(); err != nil && first == nil {
			first = err
		}
	}
	s.by = nil
	return first
}
