package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.mau.fi/util/dbutil"

	"github.com/matrix-connector/matrix-connector/internal/store"
)

// notes is a tenant with one table, reached as mautrix's stores are: through a child of
// the store's database.
type notes struct {
	s  *store.Store
	db *dbutil.Database
}

func openNotes(t *testing.T) notes {
	t.Helper()
	s := open(t, t.TempDir(), nil)
	if _, err := s.DB().Exec(t.Context(), "CREATE TABLE note (text TEXT NOT NULL UNIQUE) STRICT"); err != nil {
		t.Fatal(err)
	}
	return notes{s: s, db: s.DB().Child("note_version", nil, nil)}
}

func (n notes) write(ctx context.Context, text string) error {
	_, err := n.db.Exec(ctx, "INSERT INTO note (text) VALUES ($1)", text)
	return err
}

func (n notes) read(t *testing.T) []string {
	t.Helper()
	rows, err := n.db.Query(t.Context(), "SELECT text FROM note ORDER BY text")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		out = append(out, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

var errTest = errors.New("test failure")

func TestATransactionIsAllOrNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(n notes) func(context.Context) error
		err  error
		want []string
	}{
		"what succeeds is kept": {
			do: func(n notes) func(context.Context) error {
				return func(ctx context.Context) error { return errors.Join(n.write(ctx, "a"), n.write(ctx, "b")) }
			},
			want: []string{"a", "b"},
		},
		"what fails is undone": {
			do: func(n notes) func(context.Context) error {
				return func(ctx context.Context) error { return errors.Join(n.write(ctx, "a"), errTest) }
			},
			err: errTest,
		},
		"a transaction of a child database joins": {
			do: func(n notes) func(context.Context) error {
				return func(ctx context.Context) error {
					err := n.db.DoTxn(ctx, nil, func(ctx context.Context) error { return n.write(ctx, "inner") })
					return errors.Join(err, errTest)
				}
			},
			err: errTest,
		},
		"a Do inside joins and is undone with the outer one": {
			do: func(n notes) func(context.Context) error {
				return func(ctx context.Context) error {
					err := n.s.Do(ctx, func(ctx context.Context) error { return n.write(ctx, "inner") })
					return errors.Join(err, errTest)
				}
			},
			err: errTest,
		},
		"a failed Do inside fails the outer one, also when it is forgotten": {
			do: func(n notes) func(context.Context) error {
				return func(ctx context.Context) error {
					_ = n.s.Do(ctx, func(ctx context.Context) error { return errors.Join(n.write(ctx, "inner"), errTest) })
					return n.write(ctx, "outer")
				}
			},
			err: errTest,
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := openNotes(t)
			committed := 0
			err := n.s.Do(t.Context(), func(ctx context.Context) error {
				if !n.s.InTransaction(ctx) {
					t.Error("context does not belong to the transaction")
				}
				n.s.AfterCommit(ctx, func() { committed++ })
				return tc.do(n)(ctx)
			})
			if !errors.Is(err, tc.err) {
				t.Errorf("error is %v, want %v", err, tc.err)
			}
			if got := n.read(t); !slices.Equal(got, tc.want) {
				t.Errorf("kept %q, want %q", got, tc.want)
			}
			if want := map[bool]int{true: 1, false: 0}[tc.err == nil]; committed != want {
				t.Errorf("ran %d times after the commit, want %d", committed, want)
			}
		})
	}
}

func TestAPanicIsUndoneAndGoesOn(t *testing.T) {
	n := openNotes(t)
	func() {
		defer func() {
			p, _ := recover().(string)
			if !strings.Contains(p, "boom") || !strings.Contains(p, "transaction_test.go") {
				t.Errorf("panic is %q, want the original with its stack", p)
			}
		}()
		_ = n.s.Do(t.Context(), func(ctx context.Context) error {
			if err := n.write(ctx, "a"); err != nil {
				return err
			}
			panic("boom")
		})
	}()
	if err := n.s.Do(t.Context(), func(ctx context.Context) error { return n.write(ctx, "b") }); err != nil {
		t.Fatalf("the store is unusable after a panic: %v", err)
	}
	if got := n.read(t); !slices.Equal(got, []string{"b"}) {
		t.Errorf("kept %q, want only b", got)
	}
}

func TestACancelledTransactionIsUndone(t *testing.T) {
	n := openNotes(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := n.s.Do(ctx, func(ctx context.Context) error {
		err := n.write(ctx, "a")
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want cancelled", err)
	}
	if got := n.read(t); got != nil {
		t.Errorf("kept %q, want nothing", got)
	}
}

func TestWhoWaitsForATransactionCanGiveUp(t *testing.T) {
	n := openNotes(t)
	err := n.s.Do(t.Context(), func(context.Context) error {
		waiting, cancel := context.WithCancel(context.Background())
		cancel()
		return n.s.Do(waiting, func(context.Context) error { //nolint:contextcheck // it waits with a context of its own
			t.Error("a second transaction ran inside the first")
			return nil
		})
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want cancelled", err)
	}
}

func TestTransactionsOfManyGoroutinesAndProcessesTakeTurns(t *testing.T) {
	folder := t.TempDir()
	stores := []*store.Store{open(t, folder, nil), open(t, folder, nil)}
	if _, err := stores[0].DB().Exec(t.Context(), "CREATE TABLE counter (n INTEGER NOT NULL) STRICT; INSERT INTO counter VALUES (0)"); err != nil {
		t.Fatal(err)
	}
	const goroutines, rounds = 4, 10
	var wg sync.WaitGroup
	for _, s := range stores {
		for range goroutines {
			wg.Go(func() {
				for range rounds {
					err := s.Do(t.Context(), func(ctx context.Context) error {
						var n int
						if err := s.DB().QueryRow(ctx, "SELECT n FROM counter").Scan(&n); err != nil {
							return err
						}
						_, err := s.DB().Exec(ctx, "UPDATE counter SET n = ?", n+1)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	var n int
	if err := stores[1].DB().QueryRow(t.Context(), "SELECT n FROM counter").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if want := len(stores) * goroutines * rounds; n != want {
		t.Errorf("counted %d, want %d: an update was lost", n, want)
	}
}

func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	n := openNotes(t)
	if err := n.write(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	err := n.s.Do(t.Context(), func(ctx context.Context) error {
		if err := n.write(ctx, "inside"); err != nil {
			return err
		}
		if got := n.read(t); !slices.Equal(got, []string{"before"}) { //nolint:contextcheck // it reads outside of the transaction
			t.Errorf("a reader outside sees %q", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAfterCommitOutsideOfATransactionRunsAtOnce(t *testing.T) {
	n := openNotes(t)
	ran := false
	n.s.AfterCommit(t.Context(), func() { ran = true })
	if !ran {
		t.Error("did not run")
	}
}
