package connector_test

import (
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// past records so many messages of the room's history, oldest first.
func (s *scene) past(n int) (events []id.EventID) {
	s.t.Helper()
	return s.pastOf(n, func(i int) map[string]any {
		return map[string]any{"msgtype": "m.text", "body": fmt.Sprintf("past %d", i)}
	})
}

func (s *scene) pastOf(n int, content func(int) map[string]any) (events []id.EventID) {
	s.t.Helper()
	var batch timeline.Batch
	for i := range n {
		body := marshal(s.t, content(i))
		event := id.EventID(fmt.Sprintf("$past%03d", i))
		sent := s.now().Add(time.Duration(i-1000) * time.Minute)
		batch.Events = append(batch.Events, timeline.Event{
			Room: den, ID: event, Sender: alice, SenderName: "Alice", RoomName: "The den", Type: "m.room.message",
			Sent: sent, Received: s.now(), Content: body, Raw: body,
		})
		events = append(events, event)
	}
	s.record(batch)
	return events
}

// onItsWay brings room, author and a first message home, and then a batch of history
// onto its way; what follows it is composed.
func (s *scene) onItsWay() (events []id.EventID) {
	s.t.Helper()
	return s.onItsWayWith(func() []id.EventID { return s.past(120) })
}

func (s *scene) onItsWayWith(past func() []id.EventID) (events []id.EventID) {
	s.t.Helper()
	s.says("hello")
	if errs := s.delivers(); errs != nil {
		s.t.Fatal(errs)
	}
	events = past()
	s.turnsUntil(func() bool { return s.sink.open != "" })
	s.sink.settleErr = append(s.sink.settleErr, stix.ErrPending)
	if more, err := s.out.Turn(s.ctx); err != nil || !more {
		s.t.Fatal(more, err)
	}
	return events
}

func (s *scene) textOf(event id.EventID) string {
	s.t.Helper()
	m, ok := s.sink.objects[mapping.MessageID(event)].(*stix.MediaContent)
	if !ok {
		return ""
	}
	return m.Content
}

func TestWhatIsComposedAheadGoesNext(t *testing.T) {
	s := newScene(t)
	events := s.onItsWay()
	if errs := s.delivers(); errs != nil {
		t.Fatal(errs)
	}
	for i, event := range events {
		if got, want := s.textOf(event), fmt.Sprintf("past %d", i); got != want {
			t.Errorf("%s is %q, want %q", event, got, want)
		}
	}
	// Room and author, the first message, and three batches of history.
	if s.sink.receipts != 5 || len(s.sink.amended) > 0 {
		t.Errorf("%d batches, amended %v", s.sink.receipts, s.sink.amended)
	}
}

func TestANewMessageGoesBeforeHistoryThatWasComposedAhead(t *testing.T) {
	s := newScene(t)
	s.onItsWay()
	news := s.says("look at this")
	before := s.sink.receipts
	s.turnsUntil(func() bool { return s.sink.receipts == before+1 && s.sink.open != "" })
	s.turnsUntil(func() bool { return s.sink.open == "" })
	if s.textOf(news) == "" {
		t.Error("history went first")
	}
}

func TestARowThatLapsesLeavesNothingComposedAhead(t *testing.T) {
	s := newScene(t)
	events := s.onItsWay()
	s.sink.settleErr = append(s.sink.settleErr, stix.ErrLapsed)
	before := s.sink.receipts
	s.turnsUntil(func() bool { return s.sink.receipts == before+1 && s.sink.open != "" })
	s.turnsUntil(func() bool { return s.sink.open == "" })
	if s.textOf(events[0]) == "" {
		t.Error("newer history went before what had lapsed")
	}
}

func TestAResetLeavesNothingComposedAhead(t *testing.T) {
	s := newScene(t)
	events := s.onItsWay()
	if err := s.ledger.Reset(s.ctx); err != nil {
		t.Fatal(err)
	}
	// The sink checks that the rows of what it is given are on their way.
	if errs := s.delivers(); errs != nil {
		t.Fatal(errs)
	}
	for i, event := range events {
		if got, want := s.textOf(event), fmt.Sprintf("past %d", i); got != want {
			t.Errorf("%s is %q, want %q", event, got, want)
		}
	}
}

func TestFilesThatAreRefusedMeanwhileLeaveNothingComposedAhead(t *testing.T) {
	s := newScene(t)
	s.onItsWayWith(func() []id.EventID {
		return s.pastOf(120, func(i int) map[string]any {
			return map[string]any{"msgtype": "m.image", "body": fmt.Sprintf("%d.png", i), "url": fmt.Sprintf("mxc://example.org/%d", i)}
		})
	})
	wanted, err := s.ledger.Wanted(s.ctx, 1000)
	if err != nil || len(wanted) != 120 {
		t.Fatalf("%d files are wanted, %v", len(wanted), err)
	}
	for _, a := range wanted {
		if err := s.ledger.Refuse(s.ctx, a, "too_large"); err != nil {
			t.Fatal(err)
		}
	}
	if errs := s.delivers(); errs != nil {
		t.Fatal(errs)
	}
	// Those on their way were sent before, and are the only ones that are changed.
	if got := len(s.sink.amended); got != 50 {
		t.Errorf("%d messages are amended, want the 50 that were on their way", got)
	}
}
