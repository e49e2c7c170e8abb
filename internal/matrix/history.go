package matrix

import (
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// historyGap is the gap of what was said in a room before it was first seen: read
// backwards from a token (prev_batch of the first timeline) to the events of start.
// It has no neighbour, because nothing older is stored; when the bot joins again,
// what it missed meanwhile is history too, and known events are passed through.
func historyGap(room id.RoomID, from string, start, opened time.Time) timeline.Gap {
	return timeline.Gap{Room: room, Kind: timeline.GapHistory, From: from, Bound: start, Opened: opened}
}
