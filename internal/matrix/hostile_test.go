package matrix

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// FuzzEventBetweenOthers puts any JSON value between two good events of a response:
// these are read, and it is an event within all bounds or has a reason why not.
func FuzzEventBetweenOthers(f *testing.F) {
	const good = `{"event_id":"$%s","sender":"@a:b","type":"m.room.message","origin_server_ts":1,"content":{}}`
	for _, seed := range []string{
		fmt.Sprintf(good, "x"), `5`, `null`, `"\ud800"`, `[]`, `{}`, `{"event_id":5}`, `{"event_id":"$x","event_id":"$y","sender":"@a:b","type":"t","content":{}}`, strings.Repeat("[", 300) + strings.Repeat("]", 300),
		`{"event_id":"$x","sender":"@a:b","type":"t","origin_server_ts":1.5,"content":{"a":1e400}}`, `{"event_id":"$x","sender":"@a:b","type":"t","origin_server_ts":-1e300,"state_key":"","content":{}}`,
		`{"event_id":"$x","sender":"@a:b","type":"t","origin_server_ts":"1","state_key":null,"content":{"\u0000":[]}}`, `{"event_id":"$x","sender":"a","type":"t","content":{}}`, `{"unsigned":{"age":1.5},"redacts":[],"event_id":"$x\ud800","sender":"@a:b","type":"t","content":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if alone, err := elements([]byte("[" + string(value) + "]")); err != nil || len(alone) != 1 {
			return // it is not one value
		}
		for _, in := range []string{
			`{"next_batch":"n","rooms":{"join":{"!r":{"timeline":{"events":[%s,%s,%s],"limited":true,"prev_batch":"p"},"state":{"events":[]}}}}}`,
			`{"next_batch":"n","to_device":{"events":[%s,%s,%s]}}`,
			`{"rooms":{"leave":{"!r":{"state":{"events":[%s,%s,%s]}}}},"next_batch":"n"}`,
		} {
			r, err := readResponse(fmt.Appendf(nil, in, fmt.Sprintf(good, "before"), value, fmt.Sprintf(good, "after")))
			if err != nil || r.Next != "n" || r.Odd != 0 {
				t.Fatalf("%q: %v, %+v", value, err, r)
			}
			events := r.ToDevice
			for _, room := range append(r.Joined, r.Left...) {
				if room.Room != "!r" || room.Broken != nil {
					t.Fatalf("%q: %+v", value, room)
				}
				events = append(append(events, room.Timeline...), room.State...)
			}
			if len(events) != 3 {
				t.Fatalf("%d events around %q", len(events), value)
			}
			for i, id := range []string{0: "$before", 2: "$after"} {
				if e, problem := readEvent(events[i]); id != "" && (problem != "" || e.ID.String() != id) {
					t.Fatalf("beside %q: %s, %s", value, e.ID, problem)
				}
			}
			checkEvent(t, events[1])
		}
	})
}

func checkEvent(t *testing.T, raw json.RawMessage) {
	t.Helper()
	e, problem := readEvent(raw)
	if problem != "" {
		return
	}
	var content map[string]json.RawMessage
	switch {
	case json.Unmarshal(e.Content, &content) != nil || content == nil:
		t.Fatalf("%q has the content %q", raw, e.Content)
	case len(e.ID) > maxID || e.ID[0] != '$' || len(e.Sender) > maxID || e.Sender[0] != '@' || e.Type == "" || len(e.Type) > maxID:
		t.Fatalf("%q is %+v", raw, e)
	case !utf8.ValidString(string(e.ID) + string(e.Sender) + e.Type):
		t.Fatalf("%q is no text: %+v", raw, e)
	}
	if _, err := timeline.ClampTime(e.Sent).MarshalJSON(); err != nil {
		t.Fatal(err)
	}
}

// FuzzRoomName fuzzes what rooms and people are called where the room's name is made.
func FuzzRoomName(f *testing.F) {
	for _, name := range []string{"", " ", "a\nb\u2028c", "\x00\x85\u202e", strings.Repeat("ß", 2000), "a\xffb", strings.Repeat(" x", 600)} {
		f.Add(name, "Alice", 3)
		f.Add("Bob", name, -1)
	}
	f.Fuzz(func(t *testing.T, one, other string, members int) {
		for _, name := range []string{tidy(one), heroName([]string{tidy(one)}, members, "!r"), heroName([]string{tidy(one), tidy(other)}, members, "!r")} {
			if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsAny(name, "\n\r\v\f\x00\u0085\u2028\u2029") || strings.HasPrefix(name, " ") {
				t.Fatalf("%q and %q give the name %q", one, other, name)
			}
		}
		if a := tidy(one); tidy(a) != strings.TrimRight(a, " ") && tidy(a) != a {
			t.Fatalf("%q gives %q, and that %q", one, a, tidy(a))
		}
		if heroName(nil, members, "!r") != "!r" {
			t.Fatal("a room without a name is not called by its id")
		}
	})
}
