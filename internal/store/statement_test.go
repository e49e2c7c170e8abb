package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestAPreparedStatementBelongsToItsTransaction(t *testing.T) {
	n := openNotes(t)
	const insert = "INSERT INTO note (text) VALUES (?)"
	write := func(ctx context.Context, text string) error {
		stmt, err := n.s.Prepared(ctx, insert)
		if err != nil {
			return err
		}
		_, err = stmt.ExecContext(ctx, text)
		return err
	}
	for _, tc := range []struct {
		text string
		err  error
	}{{"kept", nil}, {"undone", errTest}, {"kept too", nil}} {
		err := n.s.Do(t.Context(), func(ctx context.Context) error {
			return errors.Join(write(ctx, tc.text), write(ctx, tc.text+" twice"), tc.err)
		})
		if !errors.Is(err, tc.err) {
			t.Fatal(err)
		}
	}
	if err := write(t.Context(), "outside"); err != nil {
		t.Fatal(err)
	}
	if got, want := n.read(t), []string{"kept", "kept too", "kept too twice", "kept twice", "outside"}; !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
	if _, err := n.s.Prepared(t.Context(), "INSERT INTO nowhere VALUES (?)"); err == nil {
		t.Error("a statement about no table was prepared")
	}
}
