package connector_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// TestEightHoursWithoutThePlatformTakeNoMemoryAndLoseNothing runs in simulated time: the
// clock is moved by minutes, people go on chatting, and delivery is tried each minute.
func TestEightHoursWithoutThePlatformTakeNoMemoryAndLoseNothing(t *testing.T) {
	s := newScene(t)
	const minutes, perMinute, rooms = 8 * 60, 6, 4
	said := map[id.EventID]bool{}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	chat := func(minute int) {
		var b timeline.Batch
		for i := range perMinute {
			room, e := id.RoomID(fmt.Sprintf("!room%d:example.org", i%rooms)), id.EventID(fmt.Sprintf("$e%d-%d", minute, i))
			body := marshal(t, map[string]any{"msgtype": "m.text", "body": fmt.Sprintf("Line %d of minute %d, which nobody can deliver yet", i, minute)})
			b.Rooms = append(b.Rooms, timeline.Room{ID: room, Name: "The den", Membership: timeline.MembershipJoin, Server: "example.org"})
			b.Events = append(b.Events, timeline.Event{
				Room: room, ID: e, Sender: alice, SenderName: "Alice", RoomName: "The den", Type: "m.room.message",
				Sent: s.now(), Received: s.now(), Content: body, Raw: body, Live: true,
			})
			said[e] = true
		}
		s.record(b)
	}
	s.says("Said before the platform went away")
	if errs := s.delivers(); len(errs) > 0 {
		t.Fatal(errs)
	}

	s.sink.away = errors.New("connection refused")
	var first int64
	for minute := range minutes {
		chat(minute)
		s.waits(time.Minute)
		if _, err := s.out.Turn(s.ctx); !errors.Is(err, s.sink.away) {
			t.Fatalf("minute %d: the turn gave %v, want the platform's absence", minute, err)
		}
		if minute == 30 {
			first = heap()
		}
	}
	last := heap()
	t.Logf("%d messages wait; the heap grew by %d KiB between the first half hour and the eighth hour", len(said), (last-first)>>10)
	if grown, most := last-first, int64(4<<20); grown > most {
		t.Errorf("the heap grew by %d KiB, want %d at most: what waits belongs into the ledger", grown>>10, most>>10)
	}
	if n := s.posts()["dead"]; n > 0 {
		t.Errorf("%d posts are dead because the platform was away", n)
	}

	s.sink.away = nil
	for turns := 0; s.posts()["due"]+s.posts()["sent"] > 0; turns++ {
		if turns > 4*len(said) {
			t.Fatalf("delivery does not come to rest: %v", s.posts())
		}
		if _, err := s.out.Turn(s.ctx); err != nil {
			t.Fatal(err)
		}
		s.waits(time.Second)
	}
	landed := map[string]int{}
	for _, o := range s.sink.objects {
		landed[o.ObjectType()]++
	}
	if got, want := landed["media-content"], len(said)+1; got != want {
		t.Errorf("%d messages have landed, want %d", got, want)
	}
	if got, want := landed["channel"], rooms+1; got != want {
		t.Errorf("%d channels have landed, want %d", got, want)
	}
}
