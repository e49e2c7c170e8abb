package matrix_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// state is a state event's JSON.
func state(n int, kind, key string, content any) string {
	c, err := json.Marshal(content)
	if err != nil {
		panic(err)
	}
	k, err := json.Marshal(key)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"type":%q,"state_key":%s,"event_id":"$state%d","sender":"@alice:test.example","origin_server_ts":1,"content":%s}`, kind, k, n, c)
}

func member(n int, user, name string) string {
	c := map[string]any{"membership": "join"}
	if name != "" {
		c["displayname"] = name
	}
	return state(n, "m.room.member", user, c)
}

func TestRoomsAreNamedAsTheSpecificationSays(t *testing.T) {
	const room = "!r:test.example"
	for _, test := range []struct {
		name    string
		state   []string
		summary string
		want    string
	}{
		{name: "by m.room.name", state: []string{state(1, "m.room.name", "", map[string]any{"name": "Den"}), state(2, "m.room.canonical_alias", "", map[string]any{"alias": "#den:x"})}, want: "Den"},
		{name: "an empty name is none", state: []string{state(1, "m.room.name", "", map[string]any{"name": ""}), state(2, "m.room.canonical_alias", "", map[string]any{"alias": "#den:x"})}, want: "#den:x"},
		{name: "a name of another type is none", state: []string{state(1, "m.room.name", "", map[string]any{"name": 5})}, want: room},
		{name: "a name is one line", state: []string{state(1, "m.room.name", "", map[string]any{"name": " a\n\tb\u2028c\x00 "})}, want: "a b c"},
		{name: "an endless name is cut", state: []string{state(1, "m.room.name", "", map[string]any{"name": strings.Repeat("ä", 300)})}, want: strings.Repeat("ä", 127)},
		{name: "by one hero", state: []string{member(1, "@alice:x", "Alice")}, summary: `{"m.heroes":["@alice:x"],"m.joined_member_count":2}`, want: "Alice"},
		{name: "a hero without a name", summary: `{"m.heroes":["@alice:x"],"m.joined_member_count":2}`, want: "@alice:x"},
		{name: "by two heroes", state: []string{member(1, "@alice:x", "Alice"), member(2, "@bob:x", "Bob")}, summary: `{"m.heroes":["@alice:x","@bob:x"],"m.joined_member_count":3}`, want: "Alice and Bob"},
		{name: "by heroes and others", state: []string{member(1, "@alice:x", "Alice"), member(2, "@bob:x", "Bob")}, summary: `{"m.heroes":["@alice:x","@bob:x"],"m.joined_member_count":4,"m.invited_member_count":2}`, want: "Alice, Bob and 3 others"},
		{name: "those who are gone", state: []string{member(1, "@alice:x", "Alice")}, summary: `{"m.heroes":["@alice:x"],"m.joined_member_count":1}`, want: "Empty room (was Alice)"},
		{name: "two of one name", state: []string{member(1, "@alice:x", "Alice"), member(2, "@mallory:x", "Alice"), member(3, "@bob:x", "Bob")}, summary: `{"m.heroes":["@alice:x","@mallory:x","@bob:x"],"m.joined_member_count":4}`, want: "Alice (@alice:x), Alice (@mallory:x) and Bob"},
		{name: "five heroes at most", summary: `{"m.heroes":["@1:x","@2:x","@3:x","@4:x","@5:x","@6:x"],"m.joined_member_count":7}`, want: "@1:x, @2:x, @3:x, @4:x, @5:x and 1 other"},
		{name: "by those who are known, of a server that counts nobody", state: []string{member(1, "@alice:x", "Alice"), state(2, "m.room.member", "@gone:x", map[string]any{"membership": "leave"})}, want: "Alice"},
		{name: "by nothing", want: room},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			summary := test.summary
			if summary == "" {
				summary = "{}"
			}
			s.server.Script(s.bot, "", matrixtest.Answer{Body: `{"next_batch":"s1","rooms":{"join":{"` + room + `":{"state":{"events":[` +
				strings.Join(test.state, ",") + `]},"summary":` + summary + `}}}}`})
			if _, err := a.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			rooms := s.diary.batches(t)[0].Rooms
			if len(rooms) != 1 || rooms[0].Name != test.want {
				t.Errorf("rooms = %+v, want the name %q", rooms, test.want)
			}
		})
	}
}

func TestARoomIsReportedWhenItChanges(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	timelineOf := func(events ...string) string {
		return `{"timeline":{"events":[` + strings.Join(events, ",") + `]}}`
	}
	message := func(n int) string {
		return fmt.Sprintf(`{"type":"m.room.message","event_id":"$m%d","sender":"@alice:x","origin_server_ts":1,"content":{"msgtype":"m.text","body":"m%d"}}`, n, n)
	}
	answer := func(next, room string) matrixtest.Answer {
		return matrixtest.Answer{Body: fmt.Sprintf(`{"next_batch":%q,"rooms":{"join":{"!r:test.example":%s}}}`, next, room)}
	}
	s.server.Script(s.bot, "",
		answer("s1", timelineOf(
			state(1, "m.room.create", "", map[string]any{"room_version": "11", "type": "m.space", "predecessor": map[string]any{"room_id": "!old:x"}}),
			state(2, "m.room.name", "", map[string]any{"name": "Den"}), message(1))),
		answer("s2", timelineOf(message(2))),
		answer("s3", timelineOf(message(3), state(3, "m.room.name", "", map[string]any{"name": "Lair"}), message(4))),
		answer("s4", timelineOf(state(4, "m.room.encryption", "", map[string]any{}), state(5, "m.room.tombstone", "", map[string]any{"replacement_room": "!new:x"}))),
		answer("s5", timelineOf(state(6, "m.room.encryption", "", map[string]any{"algorithm": "none"}))),
	)
	for range 5 {
		if _, err := a.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	var last timeline.Room
	for _, b := range s.diary.batches(t) {
		line := []string{b.Next + ":"}
		for _, r := range b.Rooms {
			line = append(line, r.Name)
			last = r
		}
		names = append(names, strings.Join(line, " "))
	}
	if diff := cmp.Diff([]string{"s1: Den", "s2:", "s3: Lair", "s4: Lair", "s5: Lair"}, names); diff != "" {
		t.Errorf("reported rooms (-want +got):\n%s", diff)
	}
	want := timeline.Room{
		ID: "!r:test.example", Name: "Lair", Server: "test.example", Creator: "@alice:test.example", Type: "m.space", Version: "11",
		Encrypted: true, Membership: timeline.MembershipJoin, Predecessor: "!old:x", Successor: "!new:x", Created: time.UnixMilli(1).UTC(),
	}
	if diff := cmp.Diff(want, last); diff != "" {
		t.Errorf("room (-want +got):\n%s", diff)
	}
	// Names are frozen on the events at the time of their arrival.
	for e, want := range map[id.EventID]string{"$m1": "Den", "$m3": "Den", "$m4": "Lair"} {
		if got, _ := s.event(e); got.RoomName != want {
			t.Errorf("event %s has the room name %q, want %q", e, got.RoomName, want)
		}
	}
}

func TestARoomIsReportedWithWhatLiesAroundIt(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	own := func(n int, sender id.UserID, membership string) string {
		return fmt.Sprintf(`{"type":"m.room.member","state_key":%q,"event_id":"$own%d","sender":%q,"origin_server_ts":1,"content":{"membership":%q}}`,
			s.bot, n, sender, membership)
	}
	via := map[string]any{"via": []string{"x"}}
	answer := func(next, section string, events ...string) matrixtest.Answer {
		return matrixtest.Answer{Body: fmt.Sprintf(`{"next_batch":%q,"rooms":{%q:{"!r:test.example":{"timeline":{"events":[%s]}}}}}`, next, section, strings.Join(events, ","))}
	}
	s.server.Script(s.bot, "",
		answer("s1", "join",
			state(1, "m.room.create", "", map[string]any{"room_version": "11", "type": "m.space"}),
			state(2, "m.room.avatar", "", map[string]any{"url": "mxc://x/cat"}),
			state(3, "m.space.parent", "!up:x", via), state(4, "m.space.parent", "!noserver:x", map[string]any{}), state(5, "m.space.parent", "@nobody:x", via),
			state(6, "m.space.child", "!downWithoutAServer", via), state(7, "m.space.child", "!down:x", via), state(8, "m.room.tombstone", "elsewhere", map[string]any{"replacement_room": "!new:x"})),
		answer("s2", "join", state(9, "m.room.avatar", "", map[string]any{"url": "mxc://../.."}), state(10, "m.space.child", "!down:x", map[string]any{})),
		answer("s3", "leave", own(11, "@mod:x", "leave")),
		answer("s4", "join", own(12, s.bot, "join")),
		answer("s5", "leave", own(13, "@mod:x", "ban")),
		answer("s6", "join", own(14, s.bot, "join")),
		answer("s7", "leave", own(15, s.bot, "leave")),
		answer("s8", "join", own(16, s.bot, "join"), own(17, "@mod:x", "leave"), own(18, "@mod:x", "invite"), own(19, s.bot, "join")),
	)
	var got []string
	for range 8 {
		if _, err := a.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range s.diary.batches(t) {
		for _, r := range b.Rooms {
			got = append(got, fmt.Sprintf("%s %s by %q, picture %q, in %q, holds %q, then %q", b.Next, r.Membership, r.Removed, r.Avatar, r.Parents, r.Children, r.Successor))
		}
	}
	const rest = `, picture "", in "!up:x", holds "!downWithoutAServer", then ""`
	want := []string{
		`s1 join by "", picture "mxc://x/cat", in "!up:x", holds "!down:x\n!downWithoutAServer", then ""`,
		`s2 join by ""` + rest, `s3 leave by "@mod:x"` + rest, `s4 join by ""` + rest, `s5 ban by "@mod:x"` + rest, `s6 join by ""` + rest, `s7 leave by ""` + rest, `s8 join by ""` + rest,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reported (-want +got):\n%s", diff)
	}
}
