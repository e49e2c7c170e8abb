package matrix_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// TestALateKeyUnlocksItsEventsInPages holds the room key back until 25 messages are
// there, and renames everything meanwhile.
func TestALateKeyUnlocksItsEventsInPages(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	den := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true, Name: "Den"})
	den.Join(s.bot)
	a := s.open()
	s.catchUp(a)
	release := s.server.HoldToDevice(s.bot, "m.room.encrypted")
	var sent []id.EventID
	for i := range 25 {
		sent = append(sent, s.say(alice, den.ID, fmt.Sprintf("%02d", i)))
	}
	s.catchUp(a)
	first, ok := s.undecrypted(sent[0])
	if !ok || first.Reason != timeline.ReasonNoSession || len(s.said()) != 0 {
		t.Fatalf("%+v, %v, said %q", first, ok, s.said())
	}
	if n, err := a.RetryPage(t.Context(), 10); n != 0 || err != nil {
		t.Errorf("before the key: %d, %v", n, err)
	}
	den.SetState(alice.User, "m.room.name", "", matrixtest.Content{"name": "Renamed"})
	release()
	s.catchUp(a)

	// The first page is rolled back and tried again.
	s.diary.failNext()
	if n, err := a.RetryPage(t.Context(), 10); n != 0 || !errors.Is(err, errDiary) {
		t.Fatalf("%d, %v, want the journal's error", n, err)
	}
	var pages []int
	for {
		n, err := a.RetryPage(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		pages = append(pages, n)
	}
	if diff := cmp.Diff([]int{10, 10, 5}, pages); diff != "" {
		t.Errorf("pages differ: %s", diff)
	}
	var want []string
	for i := range 25 {
		want = append(want, fmt.Sprintf("%02d", i))
	}
	got := s.said()
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages differ: %s", diff)
	}
	e, _ := s.event(sent[0])
	if e.RoomName != "Den" || !e.Received.Equal(first.Event.Received) || e.Live != first.Event.Live || e.Type != "m.room.message" {
		t.Errorf("event %+v, want names and times as they were at %s", e, first.Event.Received)
	}
}

func TestAKeyThatDoesNotHelpGivesANewReason(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	den := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	den.Join(s.bot)
	a := s.open()
	s.catchUp(a)
	lose := s.server.LoseToDevice(s.bot, "m.room.encrypted")
	said := s.say(alice, den.ID, "never to be read")
	lose()
	s.catchUp(a)
	u, ok := s.undecrypted(said)
	if !ok {
		t.Fatal("the event was read")
	}
	s.server.SendToDevice(alice.User, s.bot, "*", "m.room_key.withheld", matrixtest.Content{
		"algorithm": "m.megolm.v1.aes-sha2", "room_id": den.ID, "session_id": u.Session, "sender_key": alice.Machine.OwnIdentity().IdentityKey,
		"code": "m.unverified", "reason": "no",
	})
	s.catchUp(a)
	if n, err := a.RetryPage(t.Context(), 10); n != 1 || err != nil {
		t.Fatalf("%d tried, %v", n, err)
	}
	var got []timeline.Retried
	for _, b := range s.diary.batches(t) {
		got = append(got, b.Retried...)
	}
	want := []timeline.Retried{{Room: den.ID, ID: said, Reason: timeline.ReasonWithheld, Cause: "m.unverified"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("retried (-want +got): %s", diff)
	}
}
