package openctitest_test

import (
	"fmt"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// How fast the stand-in takes messages with their relations, so that it is never
// the slow part of a measurement.
func BenchmarkIngestAMessageAndItsRelation(b *testing.B) {
	p, err := openctitest.New(openctitest.Config{Generation: openctitest.Gen7})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	room := "channel--14e5bc08-21ec-5b28-99c8-d4d30252c22f"
	if err := p.Import("connector", `{"type":"channel","name":"general"}`); err != nil {
		b.Fatal(err)
	}
	user := p.UserID("connector")
	for i := 0; b.Loop(); i++ {
		id := fmt.Sprintf("media-content--00000000-0000-4000-8000-%012x", i)
		m := media(fmt.Sprintf("$%d:example.org", i), "hello")
		m["id"] = id
		r := map[string]any{
			"type": "relationship", "spec_version": "2.1", "id": fmt.Sprintf("relationship--00000000-0000-4000-8000-%012x", i),
			"relationship_type": "publishes", "source_ref": room, "target_ref": id, "start_time": "2026-11-20T10:00:00.000Z",
		}
		for _, o := range []any{m, r} {
			if err := p.Ingest(envelope(user, "", o)); err != nil {
				b.Fatal(err)
			}
		}
	}
	if v := p.Violations(); len(v) > 0 {
		b.Fatal(v[0])
	}
}
