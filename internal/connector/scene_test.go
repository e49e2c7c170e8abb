package connector_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

const (
	den   = id.RoomID("!den:example.org")
	alice = id.UserID("@alice:example.org")
)

// scene is a ledger with a store of its own, a fake sink and a clock that stands
// still until it is moved.
type scene struct {
	t      testing.TB
	ctx    context.Context
	store  *store.Store
	ledger *ledger.Ledger
	sink   *fakeSink
	mapper *mapping.Mapper
	out    *connector.Deliverer
	clock  atomic.Int64 // in nanoseconds; servers ask it beside the test
	events int
}

func newScene(tb testing.TB) *scene {
	tb.Helper()
	s := &scene{t: tb, ctx: tb.Context()}
	s.clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	var err error
	if s.store, err = store.Open(s.ctx, store.Config{Path: tb.TempDir(), Key: []byte("a long key for tests")}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			tb.Error(err)
		}
	})
	s.ledger = ledger.New(ledger.Config{Store: s.store, Clock: s.now, Self: "@bot:example.org"})
	if err := s.ledger.Open(s.ctx); err != nil {
		tb.Fatal(err)
	}
	s.sink = newSink(tb, s.ledger)
	s.mapper = mapping.New(mapping.Config{Marking: stix.TLPAmber.MarkingID()})
	s.restart()
	return s
}

func (s *scene) now() time.Time { return time.Unix(0, s.clock.Load()).UTC() }

// restart is a new process on the same store.
func (s *scene) restart() {
	s.out = connector.NewDeliverer(s.ledger, s.store, s.sink, s.mapper, s.now)
}

// says records a text message of alice in the den.
func (s *scene) says(text string) id.EventID {
	return s.hears(den, alice, map[string]any{"msgtype": "m.text", "body": text})
}

func (s *scene) hears(room id.RoomID, sender id.UserID, content map[string]any) id.EventID {
	s.t.Helper()
	s.events++
	event := id.EventID(fmt.Sprintf("$event%d", s.events))
	body, err := json.Marshal(content)
	if err != nil {
		s.t.Fatal(err)
	}
	s.record(timeline.Batch{
		Rooms: []timeline.Room{{ID: room, Name: "The den", Membership: timeline.MembershipJoin, Server: "example.org"}},
		Events: []timeline.Event{{
			Room: room, ID: event, Sender: sender, SenderName: "Alice", RoomName: "The den", Type: "m.room.message",
			Sent: s.now(), Received: s.now(), Content: body, Raw: body, Live: true,
		}},
	})
	return event
}

func (s *scene) record(b timeline.Batch) {
	s.t.Helper()
	if err := s.ledger.Record(s.ctx, b); err != nil {
		s.t.Fatal(err)
	}
}

// delivers runs turns until there is nothing to do, and gives the errors on the
// way.
func (s *scene) delivers() (errs []error) {
	s.t.Helper()
	for range 200 {
		more, err := s.out.Turn(s.ctx)
		if err != nil {
			errs = append(errs, err)
		} else if !more {
			return errs
		}
		if len(errs) > 20 {
			break
		}
	}
	s.t.Fatalf("delivery does not come to rest: %v", errs)
	return nil
}

// lets time pass.
func (s *scene) waits(d time.Duration) { s.clock.Add(int64(d)) }

// states gives the number of posts by state.
func (s *scene) posts() map[string]int {
	s.t.Helper()
	counts, err := s.ledger.Counts(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return counts.Posts
}

// why gives the reason of the dead post of an event.
func (s *scene) why(event id.EventID) string {
	s.t.Helper()
	for m, err := range s.ledger.Missing(s.ctx, ledger.Choice{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		if m.What == "post" && m.Event == event {
			return m.State + ": " + m.Reason
		}
	}
	return ""
}

func channelOf(room id.RoomID) stix.ID {
	return mapping.New(mapping.Config{}).Channel(timeline.RoomState{Room: timeline.Room{ID: room}, Key: string(room)}).ID
}

// turnsUntil runs turns until something holds.
func (s *scene) turnsUntil(holds func() bool) {
	s.t.Helper()
	for range 50 {
		if holds() {
			return
		}
		if _, err := s.out.Turn(s.ctx); err != nil {
			s.t.Fatal(err)
		}
	}
	s.t.Fatal("never came about")
}

func timelineRoom(key string) id.RoomID { return id.RoomID(key) }

func marshal(tb testing.TB, v any) []byte {
	tb.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}
