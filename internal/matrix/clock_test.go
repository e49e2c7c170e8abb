package matrix_test

import (
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// TestNothingWaitsForTheTimeOfAClockThatWasAhead: the machine came up with a date of next
// year, and then asked a time server.
func TestNothingWaitsForTheTimeOfAClockThatWasAhead(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	ahead, soon := time.Now().AddDate(1, 0, 0).UnixMilli(), time.Now().Add(time.Hour).UnixMilli()
	for _, write := range []string{
		"INSERT INTO matrix_stale_user (user_id, since, attempts, due) VALUES ('@late:test.example', 1, 3, $1), ('@soon:test.example', 1, 3, $2)",
		"INSERT INTO matrix_unwedge (sender, sender_key, wanted, sent_at) VALUES ('@late:test.example', 'k', 1, $1), ('@soon:test.example', 'k', 1, $2 - 2 * 3600000)",
	} {
		if _, err := s.store.DB().Exec(t.Context(), write, ahead, soon); err != nil {
			t.Fatal(err)
		}
	}
	s.open()
	for query, want := range map[string]int64{
		"SELECT due FROM matrix_stale_user WHERE user_id = '@late:test.example'": 0,
		"SELECT due FROM matrix_stale_user WHERE user_id = '@soon:test.example'": soon,
		"SELECT sent_at FROM matrix_unwedge WHERE sender = '@late:test.example'": 0,
		"SELECT sent_at FROM matrix_unwedge WHERE sender = '@soon:test.example'": soon - 2*3600000,
	} {
		var got int64
		if err := s.store.DB().QueryRow(t.Context(), query).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s gives %d, want %d", query, got, want)
		}
	}
}
