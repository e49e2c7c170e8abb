package ledger_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"testing"

	"maunium.net/go/mautrix/id"

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

// hashed gives the events ids as homeservers make them: each lands on another page of
// the index.
func hashed(events []timeline.Event) []timeline.Event {
	for i := range events {
		sum := sha256.Sum256([]byte(events[i].ID))
		events[i].ID = id.EventID("$" + base64.RawURLEncoding.EncodeToString(sum[:]))
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
			d.ok(d.Send(b.Context(), strconv.Itoa(d.sends), batch))
			d.ok(d.LandAll(b.Context(), refs(batch)))
			delivered += len(batch.Drafts)
		}
	}
	b.ReportMetric(float64(delivered)/b.Elapsed().Seconds(), "posts/s")
}

// BenchmarkStart looks at what the next start costs beside many events: opening,
// settings, the first batch. LEDGER_SCALE says how many, 20,000 if unset.
func BenchmarkStart(b *testing.B) {
	count, err := strconv.Atoi(cmp.Or(os.Getenv("LEDGER_SCALE"), "20000")) //nolint:forbidigo // a knob for people
	if err != nil {
		b.Fatal(err)
	}
	folder := b.TempDir()
	d := openIn(b, folder)
	for n := 0; n < count; n += 500 {
		events := hashed(many(n, 500))
		for i := range events {
			events[i].Room = id.RoomID(fmt.Sprintf("!room%d:example.org", (n+i)%50))
			events[i].Live = i%3 == 0
		}
		d.record(timeline.Batch{Events: events})
	}
	if _, err := d.store.DB().Exec(b.Context(), "UPDATE ledger_room SET state = 'landed', landed = revision; UPDATE ledger_author SET state = 'landed', landed = revision"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d.restart()
		if got := d.due(100); len(got.Drafts) != 100 {
			b.Fatalf("%d posts are due", len(got.Drafts))
		}
		if _, err := d.Counts(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
