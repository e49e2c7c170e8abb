package bench_test

import (
	"testing"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/bench"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// BenchmarkOne is one message at a time, plain and encrypted ones in turns, from the
// moment at which the homeserver has it to the moment at which the broker gives it
// to a consumer of the connector's queue.
func BenchmarkOne(b *testing.B) {
	for b.Loop() {
		s := bench.New(b, matrixtest.Options{})
		bob, err := s.Homeserver.NewPeer(b.Context(), "bob")
		if err != nil {
			b.Fatal(err)
		}
		open := s.Rooms(1, bob.User, matrixtest.RoomOptions{})[0]
		secret := s.Rooms(1, bob.User, matrixtest.RoomOptions{Encrypted: true})[0]
		run := s.Starts()
		run.Synced(1)
		queue := s.Consumes()
		say := map[bool]func(string) id.EventID{
			false: func(body string) id.EventID { return open.Say(bob.User, body) },
			true: func(body string) id.EventID {
				cipher, err := bob.Encrypt(b.Context(), secret.ID, event.EventMessage, text(body))
				if err != nil {
					b.Fatal(err)
				}
				return secret.Send(bob.User, event.EventEncrypted.Type, cipher)
			},
		}
		took := map[bool][]time.Duration{}
		for i := range *singles {
			for _, encrypted := range []bool{false, true} {
				sent := say[encrypted](sentence(i))
				began := time.Now()
				run.Await(time.Minute, "a message came out of the queue", func() bool { _, ok := queue.At(sent); return ok })
				at, _ := queue.At(sent)
				if i > 0 { // the first one comes with its room, its author and its key
					took[encrypted] = append(took[encrypted], at.Sub(began))
				}
				// People do not wait for the platform, nor do they speak all the time.
				pause(b, time.Duration(100+i*37%100)*time.Millisecond)
			}
		}
		run.Ends()
		bench.PlainHalf.Is(b, "plain-p50", quantile(took[false], 50))
		bench.PlainMost.Is(b, "plain-p95", quantile(took[false], 95))
		bench.SecretHalf.Is(b, "encrypted-p50", quantile(took[true], 50))
		bench.SecretMost.Is(b, "encrypted-p95", quantile(took[true], 95))
	}
}
