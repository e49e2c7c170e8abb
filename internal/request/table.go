package request

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/matrix-connector/matrix-connector/internal/store"
)

// Table is the requests of one store. It is safe for concurrent use, also by several
// processes.
type Table struct {
	store *store.Store
	now   func() time.Time
}

// New makes the table of a store. It touches nothing; see [Table.Open].
func New(s *store.Store, now func() time.Time) *Table {
	if now == nil {
		now = time.Now
	}
	return &Table{store: s, now: now}
}

//go:embed schema/*.sql
var schema embed.FS

var upgrades = sync.OnceValue(func() dbutil.UpgradeTable {
	return dbutil.BuildUpgradeTable().WithFSPath(schema, "schema").Finish()
})

// ErrTables is a store that has no table of requests yet, or an older one.
var ErrTables = errors.New("the store has no requests of this version")

// Ready reports whether requests can be made in a store, [ErrTables] when no connector
// of this version has opened it: only one process may do that.
func Ready(ctx context.Context, s *store.Store) error {
	version, err := s.TablesVersion(ctx, "request_version", upgrades())
	if err == nil && version < len(upgrades()) {
		err = ErrTables
	}
	return err
}

// Open makes the table or brings it to its newest version, and forgets requests that
// ended long ago. The caller holds the lock of the store.
func (t *Table) Open(ctx context.Context) error {
	if err := t.store.Tables(ctx, "request_version", upgrades()); err != nil {
		return fmt.Errorf("open requests: %w", err)
	}
	_, err := t.store.DB().Exec(ctx, "DELETE FROM request WHERE state <> 'open' AND ended < ?", t.now().Add(-kept).UnixMilli())
	if err != nil {
		return fmt.Errorf("forget old requests: %w", err)
	}
	return nil
}

// Submit asks for something. asks becomes JSON and is sealed.
func (t *Table) Submit(ctx context.Context, kind Kind, asks any) (int64, error) {
	return t.submit(ctx, kind, asks, false)
}

// SubmitInteractive asks for something that is only meant while somebody touches it.
func (t *Table) SubmitInteractive(ctx context.Context, kind Kind, asks any) (int64, error) {
	return t.submit(ctx, kind, asks, true)
}

func (t *Table) submit(ctx context.Context, kind Kind, asks any, interactive bool) (id int64, err error) {
	err = t.store.Do(ctx, func(ctx context.Context) error {
		now := t.now().UnixMilli()
		result, err := t.store.DB().Exec(ctx, "INSERT INTO request (kind, interactive, made, touched) VALUES (?,?,?,?)", kind, interactive, now, now)
		if err != nil {
			return err
		}
		if id, err = result.LastInsertId(); err != nil {
			return err
		}
		return t.write(ctx, id, "asks", asks)
	})
	if err != nil {
		return 0, fmt.Errorf("submit request: %w", err)
	}
	return id, nil
}

// write seals a text into a column of an open request.
func (t *Table) write(ctx context.Context, id int64, column string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	sealed, err := t.store.Seal(text, place(id, column))
	if err != nil {
		return fmt.Errorf("seal request: %w", err)
	}
	return t.change(ctx, id, "UPDATE request SET "+column+"_sealed = ? WHERE id = ? AND state = 'open'", sealed)
}

// change runs an update of an open request; its last argument is the id.
func (t *Table) change(ctx context.Context, id int64, query string, args ...any) error {
	result, err := t.store.DB().Exec(ctx, query, append(args, id)...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil || n > 0 {
		return err
	}
	if _, err := t.Get(ctx, id); err != nil {
		return err
	}
	return ErrEnded
}

// Answer notes what the one who asks says meanwhile, and touches the request.
func (t *Table) Answer(ctx context.Context, id int64, says any) error {
	err := t.store.Do(ctx, func(ctx context.Context) error {
		if err := t.write(ctx, id, "says", says); err != nil {
			return err
		}
		return t.touch(ctx, id)
	})
	return wrap("answer request", err)
}

// Touch says that the one who asks is still there.
func (t *Table) Touch(ctx context.Context, id int64) error {
	return wrap("touch request", t.touch(ctx, id))
}

func (t *Table) touch(ctx context.Context, id int64) error {
	return t.change(ctx, id, "UPDATE request SET touched = ? WHERE id = ? AND state = 'open'", t.now().UnixMilli())
}

// Show notes how far an open request is.
func (t *Table) Show(ctx context.Context, id int64, progress any) error {
	return wrap("show request", t.write(ctx, id, "shows", progress))
}

// Finish ends a request that was carried out.
func (t *Table) Finish(ctx context.Context, id int64, outcome any) error {
	return t.end(ctx, id, Done, outcome)
}

// Fail ends a request that cannot be carried out.
func (t *Table) Fail(ctx context.Context, id int64, why Failure) error {
	return t.end(ctx, id, Failed, why)
}

func (t *Table) end(ctx context.Context, id int64, state State, outcome any) error {
	err := t.store.Do(ctx, func(ctx context.Context) error {
		if err := t.write(ctx, id, "shows", outcome); err != nil {
			return err
		}
		return t.close(ctx, id, state)
	})
	return wrap("end request", err)
}

// Withdraw ends a request that is not wanted any more.
func (t *Table) Withdraw(ctx context.Context, id int64) error {
	return wrap("withdraw request", t.close(ctx, id, Withdrawn))
}

func (t *Table) close(ctx context.Context, id int64, state State) error {
	return t.change(ctx, id, "UPDATE request SET state = ?, ended = ?, asks_sealed = NULL, says_sealed = NULL WHERE id = ? AND state = 'open'",
		state, t.now().UnixMilli())
}

// Pending gives the open requests of the kinds, oldest first; of all kinds where none is
// named. Interactive ones whose command has gone are withdrawn by it.
func (t *Table) Pending(ctx context.Context, kinds ...Kind) ([]Request, error) {
	if _, err := t.store.DB().Exec(ctx, `UPDATE request SET state = 'withdrawn', ended = ?1, asks_sealed = NULL, says_sealed = NULL
		WHERE state = 'open' AND interactive AND touched < ?2`, t.now().UnixMilli(), t.now().Add(-Forsaken).UnixMilli()); err != nil {
		return nil, fmt.Errorf("withdraw forsaken requests: %w", err)
	}
	query, args := "SELECT "+columns+" FROM request WHERE state = 'open'", make([]any, 0, len(kinds))
	for _, k := range kinds {
		args = append(args, k)
	}
	if len(kinds) > 0 {
		query += " AND kind IN (?" + strings.Repeat(",?", len(kinds)-1) + ")"
	}
	rows, err := t.store.DB().Query(ctx, query+" ORDER BY id", args...)
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	defer func() { _ = rows.Close() }() // Err says what matters
	var list []Request
	for rows.Next() {
		r, err := t.scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, wrap("read requests", rows.Err())
}

// Get gives one request.
func (t *Table) Get(ctx context.Context, id int64) (Request, error) {
	r, err := t.scan(t.store.DB().QueryRow(ctx, "SELECT "+columns+" FROM request WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return Request{}, ErrUnknown
	}
	return r, err
}

const columns = "id, kind, state, asks_sealed, says_sealed, shows_sealed, interactive, made, ended"

func (t *Table) scan(row dbutil.Scannable) (Request, error) {
	var r Request
	var asks, says, shows []byte
	var made, ended int64
	if err := row.Scan(&r.ID, &r.Kind, &r.State, &asks, &says, &shows, &r.Interactive, &made, &ended); err != nil {
		return r, fmt.Errorf("read request: %w", err)
	}
	for _, one := range []struct {
		sealed []byte
		to     *json.RawMessage
		column string
	}{{asks, &r.Asks, "asks"}, {says, &r.Says, "says"}, {shows, &r.Shows, "shows"}} {
		if one.sealed == nil {
			continue
		}
		plain, err := t.store.Unseal(one.sealed, place(r.ID, one.column))
		if err != nil {
			return r, fmt.Errorf("read request: %w", err)
		}
		*one.to = plain
	}
	r.Made = time.UnixMilli(made).UTC()
	if ended != 0 {
		r.Ended = time.UnixMilli(ended).UTC()
	}
	return r, nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
