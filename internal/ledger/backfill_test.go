package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// page records a page of a gap.
func (d *desk) page(p timeline.GapProgress, events ...timeline.Event) {
	d.t.Helper()
	d.record(timeline.Batch{Events: history(events...), Progress: &p})
}

func joined() []timeline.Room {
	return []timeline.Room{{ID: room, Name: "Room", Membership: timeline.MembershipJoin}}
}

func sentAt(n int) time.Time { return message(n, alice, "").Sent }

func TestABackfillTakesInWhatWasTooOldAsFarAsItReaches(t *testing.T) {
	d := open(t, startAt(sentAt(100)))
	d.record(timeline.Batch{
		Rooms: joined(), Events: history(message(9, alice, "too old"), message(50, alice, "old"), message(100, alice, "in time")),
	})
	d.deliver()
	const request = 7
	for range 2 { // asked again, it is the same
		d.ok(d.OpenBackfill(t.Context(), request, map[id.RoomID]time.Time{room: sentAt(10)}))
	}
	want := []timeline.Gap{{ID: 1, Room: room, Kind: timeline.GapHistory, Bound: sentAt(10), Opened: noon, Request: request}}
	if diff := cmp.Diff(want, d.gaps()); diff != "" {
		t.Fatalf("gaps (-want +got):\n%s", diff)
	}
	late := encrypted(60, alice, "s")
	late.Event.Live = false
	d.record(timeline.Batch{
		Events:      history(message(100, alice, "in time"), message(50, alice, "old"), message(9, alice, "too old")),
		Undecrypted: []timeline.Undecrypted{late}, Progress: &timeline.GapProgress{ID: 1, From: "t1"},
	})
	d.page(timeline.GapProgress{ID: 1, From: "t2", Done: true}, message(40, bob, "older"))
	// Its key comes when nobody asks any more.
	d.record(timeline.Batch{Events: history(decrypted(late, "its key came late"))})
	if diff := cmp.Diff([]string{"old", "its key came late", "older"}, texts(d.deliver())); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	if got := d.eventState(eventID(9)); got != "skipped before_start_date" {
		t.Errorf("what is older than that is %s", got)
	}
	got, err := d.Backfills(t.Context(), request)
	d.ok(err)
	told := []ledger.Backfill{{
		Room: room, State: "done", Seen: 5, Fresh: 3, Pages: 2, Opened: noon, Reached: sentAt(40), Since: sentAt(10),
	}}
	if diff := cmp.Diff(told, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	// Nobody asked for this page.
	d.record(timeline.Batch{Events: history(message(30, alice, "old as well"))})
	if got := d.eventState(eventID(30)); got != "skipped before_start_date" {
		t.Errorf("what came by itself is %s", got)
	}
}

func TestABackfillThatNobodyWantsAnyMoreEnds(t *testing.T) {
	d := open(t, startAt(sentAt(100)))
	d.record(timeline.Batch{Rooms: joined()})
	for request := range int64(3) {
		d.ok(d.OpenBackfill(t.Context(), request+1, map[id.RoomID]time.Time{room: sentAt(10)}))
	}
	d.page(timeline.GapProgress{ID: 2, From: "t1"}, message(50, alice, "old"))
	d.ok(d.WithdrawBackfills(t.Context(), []int64{3}))
	if got := d.gaps(); len(got) != 1 || got[0].Request != 3 {
		t.Errorf("open are %+v", got)
	}
	if got := d.column("SELECT state || ' ' || reason || ' ' || bound FROM ledger_gap WHERE id = 2"); got != fmt.Sprint("done withdrawn ", sentAt(50).UnixMilli()) {
		t.Errorf("the walk that was begun is %s", got)
	}
}

func TestWhatWasRefusedAndIsShownByABackfillIsNotLostAnyMore(t *testing.T) {
	d := open(t)
	d.news(message(60, alice, "neighbour"))
	d.record(timeline.Batch{Rooms: joined(), Gaps: []timeline.Gap{
		{Room: room, Kind: timeline.GapLimited, From: "a", Until: eventID(60)},
		{Room: room, Kind: timeline.GapLimited, From: "b", Until: "$unknown"},
		{Room: room, Kind: timeline.GapHistory, From: "c", Bound: sentAt(50)},
		{Room: room, Kind: timeline.GapHistory, From: "d", Bound: sentAt(5)},
	}})
	for gap := range int64(4) {
		d.page(timeline.GapProgress{ID: gap + 1, Lost: "forbidden"})
	}
	d.ok(d.OpenBackfill(t.Context(), 1, map[id.RoomID]time.Time{room: sentAt(10)}))
	d.page(timeline.GapProgress{ID: 5, Done: true}, message(10, alice, "old"))
	if got := d.column("SELECT group_concat(id || state, ' ') FROM ledger_gap"); got != "1done 2lost 3done 4lost 5done" {
		t.Errorf("gaps are %s", got)
	}
}

func TestAStartDateThatMovesBackGoesOnWhereTheWalkEnded(t *testing.T) {
	d := open(t, startAt(sentAt(100)))
	d.record(timeline.Batch{Rooms: joined(), Gaps: []timeline.Gap{{Room: room, Kind: timeline.GapHistory, From: "join", Bound: sentAt(100)}}})
	d.page(timeline.GapProgress{ID: 1, From: "deep", Done: true}, message(20, alice, "too old"), message(90, alice, "old"), message(100, alice, "in time"))
	d.restart(startAt(sentAt(50)))
	want := []timeline.Gap{{ID: 2, Room: room, Kind: timeline.GapHistory, From: "deep", Bound: sentAt(50), Opened: noon}}
	if diff := cmp.Diff(want, d.gaps()); diff != "" {
		t.Fatalf("gaps (-want +got):\n%s", diff)
	}
	// What the walk had found too old, and is not any more, is asked for by itself.
	targets, err := d.Targets(t.Context(), 10)
	d.ok(err)
	if diff := cmp.Diff([]ledger.Target{{Room: room, ID: eventID(90)}}, targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	d.record(timeline.Batch{Events: history(message(90, alice, "old"))})
	if diff := cmp.Diff([]string{"old", "in time"}, texts(d.deliver())); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	// Further back while the walk is under way: it just goes further.
	d.restart(startAt(sentAt(40)))
	want[0].Bound = sentAt(40)
	if diff := cmp.Diff(want, d.gaps()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	// The homeserver has forgotten the token: the walk begins at the newest event, once.
	d.page(timeline.GapProgress{ID: 2, From: "deep", Lost: "refused"})
	want[0].From, want[0].Pages = "", 1
	if diff := cmp.Diff(want, d.gaps()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	d.page(timeline.GapProgress{ID: 2, Lost: "refused"})
	if got := d.column("SELECT state FROM ledger_gap WHERE id = 2"); got != "lost" {
		t.Errorf("refused again, it is %s", got)
	}
}

func TestWhereMuchWasTooOldTheWalkBeginsAnew(t *testing.T) {
	d := open(t, startAt(sentAt(500)))
	var old []timeline.Event
	for n := range 101 {
		old = append(old, message(100+n, alice, "old"))
	}
	d.record(timeline.Batch{Rooms: joined(), Gaps: []timeline.Gap{{Room: room, Kind: timeline.GapHistory, From: "join", Bound: sentAt(500)}}})
	d.page(timeline.GapProgress{ID: 1, From: "deep", Done: true}, old...)
	d.restart(startAt(sentAt(50)))
	want := []timeline.Gap{{ID: 2, Room: room, Kind: timeline.GapHistory, Bound: sentAt(50), Opened: noon}}
	if diff := cmp.Diff(want, d.gaps()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}
