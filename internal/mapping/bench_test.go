package mapping_test

import (
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// BenchmarkPost maps a plain text, which is what nearly every message is.
func BenchmarkPost(b *testing.B) {
	room := timeline.Room{ID: "!KfZpOXBzHvQnRtYwLm:example.org", Name: "Threat intelligence", Server: "example.org"}
	author := timeline.Author{User: "@alice:example.org", Name: "Alice", Since: time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)}
	draft := timeline.Draft{
		Post: timeline.Post{
			Room: room.ID, ID: "$Rz5nVJ8YhC2dW0qLxKb7tUeA4sMfG1pOiNj6XvQy3Zk", Sender: author.User, SenderName: author.Name, RoomName: room.Name,
			Sent: time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC), Kind: timeline.KindText,
			Text: "evil[.]example came back at 198.51.100.7, see the report (page 3)\nDo not visit it.",
		},
		Room: timeline.RoomState{Room: room, Key: room.ID.String()}, Author: author, Revision: 1,
	}
	m := mapping.New(mapping.Config{Marking: stix.TLPAmber.MarkingID()})
	b.ReportAllocs()
	for b.Loop() {
		if objects := m.Post(draft); len(objects) != 2 {
			b.Fatalf("%d objects", len(objects))
		}
	}
}
