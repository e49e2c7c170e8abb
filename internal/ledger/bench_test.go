package ledger_test

import (
	"context"
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// many makes messages of ten people in a room, 300 bytes of text each.
func many(from, count int) []timeline.Event {
	events := make([]timeline.Event, count)
	for i := range events {
		n := from + i
		events[i] = message(n, id.UserID(fmt.Sprintf("@person%d:example.org", n%10)), fmt.Sprintf("%0300d", n))
	}
	return events
}

// BenchmarkRecord stores 100 plain messages a transaction.
func BenchmarkRecord(b *testing.B) {
	d := open(b)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		d.news(many(n, 100)...)
		n += 100
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkDeliver takes 50 posts from due to landed.
func BenchmarkDeliver(b *testing.B) {
	d := open(b)
	n := 0
	delivered := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for range 10 {
			d.news(many(n, 50)...)
			n += 50
		}
		b.StartTimer()
		for {
			batch := d.due(50)
			if batch.Empty() {
				break
			}
			d.sends++
			d.ok(d.Send(b.Context(), fmt.Sprint(d.sends), batch))
			d.ok(inDo(d, func(ctx context.Context) error {
				for _, r := range batch.Rooms {
					d.ok(d.Land(ctx, ledger.RoomRef(r), r.Revision))
				}
				for _, a := range batch.Authors {
					d.ok(d.Land(ctx, ledger.AuthorRef(a), a.Revision))
				}
				for _, p := range batch.Drafts {
					d.ok(d.Land(ctx, ledger.PostRef(p), p.Revision))
				}
				return nil
			}))
			delivered += len(batch.Drafts)
		}
	}
	b.ReportMetric(float64(delivered)/b.Elapsed().Seconds(), "posts/s")
}
