package matrix_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestPlainAndEncryptedRoomsAreRead(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	plain := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Name: "Square"})
	secret := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Name: "Den", Encrypted: true, Topic: "quiet"})
	plain.Join(s.bot)
	secret.Join(s.bot)
	a := s.open()
	s.catchUp(a)

	open := s.say(alice, plain.ID, "hello square")
	sealed := s.say(alice, secret.ID, "hello den")
	s.catchUp(a)

	got, ok := s.event(open)
	if !ok || body(got) != "hello square" || got.Trust != timeline.TrustNone || !got.Live || got.RoomName != "Square" || got.SenderName != "alice" {
		t.Errorf("plain message: %+v, found %v", got, ok)
	}
	got, ok = s.event(sealed)
	if !ok {
		u, _ := s.undecrypted(sealed)
		t.Fatalf("encrypted message not read: %+v", u)
	}
	if body(got) != "hello den" || got.Type != "m.room.message" || got.RoomName != "Den" || got.Target != sealed {
		t.Errorf("encrypted message: %+v", got)
	}
	if got.Trust != timeline.TrustDevice {
		t.Errorf("trust = %d, want %d: the device is known and not signed", got.Trust, timeline.TrustDevice)
	}
	var raw struct{ Type string }
	unmarshal(t, got.Raw, &raw)
	if raw.Type != "m.room.encrypted" {
		t.Errorf("raw is %s, want the event as received", raw.Type)
	}
	rooms := map[id.RoomID]timeline.Room{}
	for _, b := range s.diary.batches(t) {
		for _, r := range b.Rooms {
			rooms[r.ID] = r
		}
	}
	want := timeline.Room{
		ID: secret.ID, Name: "Den", Topic: "quiet", Server: "test.example", Creator: alice.User,
		Version: "11", Encrypted: true, Membership: timeline.MembershipJoin,
	}
	got2 := rooms[secret.ID]
	if got2.Created.IsZero() {
		t.Error("the room's making has no time")
	}
	want.Created = got2.Created
	if diff := cmp.Diff(want, got2); diff != "" {
		t.Errorf("room (-want +got):\n%s", diff)
	}
}

func TestASignedDeviceIsTrustedMore(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	if err := alice.SignSelf(t.Context()); err != nil {
		t.Fatal(err)
	}
	den := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	den.Join(s.bot)
	a := s.open()
	s.catchUp(a)
	e := s.say(alice, den.ID, "signed")
	s.catchUp(a)
	if got, ok := s.event(e); !ok || got.Trust != timeline.TrustSigned {
		t.Errorf("event %+v, found %v, want trust %d", got, ok, timeline.TrustSigned)
	}
}

func TestARollbackKeepsTheRoomKey(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	den := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	den.Join(s.bot)
	a := s.open()
	s.catchUp(a)

	first := s.say(alice, den.ID, "one")
	s.diary.failNext()
	if _, err := a.Poll(t.Context()); !errors.Is(err, errDiary) {
		t.Fatalf("sync with a broken journal: %v", err)
	}
	if _, ok := s.event(first); ok {
		t.Fatal("the journal kept what was rolled back")
	}
	s.catchUp(a)
	if _, ok := s.event(first); !ok {
		u, _ := s.undecrypted(first)
		t.Errorf("after the rollback the message is not readable: %+v", u)
	}
	// The Olm session goes on from where the database has it.
	if err := alice.Rotate(t.Context(), den.ID); err != nil {
		t.Fatal(err)
	}
	second := s.say(alice, den.ID, "two")
	s.catchUp(a)
	if _, ok := s.event(second); !ok {
		t.Error("the next room key was lost")
	}
}

func TestAnUnreachableHomeserverIsNamedWithoutTheFilter(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	away := errors.New("nobody is there")
	shut := false
	a := s.open(func(c *matrix.Config) {
		c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if shut {
				return nil, away
			}
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	s.catchUp(a)
	shut = true
	_, err := a.Poll(t.Context())
	if !errors.Is(err, away) {
		t.Fatalf("poll: %v, want %v", err, away)
	}
	if text := err.Error(); strings.Contains(text, "filter") || !strings.Contains(text, "/sync\": nobody is there") {
		t.Errorf("the error is %s", text)
	}
}

func TestALateRoomKeyMakesItsEventsReadable(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	den := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	den.Join(s.bot)
	a := s.open()
	s.catchUp(a)
	release := s.server.HoldToDevice(s.bot, "m.room.encrypted")
	e := s.say(alice, den.ID, "early")
	s.catchUp(a)
	u, ok := s.undecrypted(e)
	if !ok || u.Reason != timeline.ReasonNoSession || u.Session == "" || len(u.Event.Raw) == 0 {
		t.Fatalf("undecrypted = %+v, %v", u, ok)
	}
	release()
	s.catchUp(a)
	n, err := a.RetryPage(t.Context(), 10)
	if err != nil || n != 1 {
		t.Fatalf("retry: %d, %v", n, err)
	}
	if got, ok := s.event(e); !ok || body(got) != "early" {
		t.Errorf("event %+v, found %v", got, ok)
	}
}

func TestALimitedTimelineIsAGap(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	square := s.server.NewRoom(alice.User, matrixtest.RoomOptions{})
	square.Join(s.bot)
	a := s.open(func(c *matrixConfig) { c.Limits.Timeline = 3 })
	s.catchUp(a)
	newest, err := s.diary.Newest(t.Context(), square.ID)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		square.Say(alice.User, "chat")
	}
	s.catchUp(a)
	batches := s.diary.batches(t)
	var gaps []timeline.Gap
	for _, b := range batches {
		gaps = append(gaps, b.Gaps...)
	}
	if len(gaps) != 2 {
		t.Fatalf("gaps = %+v, want the room's past and one limited timeline", gaps)
	}
	if g := gaps[0]; g.Kind != timeline.GapHistory || g.Bound.IsZero() || g.From == "" {
		t.Errorf("history gap = %+v", g)
	}
	if g := gaps[1]; g.Kind != timeline.GapLimited || g.Until != newest || g.From == "" || g.Room != square.ID {
		t.Errorf("limited gap = %+v, want until %s", g, newest)
	}
}

func TestWhatWasSaidBeforeAKickIsRead(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	square := s.server.NewRoom(alice.User, matrixtest.RoomOptions{})
	square.Join(s.bot)
	a := s.open()
	s.catchUp(a)
	e := square.Say(alice.User, "last words")
	square.Leave(alice.User, s.bot)
	s.catchUp(a)
	if got, ok := s.event(e); !ok || body(got) != "last words" {
		t.Errorf("event %+v, found %v", got, ok)
	}
	batches := s.diary.batches(t)
	last := batches[len(batches)-1]
	for _, b := range batches {
		if len(b.Rooms) > 0 {
			last = b
		}
	}
	if len(last.Rooms) != 1 || last.Rooms[0].Membership != timeline.MembershipLeave {
		t.Errorf("rooms of the last batch = %+v", last.Rooms)
	}
}
