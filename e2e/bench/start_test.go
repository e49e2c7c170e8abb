package bench_test

import (
	"slices"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/e2e/bench"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// starts is how often a start is measured; the middle one counts.
const starts = 7

// BenchmarkStart is the time from the start of the process to the homeserver's
// answer to its first /sync: at first with the login and the making of keys, then
// with a device that exists.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s := bench.New(b, matrixtest.Options{})
		s.Works()
		alice := s.Homeserver.Account("alice", "secret")
		rooms := s.Rooms(4, alice, matrixtest.RoomOptions{})
		first := start(b, s, rooms[0])
		again := make([]time.Duration, starts)
		for i := range again {
			again[i] = start(b, s, rooms[0])
		}
		bench.FirstStart.Is(b, "with-login", milliseconds(first))
		bench.EmptyStart.Is(b, "start", milliseconds(middle(again)))
	}
}

// BenchmarkStartLoaded is the same beside a store of a million events that have
// landed, of fifty rooms and ten people.
func BenchmarkStartLoaded(b *testing.B) {
	for b.Loop() {
		s := bench.New(b, matrixtest.Options{})
		s.Works()
		alice := s.Homeserver.Account("alice", "secret")
		room := s.Rooms(1, alice, matrixtest.RoomOptions{})[0]
		if err := loaded(b.Context(), s.Store(), *events); err != nil {
			b.Fatal(err)
		}
		start(b, s, room) // logs in
		again := make([]time.Duration, starts)
		for i := range again {
			again[i] = start(b, s, room)
		}
		bench.LoadedStart.Is(b, "loaded", milliseconds(middle(again)))
	}
}

// start runs the connector until its first /sync was answered, for which there is
// news, and stops it when it asks for more: what came is stored.
func start(b *testing.B, s *bench.Stage, room *matrixtest.Room) time.Duration {
	b.Helper()
	asked, answered := s.Homeserver.Count(matrixtest.Sync), s.Homeserver.Answers(matrixtest.Sync)
	room.Say(s.Homeserver.UserID("alice"), "Is it up again?")
	began := time.Now()
	run := s.Starts()
	run.Synced(answered + 1)
	took := time.Since(began)
	for s.Homeserver.Count(matrixtest.Sync) < asked+2 && time.Since(began) < time.Minute {
		pause(b, time.Millisecond)
	}
	run.Ends()
	return took
}

func middle(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
