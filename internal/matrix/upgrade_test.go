package matrix_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// watch is a clock that a test moves.
type watch struct{ ahead atomic.Int64 }

func (w *watch) now() time.Time          { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *watch) advance(d time.Duration) { w.ahead.Add(int64(d)) }

// den is a room of alice that the bot is in.
func (s *scene) den(a *matrix.Account) *matrixtest.Room {
	s.t.Helper()
	den := s.server.NewRoom(s.server.Stranger("@alice:example.org"), matrixtest.RoomOptions{Name: "Den"})
	den.Join(s.bot)
	s.catchUp(a)
	return den
}

func tombstone(r *matrixtest.Room, to id.RoomID) {
	r.SetState("@alice:example.org", "m.room.tombstone", "", matrixtest.Content{"body": "moved", "replacement_room": to})
}

// lastRoom is the last report of a room.
func (s *scene) lastRoom(room id.RoomID) (last timeline.Room) {
	s.t.Helper()
	for _, b := range s.diary.batches(s.t) {
		for _, r := range b.Rooms {
			if r.ID == room {
				last = r
			}
		}
	}
	return last
}

// why is what the pending invites and upgrades wait for.
func why(t *testing.T, v *matrix.Invites) (list []string) {
	t.Helper()
	pending, err := v.Pending(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pending {
		text, _ := v.Why(p)
		list = append(list, string(p.Room)+": "+text)
	}
	return list
}

func TestAnUpgradeIsFollowedThroughTheServerOfItsTombstone(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	den := s.den(a)
	next := s.server.NewRoom("@alice:example.org", matrixtest.RoomOptions{ID: "!NextHasNoServer", Version: "12", Predecessor: den.ID, Public: true})
	den.SetState("@alice:example.org", "m.room.tombstone", "with a state key", matrixtest.Content{"replacement_room": "!trap:example.org"})
	tombstone(den, next.ID)
	s.catchUp(a)
	v := invites(t, a, matrix.InviteConfig{})
	if diff := cmp.Diff([]string{"!NextHasNoServer: " + matrix.UpgradeFollowed}, why(t, v)); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	accept(t, v)
	if !slices.Contains(next.Joined(), s.bot) {
		t.Fatal("the bot is not in the room that replaces its own")
	}
	asked := s.server.Requests(matrixtest.Join)
	if len(asked) != 1 || !strings.Contains(asked[0].Query, "via=example.org") {
		t.Errorf("asked to join: %+v", asked)
	}
	next.Say("@alice:example.org", "here we are")
	s.catchUp(a)
	if r := s.lastRoom(next.ID); r.Astray || r.Predecessor != den.ID || !slices.Contains(s.said(), "here we are") {
		t.Errorf("the new room is %+v, said was %q", r, s.said())
	}
	accept(t, v)
	if got := why(t, v); len(got) != 0 || s.server.Count(matrixtest.Join) != 1 {
		t.Errorf("%q wait, %d joins", got, s.server.Count(matrixtest.Join))
	}
}

func TestARoomForMembersAloneIsWaitedFor(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	var clock watch
	a := s.open(func(c *matrix.Config) { c.Now = clock.now })
	den := s.den(a)
	next := s.server.NewRoom("@alice:example.org", matrixtest.RoomOptions{Predecessor: den.ID})
	tombstone(den, next.ID)
	s.catchUp(a)
	v := invites(t, a, matrix.InviteConfig{From: []string{"@alice:example.org"}})
	for range 3 {
		accept(t, v)
	}
	if diff := cmp.Diff([]string{string(next.ID) + ": " + matrix.UpgradeClosed}, why(t, v)); diff != "" || s.server.Count(matrixtest.Join) != 1 {
		t.Errorf("asked %d times (-want +got):\n%s", s.server.Count(matrixtest.Join), diff)
	}
	if n := strings.Count(s.log.String(), "cannot be joined"); n != 1 {
		t.Errorf("told %d times", n)
	}
	// A stranger's invite opens no door: it is judged like every other.
	mallory := s.server.Stranger("@mallory:evil.example")
	next.Invite(mallory, s.bot)
	s.catchUp(a)
	clock.advance(48 * time.Hour)
	accept(t, v)
	if diff := cmp.Diff([]string{string(next.ID) + ": " + matrix.InviteSender}, why(t, v)); diff != "" || slices.Contains(next.Joined(), s.bot) {
		t.Errorf("with a stranger's invite (-want +got):\n%s", diff)
	}
	next.Invite("@alice:example.org", s.bot)
	s.catchUp(a)
	accept(t, v)
	s.catchUp(a)
	if got := why(t, v); len(got) != 0 || !slices.Contains(next.Joined(), s.bot) {
		t.Errorf("invited by somebody who may: %q", got)
	}
	if r := s.lastRoom(next.ID); r.Astray || r.Predecessor != den.ID {
		t.Errorf("the new room is %+v", r)
	}
}

func TestAFalseTombstoneLeadsIntoNoRoomOfOthers(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	var clock watch
	a := s.open(func(c *matrix.Config) { c.Now = clock.now })
	den := s.den(a)
	square := s.server.NewRoom(s.server.Stranger("@victim:example.com"), matrixtest.RoomOptions{Name: "Square", Public: true})
	tombstone(den, square.ID)
	s.catchUp(a)
	v := invites(t, a, matrix.InviteConfig{From: []string{"*:example.com"}})
	accept(t, v)
	square.Say("@victim:example.com", "what is said among others")
	s.catchUp(a)
	if r := s.lastRoom(square.ID); !r.Astray {
		t.Errorf("the room is %+v, and nobody has asked for it", r)
	}
	accept(t, v)
	if slices.Contains(square.Joined(), s.bot) {
		t.Error("the bot stays in a room that the tombstone named falsely")
	}
	s.catchUp(a)
	tombstone(den, square.ID) // once more
	s.catchUp(a)
	for range 2 {
		accept(t, v)
		clock.advance(48 * time.Hour)
	}
	if got := why(t, v); len(got) != 0 || s.server.Count(matrixtest.Join) != 1 {
		t.Errorf("%q wait, %d joins", got, s.server.Count(matrixtest.Join))
	}
	if r := s.lastRoom(square.ID); !r.Astray || r.Membership != timeline.MembershipLeave {
		t.Errorf("the room that was left is %+v", r)
	}
	// Whoever may invite the bot there may still do so.
	square.Invite("@victim:example.com", s.bot)
	s.catchUp(a)
	accept(t, v)
	s.catchUp(a)
	if r := s.lastRoom(square.ID); r.Astray || r.Membership != timeline.MembershipJoin {
		t.Errorf("the room that the bot was invited to is %+v", r)
	}
}

func TestAnUpgradeIsNotFollowedWhereTheSettingsDiffer(t *testing.T) {
	for name, c := range map[string]matrix.InviteConfig{
		"other rules":  {Follow: func(id.RoomID, id.RoomAlias, id.RoomID) bool { return false }},
		"left out":     {LeaveOut: func(room id.RoomID, _ id.RoomAlias) bool { return room == "!next:example.org" }},
		"not in rooms": {Rooms: matrix.RoomPatterns{Only: []matrix.Pattern{"!den:*"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			den := s.den(a)
			next := s.server.NewRoom("@alice:example.org", matrixtest.RoomOptions{ID: "!next:example.org", Predecessor: den.ID, Public: true})
			tombstone(den, next.ID)
			s.catchUp(a)
			v := invites(t, a, c)
			accept(t, v)
			accept(t, v)
			if diff := cmp.Diff([]string{"!next:example.org: " + matrix.UpgradeRules}, why(t, v)); diff != "" || s.server.Count(matrixtest.Join) != 0 {
				t.Errorf("%d joins (-want +got):\n%s", s.server.Count(matrixtest.Join), diff)
			}
			if n := strings.Count(s.log.String(), "settings leave out"); n != 1 {
				t.Errorf("told %d times", n)
			}
			den.SetState("@alice:example.org", "m.room.tombstone", "", matrixtest.Content{})
			s.catchUp(a)
			if got := why(t, v); len(got) != 0 {
				t.Errorf("the tombstone is gone, and %q wait", got)
			}
		})
	}
}

// A crash between the join and what is stored of it must not make a room one that was
// joined by choice.
func TestAJoinWhoseAnswerIsLostIsStillJudged(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	den := s.den(a)
	square := s.server.NewRoom(s.server.Stranger("@victim:example.com"), matrixtest.RoomOptions{Public: true})
	tombstone(den, square.ID)
	s.catchUp(a)
	s.server.Inject(matrixtest.Fault{On: matrixtest.Join, Times: 1, Status: 502})
	v := invites(t, a, matrix.InviteConfig{})
	accept(t, v)
	square.Join(s.bot) // it had been done before the proxy gave up
	s.catchUp(a)
	if r := s.lastRoom(square.ID); !r.Astray {
		t.Errorf("the room is %+v", r)
	}
}
