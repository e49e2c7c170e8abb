package matrix_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// gaps are the gaps that opened, each as far as it is read.
func (s *scene) gaps() []timeline.Gap {
	s.t.Helper()
	var out []timeline.Gap
	for _, b := range s.diary.batches(s.t) {
		for _, g := range b.Gaps {
			g.ID = int64(len(out) + 1)
			out = append(out, g)
		}
		if p := b.Progress; p != nil && p.ID > 0 {
			out[p.ID-1].From = p.From
			out[p.ID-1].Pages++
		}
	}
	return out
}

// fill walks a gap to its end and gives the number of its pages.
func (s *scene) fill(a *matrix.Account, n int) int {
	s.t.Helper()
	for page := 1; page < 100; page++ {
		done, err := a.Fill(s.t.Context(), s.gaps()[n])
		if err != nil {
			s.t.Fatal(err)
		}
		if done {
			return page
		}
	}
	s.t.Fatal("a gap without end")
	return 0
}

func (s *scene) lastProgress() timeline.GapProgress {
	s.t.Helper()
	for _, b := range slices.Backward(s.diary.batches(s.t)) {
		if b.Progress != nil {
			return *b.Progress
		}
	}
	s.t.Fatal("no progress recorded")
	return timeline.GapProgress{}
}

// TestWhatWasSaidWhileTheBotWasAwayIsRead has 250 encrypted messages of two
// sessions, of which /sync shows ten. The account restarts between two pages.
func TestWhatWasSaidWhileTheBotWasAwayIsRead(t *testing.T) {
	for name, o := range map[string]matrixtest.Options{"": {}, "as Dendrite": {Dendrite: true}} {
		t.Run("on a homeserver "+name, func(t *testing.T) {
			s := newScene(t, o)
			alice := s.peer("alice")
			den := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Name: "Den", Encrypted: true})
			den.Join(s.bot)
			small := func(c *matrix.Config) { c.Limits.Timeline = 10 }
			a := s.open(small)
			s.catchUp(a)
			var want []string
			for i := range 250 {
				if i == 100 {
					if err := alice.Rotate(t.Context(), den.ID); err != nil {
						t.Fatal(err)
					}
				}
				text := fmt.Sprintf("message %03d", i)
				want = append(want, text)
				s.say(alice, den.ID, text)
			}
			s.catchUp(a)
			gaps := s.gaps()
			at := slices.IndexFunc(gaps, func(g timeline.Gap) bool { return g.Kind == timeline.GapLimited })
			if at < 0 || len(s.said()) != 10 {
				t.Fatalf("%d messages by sync and gaps %+v, want 10 and a limited one", len(s.said()), gaps)
			}
			if done, err := a.Fill(t.Context(), gaps[at]); done || err != nil {
				t.Fatalf("first page: done %v, %v", done, err)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			a = s.open(small)
			if pages := s.fill(a, at); pages != 2 {
				t.Errorf("%d more pages for 140 events, want 2", pages)
			}
			got := s.said()
			slices.Sort(got)
			if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
				t.Errorf("messages differ: %s", diff)
			}
			first, ok := s.event(den.Events()[len(den.Events())-250])
			if !ok || first.Live || first.Trust != timeline.TrustDevice || first.SenderName != "alice" {
				t.Errorf("the oldest message is %+v, want it as past, of a known device", first)
			}
		})
	}
}

// page is a scripted answer of /messages.
type page struct {
	end    string // "" leaves it out
	events []any  // maps become events, strings stand as they are
}

func (p page) body() string {
	chunk := []string{}
	for _, e := range p.events {
		if text, ok := e.(string); ok {
			chunk = append(chunk, text)
			continue
		}
		b, err := json.Marshal(e)
		if err != nil {
			panic(err)
		}
		chunk = append(chunk, string(b))
	}
	end := ""
	if p.end != "" {
		end = fmt.Sprintf(`,"end":%q`, p.end)
	}
	return `{"start":"x","chunk":[` + strings.Join(chunk, ",") + `]` + end + `}`
}

type ev map[string]any

// at makes a message that was sent some time ago.
func at(name string, ago time.Duration) ev {
	return ev{
		"event_id": "$" + name, "sender": "@alice:test.example", "type": "m.room.message", "room_id": "!r:test.example",
		"origin_server_ts": time.Now().Add(-ago).UnixMilli(), "content": ev{"msgtype": "m.text", "body": name},
	}
}

func TestAWalkEndsWhereItShould(t *testing.T) {
	day := 24 * time.Hour
	history := timeline.Gap{ID: 7, Room: "!r:test.example", Kind: timeline.GapHistory, From: "from", Bound: time.Now().Add(-30 * day)}
	limited := timeline.Gap{ID: 7, Room: "!r:test.example", Kind: timeline.GapLimited, From: "from", Until: "$until"}
	with := func(g timeline.Gap, change func(*timeline.Gap)) timeline.Gap { change(&g); return g }
	cases := map[string]struct {
		gap   timeline.Gap
		known []string // recorded before
		page  page
		want  timeline.GapProgress
		said  []string // recorded by the page, oldest first
	}{
		"a page goes on": {
			limited, nil,
			page{"next", []any{at("b", 0), at("a", 0)}},
			timeline.GapProgress{ID: 7, From: "next"},
			[]string{"a", "b"},
		},
		"no end token ends it": {
			limited, nil,
			page{"", []any{at("a", 0)}},
			timeline.GapProgress{ID: 7, Done: true},
			[]string{"a"},
		},
		"a token that leads to itself ends it": {
			limited, nil,
			page{"from", []any{at("a", 0)}},
			timeline.GapProgress{ID: 7, From: "from", Done: true},
			[]string{"a"},
		},
		"an empty page goes on": {
			limited, nil,
			page{"next", nil},
			timeline.GapProgress{ID: 7, From: "next"},
			nil,
		},
		"an empty page without a token ends it": {
			limited, nil,
			page{"", nil},
			timeline.GapProgress{ID: 7, Done: true},
			nil,
		},
		"the neighbour ends it once the page is recorded": {
			limited, nil,
			page{"next", []any{at("b", 0), at("until", 0), at("a", 0)}},
			timeline.GapProgress{ID: 7, From: "next", Done: true},
			[]string{"a", "until", "b"},
		},
		"the start of the room ends it": {
			limited, nil,
			page{"next", []any{at("a", 0), ev{
				"event_id": "$create", "sender": "@alice:test.example", "type": "m.room.create", "state_key": "", "content": ev{}, "origin_server_ts": 1,
			}}},
			timeline.GapProgress{ID: 7, From: "next", Done: true},
			[]string{"a"},
		},
		"one known event does not end it": {
			limited,
			[]string{"a"},
			page{"next", []any{at("b", 0), at("a", 0)}},
			timeline.GapProgress{ID: 7, From: "next"},
			[]string{"a", "b"},
		},
		"a page of known events ends it": {
			limited,
			[]string{"a", "b"},
			page{"next", []any{at("b", 0), at("a", 0)}},
			timeline.GapProgress{ID: 7, From: "next", Done: true},
			[]string{"a", "b"},
		},
		"a known event among what shows no id does not end it": {
			limited,
			[]string{"a"},
			page{"next", []any{at("a", 0), "5"}},
			timeline.GapProgress{ID: 7, From: "next"},
			[]string{"a"},
		},
		"a page of known events does not end history": {
			history,
			[]string{"a", "b"},
			page{"next", []any{at("b", 0), at("a", 0)}},
			timeline.GapProgress{ID: 7, From: "next"},
			[]string{"a", "b"},
		},
		"one event from before the bound does not end it": {
			history, nil,
			page{"next", []any{at("b", day), at("forged", 9000*day), at("a", 2*day)}},
			timeline.GapProgress{ID: 7, From: "next"},
			[]string{"a", "forged", "b"},
		},
		"a page from before the bound ends it": {
			history, nil,
			page{"next", []any{at("b", 31*day), at("a", 32*day)}},
			timeline.GapProgress{ID: 7, From: "next", Done: true},
			[]string{"a", "b"},
		},
		"what shows no time is not from before the bound": {
			history, nil,
			page{"next", []any{at("b", 31*day), ev{
				"event_id": "$a", "sender": "@alice:test.example", "type": "m.room.message", "origin_server_ts": "old", "content": ev{"body": "a"},
			}}},
			timeline.GapProgress{ID: 7, From: "next"},
			[]string{"a", "b"},
		},
		"without a bound old events do not end it": {
			with(history, func(g *timeline.Gap) { g.Bound = time.Time{} }), nil,
			page{"next", []any{at("a", 9000*day)}},
			timeline.GapProgress{ID: 7, From: "next"},
			[]string{"a"},
		},
		"the last page of its budget loses the rest": {
			with(limited, func(g *timeline.Gap) { g.Pages = 9999 }), nil,
			page{"next", []any{at("a", 0)}},
			timeline.GapProgress{ID: 7, From: "next", Lost: "page_budget"},
			[]string{"a"},
		},
		"an event that is there twice is recorded as it came": {
			limited, nil,
			page{"next", []any{at("a", 0), at("a", 0)}},
			timeline.GapProgress{ID: 7, From: "next"},
			[]string{"a", "a"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			for _, k := range tc.known {
				b := timeline.Batch{Events: []timeline.Event{{Room: tc.gap.Room, ID: id.EventID("$" + k)}}}
				if err := s.diary.Record(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
			s.server.Inject(matrixtest.Fault{On: matrixtest.Messages, Status: 200, Body: tc.page.body()})
			done, err := a.Fill(t.Context(), tc.gap)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, s.lastProgress()); diff != "" {
				t.Errorf("progress (-want +got): %s", diff)
			}
			if want := tc.want.Done || tc.want.Lost != ""; done != want {
				t.Errorf("done %v, want %v", done, want)
			}
			if diff := cmp.Diff(tc.said, s.said()); diff != "" {
				t.Errorf("recorded (-want +got): %s", diff)
			}
		})
	}
}

func TestAPageIsAskedForAsTheSpecificationSays(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	s.server.Inject(matrixtest.Fault{On: matrixtest.Messages, Status: 200, Body: page{}.body()})
	for _, from := range []string{"a token/with+odd&signs", ""} {
		if _, err := a.Fill(t.Context(), timeline.Gap{ID: 1, Room: "!odd/room:x", From: from}); err != nil {
			t.Fatal(err)
		}
		all := s.server.Requests(matrixtest.Messages)
		got := all[len(all)-1]
		q, err := url.ParseQuery(got.Query)
		if err != nil || got.Path != "/_matrix/client/v3/rooms/!odd/room:x/messages" {
			t.Fatalf("path %q, %v", got.Path, err)
		}
		if q.Get("dir") != "b" || q.Get("limit") != "100" || q.Get("from") != from || q.Has("from") != (from != "") {
			t.Errorf("query %v for a gap from %q", q, from)
		}
	}
}

func TestARefusedPageEndsTheGapVisiblyAndAFailedOneDoesNot(t *testing.T) {
	refused := map[string]struct {
		fault matrixtest.Fault
		lost  string
	}{
		"403": {matrixtest.Fault{Status: 403, Code: "M_FORBIDDEN"}, "forbidden"},
		"404": {matrixtest.Fault{Status: 404, Code: "M_NOT_FOUND"}, "not_found"},
		"400": {matrixtest.Fault{Status: 400, Code: "M_INVALID_PARAM"}, "refused"},
	}
	for name, tc := range refused {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			tc.fault.On = matrixtest.Messages
			s.server.Inject(tc.fault)
			done, err := a.Fill(t.Context(), timeline.Gap{ID: 3, Room: "!r:x", From: "f"})
			want := timeline.GapProgress{ID: 3, From: "f", Lost: tc.lost}
			if diff := cmp.Diff(want, s.lastProgress()); diff != "" || !done || err != nil {
				t.Errorf("done %v, %v, progress (-want +got): %s", done, err, diff)
			}
		})
	}
	failed := map[string]struct {
		fault matrixtest.Fault
		class matrix.Class
	}{
		"429":                             {matrixtest.Fault{Status: 429, Code: "M_LIMIT_EXCEEDED"}, matrix.ClassRateLimited},
		"500":                             {matrixtest.Fault{Status: 500, Code: "M_UNKNOWN"}, matrix.ClassTemporary},
		"401":                             {matrixtest.Fault{Status: 401, Code: "M_UNKNOWN_TOKEN"}, matrix.ClassUnauthorized},
		"404 of something in between":     {matrixtest.Fault{Status: 404, Body: "<html>"}, ""},
		"403 of something in between":     {matrixtest.Fault{Status: 403, Body: "<html>"}, matrix.ClassTemporary},
		"a path that is not there yet":    {matrixtest.Fault{Status: 404, Code: "M_UNRECOGNIZED"}, ""},
		"an answer that is cut":           {matrixtest.Fault{Status: 200, Body: `{"chunk":[{"event_id":"$a"}`}, matrix.ClassTemporary},
		"an answer that is no object":     {matrixtest.Fault{Status: 200, Body: `[]`}, matrix.ClassTemporary},
		"a chunk that is no list":         {matrixtest.Fault{Status: 200, Body: `{"chunk":"x","end":"e"}`}, matrix.ClassTemporary},
		"a token that is no string":       {matrixtest.Fault{Status: 200, Body: `{"chunk":[],"end":5}`}, matrix.ClassTemporary},
		"a connection that ends too soon": {matrixtest.Fault{CutAfter: 5}, matrix.ClassTemporary},
	}
	for name, tc := range failed {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			room := s.server.NewRoom(s.server.Account("alice", "x"), matrixtest.RoomOptions{})
			room.Join(s.bot)
			tc.fault.On = matrixtest.Messages
			s.server.Inject(tc.fault)
			done, err := a.Fill(t.Context(), timeline.Gap{ID: 3, Room: room.ID})
			if done || err == nil || (tc.class != "" && matrix.Classify(err).Class != tc.class) {
				t.Errorf("done %v, %v of class %s, want class %s", done, err, matrix.Classify(err).Class, tc.class)
			}
			if n := len(s.diary.batches(t)); n != 0 {
				t.Errorf("%d batches recorded by a failed page", n)
			}
		})
	}
}

// TestAPageThatIsNotRecordedIsReadAgain rolls an encrypted page back: nothing of it
// may stay in the crypto state.
func TestAPageThatIsNotRecordedIsReadAgain(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	den := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	den.Join(s.bot)
	a := s.open(func(c *matrix.Config) { c.Limits.Timeline = 1 })
	s.catchUp(a)
	for i := range 5 {
		s.say(alice, den.ID, strconv.Itoa(i))
	}
	s.catchUp(a)
	gap := s.gaps()[len(s.gaps())-1]
	s.diary.failNext()
	if done, err := a.Fill(t.Context(), gap); done || !errors.Is(err, errDiary) {
		t.Fatalf("done %v, %v, want the journal's error", done, err)
	}
	if diff := cmp.Diff([]string{"4"}, s.said()); diff != "" {
		t.Fatalf("after the rollback: %s", diff)
	}
	s.fill(a, len(s.gaps())-1)
	got := s.said()
	slices.Sort(got)
	if diff := cmp.Diff([]string{"0", "1", "2", "3", "4"}, slices.Compact(got)); diff != "" {
		t.Error(diff)
	}
	s.say(alice, den.ID, "after")
	s.catchUp(a)
	if got := s.said(); got[len(got)-1] != "after" {
		t.Errorf("what came after is %q", got)
	}
}

func TestPoisonInAPageIsARowOfItsOwn(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	s.server.Inject(matrixtest.Fault{On: matrixtest.Messages, Status: 200, Body: page{"next", []any{
		at("good", 0), `5`, `{"event_id":"$odd","type":7}`, `null`, `{"event_id":"$list","sender":"@a:b","type":"x","content":[]}`,
		at("better", 0),
	}}.body()})
	if done, err := a.Fill(t.Context(), timeline.Gap{ID: 1, Room: "!r:test.example", From: "f"}); done || err != nil {
		t.Fatalf("done %v, %v", done, err)
	}
	if diff := cmp.Diff([]string{"better", "good"}, s.said()); diff != "" {
		t.Error(diff)
	}
	var odd []id.EventID
	for _, b := range s.diary.batches(t) {
		for _, u := range b.Unreadable {
			odd = append(odd, u.ID)
		}
	}
	if len(odd) != 4 || !slices.Contains(odd, "$odd") || !slices.Contains(odd, "$list") {
		t.Errorf("unreadable %v, want all four", odd)
	}
}

func TestHistoryReachesBackToTheStartDate(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.server.Account("alice", "x")
	room := s.server.NewRoom(alice, matrixtest.RoomOptions{})
	now := time.Now()
	day := 24 * time.Hour
	for i := range 350 { // 100 days ago up to now
		s.server.SetClock(func() time.Time { return now.Add(-time.Duration(350-i) * 100 * day / 350) })
		room.Say(alice, strconv.Itoa(i))
	}
	room.Join(s.bot)
	a := s.open()
	s.catchUp(a)
	gaps := s.gaps()
	if len(gaps) != 1 || gaps[0].Kind != timeline.GapHistory || gaps[0].Until != "" {
		t.Fatalf("gaps %+v, want one of history", gaps)
	}
	s.fill(a, 0)
	said := map[string]bool{}
	for _, text := range s.said() {
		said[text] = true
	}
	for i := 350 - 104; i < 350; i++ { // 30 of 100 days, less one for the clock
		if !said[strconv.Itoa(i)] {
			t.Errorf("message %d of the last 30 days is not there", i)
		}
	}
	if len(said) > 305 {
		t.Errorf("%d messages read for 105 within the bound: the walk went on", len(said))
	}
}
