package ledger_test

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// BenchmarkDisk says how many bytes a message takes once it has landed, and once its
// content is dropped. LEDGER_SCALE says of how many messages, 20,000 if unset.
func BenchmarkDisk(b *testing.B) {
	count, err := strconv.Atoi(cmp.Or(os.Getenv("LEDGER_SCALE"), "20000")) //nolint:forbidigo // a knob for people
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		folder := b.TempDir()
		d := openIn(b, folder)
		// used is what lies in pages that are not free.
		used := func() float64 {
			_, err := d.store.DB().Exec(b.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
			d.ok(err)
			n, err := strconv.Atoi(d.column("SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"))
			d.ok(err)
			return float64(n)
		}
		empty := used()
		for n := 0; n < count; n += 1000 {
			d.record(timeline.Batch{Events: hashed(many(n, 1000))})
		}
		for {
			batch := d.due(500)
			if batch.Empty() {
				break
			}
			d.sends++
			d.ok(d.Send(b.Context(), "delivery "+strconv.Itoa(d.sends), batch))
			d.ok(d.LandAll(b.Context(), refs(batch)))
		}
		landed := used()
		d.now = d.now.Add(2 * week)
		var from ledger.TrimPlace
		for {
			done, err := d.Trim(b.Context(), d.now.Add(-week), from, 1000)
			d.ok(err)
			if from = done.Next; done.Done() {
				break
			}
		}
		b.ReportMetric((landed-empty)/float64(count), "B/message-landed")
		b.ReportMetric((used()-empty)/float64(count), "B/message-trimmed")
		info, err := os.Stat(filepath.Join(folder, store.FileName))
		d.ok(err)
		b.ReportMetric(float64(info.Size())/float64(count), "B/message-file")
	}
}
