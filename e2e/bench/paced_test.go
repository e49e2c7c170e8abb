package bench_test

import (
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/bench"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// BenchmarkPaced is a chat at 35 texts a second in four rooms, on a homeserver that
// shows ten events a room in a /sync and leaves the rest to /messages.
func BenchmarkPaced(b *testing.B) {
	for b.Loop() {
		s := bench.New(b, matrixtest.Options{TimelineCap: 10})
		alice := s.Homeserver.Account("alice", "secret")
		rooms := s.Rooms(4, alice, matrixtest.RoomOptions{})
		run := s.Starts()
		run.Synced(1)
		queue := s.Consumes()
		sent := map[id.EventID]time.Time{}
		chat := talk{every: time.Second / 35, say: func(i int) id.EventID {
			e := rooms[i%len(rooms)].Say(alice, sentence(i))
			sent[e] = time.Now()
			return e
		}}
		for range *paced {
			chat.next(nil)
		}
		// What has not come after a minute is lost.
		if err := run.Awaits(time.Minute, "all texts were there", func() bool { return queue.Count() >= len(sent) }); err != nil {
			b.Log(err)
		}
		run.Ends()
		var late []time.Duration
		for e, at := range sent {
			if came, ok := queue.At(e); ok {
				late = append(late, came.Sub(at))
			}
		}
		lost, doubled, strange := compare(s, chat.said)
		if doubled+strange > 0 {
			b.Errorf("%d texts are doubled, %d are nobody's", doubled, strange)
		}
		bench.PacedLost.Is(b, "", float64(lost))
		bench.PacedLate.Is(b, "p95", quantile(late, 95))
	}
}
