package connector_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// oldRooms are rooms in which things were said a hundred days ago, and a word today.
func oldRooms(hs *matrixtest.Server, names ...string) (rooms []*matrixtest.Room, old []string) {
	user := hs.Account("alice", "secret")
	ago := time.Now().AddDate(0, 0, -100)
	hs.SetClock(func() time.Time { return ago })
	for _, name := range names {
		room := hs.NewRoom(user, matrixtest.RoomOptions{Name: name})
		room.Join(hs.UserID("bot"))
		for i := range 250 {
			text := fmt.Sprintf("%s %03d", name, i)
			room.Say(user, text)
			old = append(old, text)
		}
		rooms = append(rooms, room)
	}
	hs.SetClock(time.Now)
	for _, room := range rooms {
		room.Say(user, "today")
	}
	return rooms, old
}

func asked(t *testing.T, since string, rooms ...string) connector.BackfillAsked {
	t.Helper()
	a, err := connector.AskToBackfill(rooms, since)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func unwatched(connector.BackfillShown, bool) {}

func TestABackfillBesideTheRunningConnectorReadsFurtherBack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	hs := homeserver(t)
	rooms, old := oldRooms(hs, "den", "hall", "attic")
	hs.Inject(matrixtest.Fault{On: matrixtest.Messages, Path: string(rooms[2].ID), Status: 403, Code: "M_FORBIDDEN"})
	path, output := t.TempDir(), t.TempDir()
	c, err := connector.New(connector.Config{Settings: settingsOf(t, hs, path), Output: output, Follow: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(running) }()
	for messages(output) < 3 && ctx.Err() == nil {
		_ = messages(output)
	}
	question := connector.Config{Settings: settingsOf(t, hs, path)}
	if _, err := connector.Backfill(ctx, question, asked(t, "", "#nowhere:x"), unwatched); connector.Hint(err) == "" {
		t.Errorf("of a room that is not known: %v", err)
	}
	// The homeserver asks for patience, and is obeyed: longer than it takes to look again.
	hs.Inject(matrixtest.Fault{On: matrixtest.Messages, After: 3, Times: 2, Status: 429, Code: "M_LIMIT_EXCEEDED", RetryAfterMS: 500})
	var lines int
	got, err := connector.Backfill(ctx, question, asked(t, "P200D"), func(s connector.BackfillShown, by bool) {
		lines++
		if !by || s.Rooms != 3 || s.Share == nil {
			t.Errorf("on the way: %+v by the running one %v", s, by)
		}
	})
	// Rooms are made of seven state events, and of the joins of alice and the bot.
	want := connector.BackfillShown{Rooms: 3, Ended: 3, Read: got.Read, New: got.New, Refused: []connector.RefusedRoom{{Room: rooms[2].ID, Reason: "forbidden"}}}
	got.Share = nil
	if diff := cmp.Diff(want, got); diff != "" || err != nil || got.New < 500 || got.Read < got.New {
		t.Errorf("%v (-want +got):\n%s%+v", err, diff, got)
	}
	if lines == 0 {
		t.Error("nothing was told on the way")
	}
	for messages(output) < 503 && ctx.Err() == nil {
		_ = messages(output)
	}
	// Once more, nothing is new, nor doubled.
	if got, err = connector.Backfill(ctx, question, asked(t, "P200D"), unwatched); err != nil || got.New != 0 || got.Read < 500 {
		t.Errorf("the second time: %+v, %v", got, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	wanted := append(slices.Clone(old[:500]), "today", "today", "today")
	slices.Sort(wanted)
	if diff := cmp.Diff(wanted, exported(t, output)); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
}

func TestABackfillWithoutAConnectorGoesOnWhereItWasStopped(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	hs := homeserver(t)
	rooms, old := oldRooms(hs, "den", "hall")
	path, output := t.TempDir(), t.TempDir()
	if log, err := export(ctx, t, hs, path, output, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	question := connector.Config{Settings: settingsOf(t, hs, path)}
	before := hs.Count(matrixtest.Messages)
	// Ctrl-C after each page of the two rooms.
	for stops := 0; ; stops++ {
		watching, interrupt := context.WithCancel(ctx)
		seen := 0
		got, err := connector.Backfill(watching, question, asked(t, "P200D", string(rooms[0].ID), string(rooms[1].ID)), func(s connector.BackfillShown, by bool) {
			if by {
				t.Error("no connector is running")
			}
			if seen++; seen == 2 && s.Ended < s.Rooms {
				interrupt()
			}
		})
		interrupt()
		if err == nil {
			if got.New < 500 || got.Ended != 2 || stops < 3 {
				t.Errorf("%+v after %d stops", got, stops)
			}
			break
		}
		if !errors.Is(err, context.Canceled) || stops > 20 {
			t.Fatalf("after %d stops: %v", stops, err)
		}
	}
	// 259 events are three pages of each room; a stop costs the one that was on its way.
	if n := hs.Count(matrixtest.Messages) - before; n > 16 {
		t.Errorf("%d pages were asked for", n)
	}
	if log, err := export(ctx, t, hs, path, output, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	wanted := append(slices.Clone(old), "today", "today")
	slices.Sort(wanted)
	if diff := cmp.Diff(wanted, exported(t, output)); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
}

func TestABackfillIsEndedByThePersonWhoWantsItNoMore(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	hs := homeserver(t)
	rooms, _ := oldRooms(hs, "den")
	path, output := t.TempDir(), t.TempDir()
	if log, err := export(ctx, t, hs, path, output, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	question := connector.Config{Settings: settingsOf(t, hs, path)}
	watching, interrupt := context.WithCancel(ctx)
	_, err := connector.Backfill(watching, question, asked(t, "P200D"), func(s connector.BackfillShown, _ bool) {
		if s.Read > 0 {
			interrupt()
		}
	})
	interrupt()
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n, err := connector.StopBackfills(ctx, question); n != 1 || err != nil {
		t.Errorf("%d were ended: %v", n, err)
	}
	before := hs.Count(matrixtest.Messages)
	if log, err := export(ctx, t, hs, path, output, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if n := hs.Count(matrixtest.Messages) - before; n != 0 {
		t.Errorf("%d pages of %s were asked for after that", n, rooms[0].ID)
	}
}
