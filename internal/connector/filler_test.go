package connector_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// The next page brings what the messages of a page answer; only what the walk has not
// met meanwhile is fetched by itself.
func TestAHistoryOfRepliesIsWalkedAndNotFetchedOneByOne(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	hs := homeserver(t)
	user := hs.Account("alice", "secret")
	room := hs.NewRoom(user, matrixtest.RoomOptions{Name: "Square"})
	var want []string
	last := room.Say(user, "0")
	for i := range 220 {
		text := fmt.Sprintf("answer %d", i)
		want = append(want, text)
		last = room.Send(user, "m.room.message", map[string]any{
			"msgtype": "m.text", "body": text, "m.relates_to": map[string]any{"m.in_reply_to": map[string]any{"event_id": last}},
		})
	}
	room.Join(hs.UserID("bot"))
	output := t.TempDir()
	if log, err := export(ctx, t, hs, t.TempDir(), output, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{"0"}, want...), exported(t, output)); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
	pages, single := hs.Count(matrixtest.Messages), hs.Count(matrixtest.GetEvent)
	if pages > 6 || single > pages {
		t.Errorf("%d pages and %d single events were asked for", pages, single)
	}
}

// A homeserver that shows few events of a room at a time leaves gaps. What was said in
// them is read with about one request for each.
func TestABurstThatSyncCutsShortLosesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	hs, err := matrixtest.New(matrixtest.Options{TimelineCap: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hs.Close() }()
	hs.Account("bot", "secret")
	user := hs.Account("alice", "secret")
	var rooms []*matrixtest.Room
	for i := range 4 {
		room := hs.NewRoom(user, matrixtest.RoomOptions{Name: fmt.Sprint("Square ", i)})
		room.Join(hs.UserID("bot"))
		room.Say(user, fmt.Sprint("first of ", i))
		rooms = append(rooms, room)
	}
	path, output := t.TempDir(), t.TempDir()
	if log, err := export(ctx, t, hs, path, output, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	before := hs.Count(matrixtest.Messages)
	want := exported(t, output)
	for i := range 440 {
		text := fmt.Sprintf("burst %04d", i)
		want = append(want, text)
		rooms[i%len(rooms)].Say(user, text)
	}
	slices.Sort(want)
	if log, err := export(ctx, t, hs, path, output, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if diff := cmp.Diff(want, exported(t, output)); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
	// 100 events are missing in each of the rooms, and a page holds as many.
	if n := hs.Count(matrixtest.Messages) - before; n > 4*2 {
		t.Errorf("%d pages were asked for", n)
	}
}
