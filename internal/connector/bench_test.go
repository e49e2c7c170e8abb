package connector_test

import (
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// BenchmarkDeliver takes b.N plain texts from the ledger to a sink that answers at
// once: everything between them but the platform's protocol.
func BenchmarkDeliver(b *testing.B) {
	s := newScene(b)
	s.says("room and author come first")
	if errs := s.delivers(); errs != nil {
		b.Fatal(errs)
	}
	const page = 1000
	for from := 0; from < b.N; from += page {
		var batch timeline.Batch
		for i := from; i < min(from+page, b.N); i++ {
			body := marshal(b, map[string]any{
				"msgtype": "m.text", "body": fmt.Sprintf("Message %d says that evil[.]example came back at 198.51.100.%d", i, i%250),
			})
			batch.Events = append(batch.Events, timeline.Event{
				Room: den, ID: id.EventID(fmt.Sprintf("$bench%d", i)), Sender: alice, SenderName: "Alice", RoomName: "The den", Type: "m.room.message",
				Sent: s.now().Add(time.Duration(i) * time.Second), Received: s.now(), Content: body, Raw: body,
			})
		}
		s.record(batch)
	}
	s.sink.quick = true
	b.ReportAllocs()
	b.ResetTimer()
	for more := true; more; {
		var err error
		if more, err = s.out.Turn(s.ctx); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if n := s.posts()["landed"]; n != b.N+1 {
		b.Fatalf("%d of %d posts have landed", n, b.N+1)
	}
}
