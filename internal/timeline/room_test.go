package timeline_test

import (
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestAListOfRoomsHoldsRoomIDsAlone(t *testing.T) {
	list := timeline.JoinRoomIDs([]id.RoomID{"!b:x", "!a", "!b:x", "", "!", "#a:x", "!c\n!d", id.RoomID("!" + strings.Repeat("e", 300))})
	if got, want := list.All(), []id.RoomID{"!a", "!b:x"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for room, want := range map[id.RoomID]bool{"!a": true, "!b:x": true, "!c": false, "!d": false, "": false} {
		if list.Has(room) != want {
			t.Errorf("has %q: %t", room, !want)
		}
	}
	if empty := timeline.JoinRoomIDs(nil); empty.All() != nil || empty.Has("") {
		t.Errorf("an empty list holds %q", empty.All())
	}
	many := make([]id.RoomID, 3*timeline.MaxLinks)
	for i := range many {
		many[i] = id.RoomID("!" + strings.Repeat("x", i%200+1) + string(rune('a'+i/200)))
	}
	if n := len(timeline.JoinRoomIDs(many).All()); n != timeline.MaxLinks {
		t.Errorf("%d links", n)
	}
}
