package matrix_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestATargetIsFetchedAndDecrypted(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	den := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true, Name: "Den"})
	den.Join(s.bot)
	a := s.open(func(c *matrix.Config) { c.Limits.Timeline = 1 })
	s.catchUp(a)
	old := s.say(alice, den.ID, "the question")
	s.say(alice, den.ID, "chatter")
	s.say(alice, den.ID, "the answer")
	s.catchUp(a)
	if _, ok := s.event(old); ok {
		t.Fatal("the target is there already")
	}
	if err := a.FetchTarget(t.Context(), den.ID, old); err != nil {
		t.Fatal(err)
	}
	got, ok := s.event(old)
	if !ok || body(got) != "the question" || got.Live || got.Trust != timeline.TrustDevice || got.Room != den.ID {
		t.Errorf("target %+v, found %v", got, ok)
	}
}

func TestATargetThatCannotBeReadIsUndecrypted(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	den := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	old := s.say(alice, den.ID, "before the bot")
	den.Join(s.bot)
	a := s.open()
	if err := a.FetchTarget(t.Context(), den.ID, old); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.undecrypted(old); !ok || got.Reason != timeline.ReasonNoSession || got.Event.Live || got.Cause != timeline.CauseBeforeDevice {
		t.Errorf("%+v, found %v", got, ok)
	}
}

func TestATargetThatIsNotShownIsMissing(t *testing.T) {
	answer := func(event, room string) matrixtest.Fault {
		return matrixtest.Fault{Status: 200, Body: fmt.Sprintf(
			`{"event_id":%q,"room_id":%q,"sender":"@a:b","type":"m.room.message","content":{"body":"x"},"origin_server_ts":1}`, event, room)}
	}
	cases := map[string]struct {
		event  id.EventID
		fault  matrixtest.Fault
		reason string
		asked  int
	}{
		"unknown to the homeserver": {"$e", matrixtest.Fault{Status: 404, Code: "M_NOT_FOUND"}, "not_found", 1},
		"hidden from the bot":       {"$e", matrixtest.Fault{Status: 403, Code: "M_FORBIDDEN"}, "forbidden", 1},
		"another event":             {"$e", answer("$other", "!r:x"), "mismatch", 1},
		"an event of another room":  {"$e", answer("$e", "!other:x"), "mismatch", 1},
		"no event id":               {"../../state", matrixtest.Fault{}, "invalid_id", 0},
		"an endless event id":       {id.EventID("$" + string(make([]byte, 300))), matrixtest.Fault{}, "invalid_id", 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			tc.fault.On = matrixtest.GetEvent
			s.server.Inject(tc.fault)
			if err := a.FetchTarget(t.Context(), "!r:x", tc.event); err != nil {
				t.Fatal(err)
			}
			var missing []timeline.MissingEvent
			events := 0
			for _, b := range s.diary.batches(t) {
				missing = append(missing, b.Missing...)
				events += len(b.Events) + len(b.Unreadable)
			}
			want := []timeline.MissingEvent{{Room: "!r:x", ID: tc.event, Reason: tc.reason}}
			if diff := cmp.Diff(want, missing); diff != "" || events != 0 {
				t.Errorf("%d events recorded, missing (-want +got): %s", events, diff)
			}
			if got := s.server.Count(matrixtest.GetEvent); got != tc.asked {
				t.Errorf("%d requests, want %d", got, tc.asked)
			}
		})
	}
}

func TestAFailedTargetIsLeftAsItWas(t *testing.T) {
	for name, f := range map[string]matrixtest.Fault{
		"500":                         {Status: 500, Code: "M_UNKNOWN"},
		"429":                         {Status: 429, Code: "M_LIMIT_EXCEEDED"},
		"404 of something in between": {Status: 404, Body: "<html>"},
		"no JSON":                     {Status: 200, Body: `{"event_id":`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			f.On = matrixtest.GetEvent
			s.server.Inject(f)
			if err := a.FetchTarget(t.Context(), "!r:x", "$e"); err == nil {
				t.Error("no error")
			}
			if n := len(s.diary.batches(t)); n != 0 {
				t.Errorf("%d batches recorded", n)
			}
		})
	}
}
